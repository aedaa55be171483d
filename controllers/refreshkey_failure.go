package controllers

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// failureIn returns the failed write of a Secret in an error. Writes that end because the manager stops do not count.
func failureIn(ctx context.Context, err error) (*secretError, bool) {
	var failed *secretError
	return failed, errors.As(err, &failed) && ctx.Err() == nil
}

// reportFailure reports a failed write of a Secret in the status, once for all following tries; the returned error causes
// the next try.
func (r *RefreshKeyReconciler) reportFailure(ctx context.Context, o *observation, plan *lifecycle.Plan, began time.Time, err error) error {
	failed, ok := failureIn(ctx, err)
	if !ok {
		return err
	}
	name := client.ObjectKeyFromObject(o.key)
	told := r.failures.tell(name, began, failed.Failure)
	if told == nil {
		return err
	}
	report := plan.Failed(*told)
	status := report.Status(&o.Observed, nil, r.Clock.Now())
	return errors.Join(err, r.failures.reported(name, r.writeStatus(ctx, o, &status, report)))
}

// reportUntrusted does the same where it is not known what clients are to trust, since a Secret that all keys depend on could
// not be written. What was said of a key that is Ready stands.
func (r *RefreshKeyReconciler) reportUntrusted(ctx context.Context, o *observation, plan *lifecycle.Plan, began time.Time) error {
	if meta.IsStatusConditionTrue(o.key.Status.Conditions, v1alpha1.ConditionReady) {
		return o.untrusted
	}
	return r.reportFailure(ctx, o, plan, began, o.untrusted)
}

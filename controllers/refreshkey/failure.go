package refreshkey

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/writes"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// reportFailure reports a failed write of a Secret in the status, once for all following tries; the returned error causes
// the next try.
func (r *Reconciler) reportFailure(ctx context.Context, o *observation, plan *lifecycle.Plan, began time.Time, err error) error {
	failed, ok := writes.FailureIn(ctx, err)
	if !ok {
		return err
	}
	name := client.ObjectKeyFromObject(o.key)
	reported := r.failures.Report(name, began, failed.Failure)
	if reported == nil {
		return err
	}
	report := plan.Failed(*reported)
	status := report.Status(&o.Observed, nil, r.Clock.Now())
	return errors.Join(err, r.failures.StatusWritten(name, r.writeStatus(ctx, o, &status, report)))
}

// reportUntrusted does the same if the CA bundle is unknown, since a Secret that all keys depend on could not be
// written. The conditions of a key that is Ready stay.
func (r *Reconciler) reportUntrusted(ctx context.Context, o *observation, plan *lifecycle.Plan, began time.Time) error {
	if meta.IsStatusConditionTrue(o.key.Status.Conditions, v1alpha1.ConditionReady) {
		return o.untrusted
	}
	return r.reportFailure(ctx, o, plan, began, o.untrusted)
}

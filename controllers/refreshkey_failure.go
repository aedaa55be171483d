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

// reportUnprepared reports, on a key that could not be decided on, that a Secret on which all keys depend could not be
// written. The conditions of a key that is Ready stay.
func (r *RefreshKeyReconciler) reportUnprepared(ctx context.Context, o *observation, began time.Time, err error) error {
	failed, ok := failureIn(ctx, err)
	if !ok || o == nil || meta.IsStatusConditionTrue(o.key.Status.Conditions, v1alpha1.ConditionReady) {
		return err
	}
	name := client.ObjectKeyFromObject(o.key)
	told := r.failures.tell(name, began, failed.Failure)
	if told == nil {
		return err
	}
	report := lifecycle.Unprepared(*told)
	status := o.key.Status.DeepCopy()
	report.SetConditions(status, o.key.Generation, r.Clock.Now())
	return errors.Join(err, r.failures.reported(name, r.writeStatus(ctx, o, status, report)))
}

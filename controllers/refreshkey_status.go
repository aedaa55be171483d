package controllers

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// writeStatus is the one place that writes the status of a key: under the resourceVersion
// that the plan was decided on, so that a race is lost and decided anew, and only when
// something changed. Events follow what was written.
func (r *RefreshKeyReconciler) writeStatus(ctx context.Context, o *observation, status *v1alpha1.JWTRefreshKeyStatus, plan *lifecycle.Plan) error {
	before := &o.key.Status
	if equality.Semantic.DeepEqual(before, status) {
		return nil
	}
	updated := o.key.DeepCopy()
	updated.Status = *status
	if err := r.Client.Status().Update(ctx, updated); err != nil {
		return err
	}
	// The Secret and any later report go by what is on record now.
	o.key, o.Key = updated, updated
	r.announce(updated, before, plan)
	return nil
}

package controllers

import (
	"bytes"
	"context"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// writeStatus is the one place that writes the status of a key: under the resourceVersion
// that the plan was decided on, so that a race is lost and decided anew, and only when
// something changed. Events follow what was written.
func (r *RefreshKeyReconciler) writeStatus(ctx context.Context, o *observation, status *v1alpha1.JWTRefreshKeyStatus, plan *lifecycle.Plan) error {
	before := &o.key.Status
	if sameStatus.DeepEqual(before, status) {
		return nil
	}
	updated := o.key.DeepCopy()
	updated.Status = *status
	if err := r.Client.Status().Update(ctx, updated); err != nil {
		return err
	}
	r.own.wroteStatus(updated)
	// The Secret and any later report go by what is on record now.
	o.key, o.Key = updated, updated
	r.announce(updated, before, plan)
	return nil
}

// sameStatus compares as equality.Semantic does, but for raw JSON, which that compares byte
// by byte through reflection: for a key at rest, more work than all the rest together.
var sameStatus = conversion.EqualitiesOrDie(
	func(a, b metav1.Time) bool { return a.Time.Equal(b.Time) },
	func(a, b apiextensionsv1.JSON) bool { return bytes.Equal(a.Raw, b.Raw) },
)

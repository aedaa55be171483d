package refreshkey

import (
	"bytes"
	"context"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// writeStatus writes the status of a key, under the resourceVersion of the observation and only if it changed, and then
// sends the events. No other function writes it. After a conflict the key is observed and decided again.
func (r *Reconciler) writeStatus(ctx context.Context, o *observation, status *v1alpha1.JWTRefreshKeyStatus, plan *lifecycle.Plan) error {
	before := &o.key.Status
	if sameStatus.DeepEqual(before, status) {
		return nil
	}
	updated := o.key.DeepCopy()
	updated.Status = *status
	if err := r.client.Status().Update(ctx, updated); err != nil {
		return err
	}
	r.own.WroteStatus(updated)
	// Later writes of this reconciliation use the new status.
	o.key, o.Key = updated, updated
	r.announce(updated, before, plan)
	return nil
}

// sameStatus compares like equality.Semantic, but faster for raw JSON, which equality.Semantic compares byte by byte
// with reflection. For a key at rest, that would take longer than the rest of the reconciliation.
var sameStatus = conversion.EqualitiesOrDie(
	func(a, b metav1.Time) bool { return a.Time.Equal(b.Time) },
	func(a, b apiextensionsv1.JSON) bool { return bytes.Equal(a.Raw, b.Raw) },
)

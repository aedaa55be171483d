package registry

import (
	"testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// TestAViewKeepsTheFirstRevision checks that Slim keeps firstRevision: without it a replica would accept tokens
// issued before a revocation.
func TestAViewKeepsTheFirstRevision(t *testing.T) {
	for _, mode := range []v1alpha1.RotationMode{v1alpha1.RotationScheduled, v1alpha1.RotationOneTimeUse} {
		key := &v1alpha1.JWTRefreshKey{Spec: v1alpha1.JWTRefreshKeySpec{Rotation: &v1alpha1.RotationSpec{Mode: mode}}}
		key.Status.Revision, key.Status.FirstRevision = 5, 4
		Slim(key)
		if key.Status.FirstRevision != 4 {
			t.Errorf("%s: the view has the first revision %d, and status has 4", mode, key.Status.FirstRevision)
		}
	}
}

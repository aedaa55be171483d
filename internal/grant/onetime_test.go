package grant

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// A token of an earlier enrolment is refused, and never taken for a reuse: the one who presents it late
// is not to end the line of whoever enrolled after a revocation.
func TestPlaceOfATokenBelowTheFirstRevision(t *testing.T) {
	noon := time.Date(2026, time.November, 1, 12, 0, 0, 0, time.UTC)
	s := &Service{clock: clocktesting.NewFakePassiveClock(noon)}
	at := &metav1.Time{Time: noon.Add(-time.Hour)}
	key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{UID: "uid"}}
	key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
	// The enrolment of revision 4 was used twice since.
	key.Status.FirstRevision, key.Status.LastUsed, key.Status.LastUsedRevision = 4, at, 5
	key.Status.TokenLine = v1alpha1.TokenLine{
		Revision: 6, JTI: "t6", CreatedAt: at, Previous: []v1alpha1.SupersededToken{{JTI: "t5", Revision: 5, CreatedAt: *at}},
	}
	for _, c := range []struct {
		jti      string
		revision int64
		want     place
	}{
		{"t1", 1, retired}, {"t3", 3, retired}, {"t4", 4, used}, {"t5", 5, used}, {"t6", 6, current},
	} {
		claims := &token.Claims{JTI: c.jti, Object: token.Object{UID: "uid", Revision: c.revision}}
		if got := s.placeOf(key, claims); got != c.want {
			t.Errorf("%s, with 4 as the first revision: place %d, not %d", c.jti, got, c.want)
		}
	}
}

package lifecycle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// lineEnded gives the base key an enrolment that ended before its third token.
func lineEnded() *situation {
	s := twoSuperseded()
	s.Key.Status.FirstRevision, s.Key.Status.Previous = 3, nil
	return s
}

// firstRevisionCases have the revision and the first revision in status after the plan, which show which writes of a line
// end all earlier tokens.
var firstRevisionCases = []struct {
	name string
	decideCase
	revision, first int64
}{
	{"first issue", decideCase{from: unissued}, 1, 0},
	{"first token found in the Secret", decideCase{from: unissued, given: func(s *situation) { s.found(0, 720*hour) }}, 1, 0},
	{"first issue with rotate", decideCase{from: unissued, given: func(s *situation) { s.rotate("v1") }}, 1, 0},
	{"rotate-now of an unrecorded first token", decideCase{from: unissued, given: func(s *situation) { s.found(0, 720*hour); s.rotateNow("v1") }}, 2, 2},
	{"revoked and reinstated before the first token is recorded", decideCase{from: unissued, given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Key.Spec.Revoked = false
	}}, 2, 2},

	{"renewal by time", decideCase{at: 480 * hour}, 2, 0},
	{"rotate of a living line", decideCase{given: func(s *situation) { s.rotate("v1") }}, 2, 0},
	{"rotate of a living line that was ended before", decideCase{from: lineEnded, at: 3 * hour, given: func(s *situation) { s.rotate("v1") }}, 4, 3},
	{"change of spec", decideCase{given: func(s *situation) { s.Key.Spec.Audience = "https://other.example.com" }}, 2, 0},
	{"lost token of another issuer", decideCase{given: func(s *situation) {
		s.Held.Terms.Issuer, s.Held.KeyGone = "https://old.example.com", true
		s.Secret = Secret{State: SecretMissing, Name: "orders"}
	}}, 2, 0},
	{"rotate after the token reached its end", decideCase{at: 721 * hour, given: func(s *situation) { s.mode(v1alpha1.RotationNever); s.rotate("v1") }}, 2, 0},
	{"rotate of a one-time line in use", decideCase{at: 3 * hour, given: func(s *situation) { s.usedOnce(hour, 721*hour); s.rotate("v1") }}, 3, 0},

	{"rotate-now", decideCase{from: twoSuperseded, at: 3 * hour, given: func(s *situation) { s.rotateNow("v1") }}, 4, 4},
	{"rotate-now of a one-time line in use", decideCase{at: 3 * hour, given: func(s *situation) { s.usedOnce(hour, 721*hour); s.rotateNow("v1") }}, 3, 3},
	{"revoked is false again", decideCase{given: func(s *situation) { s.revoke(v1alpha1.RevokedRequested); s.Key.Spec.Revoked = false }}, 2, 2},
	{"revoked is false again, with rotate", decideCase{given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Key.Spec.Revoked = false
		s.rotate("v1")
	}}, 2, 2},
	{"rotate after a logout", decideCase{given: func(s *situation) { s.revoke(v1alpha1.RevokedLogout); s.rotate("v1") }}, 2, 2},
	{"rotate-now after a logout", decideCase{given: func(s *situation) { s.revoke(v1alpha1.RevokedLogout); s.rotateNow("v1") }}, 2, 2},
	{"rotate after the idle end", decideCase{given: func(s *situation) { s.revoke(v1alpha1.RevokedIdleTimeout); s.rotate("v1") }}, 2, 2},
	{"rotate after a reuse", decideCase{at: 3 * hour, given: func(s *situation) {
		s.usedOnce(hour, 721*hour)
		s.revoke(v1alpha1.RevokedReuseDetected)
		s.rotate("v1")
	}}, 3, 3},
	{"rotate after the signing key of a one-time line was withdrawn", decideCase{given: func(s *situation) {
		s.mode(v1alpha1.RotationOneTimeUse)
		s.revoke(v1alpha1.RevokedKeyWithdrawn)
		s.rotate("v1")
	}}, 2, 2},
	{"rotate after a logout of a line that was ended before", decideCase{from: lineEnded, at: 3 * hour, given: func(s *situation) {
		s.revoke(v1alpha1.RevokedLogout)
		s.rotate("v1")
	}}, 4, 4},
	{"signing key withdrawn", decideCase{from: twoSuperseded, at: 3 * hour, given: func(s *situation) { s.Issuer.KnowsHeldKey = false }}, 4, 4},
	{"distrusted line", decideCase{from: twoSuperseded, at: 3 * hour, given: func(s *situation) { s.Held, s.Distrust = nil, "edited" }}, 4, 4},
	{"line below its own first revision", decideCase{given: func(s *situation) { s.Key.Status.FirstRevision = 7 }}, 8, 8},
	{"line lost, its first revision left", decideCase{from: unissued, given: func(s *situation) { s.Key.Status.FirstRevision = 7 }}, 8, 8},

	{"revocation", decideCase{from: lineEnded, at: 3 * hour, given: func(s *situation) { s.Key.Spec.Revoked = true }}, 3, 3},
	{"retirement", decideCase{from: twoSuperseded, at: 4 * hour, given: func(s *situation) { s.Key.Status.FirstRevision = 1; s.overlapMax(2 * hour) }}, 3, 1},
	{"at rest", decideCase{from: lineEnded, at: 3 * hour}, 3, 3},
}

func TestFirstRevision(t *testing.T) {
	for _, c := range firstRevisionCases {
		t.Run(c.name, func(t *testing.T) {
			s := c.situation()
			plan := Decide(s.Observed, c.now())
			status := plan.Status(&s.Observed, minted(&plan, &s.Observed), c.now())
			if status.Revision != c.revision || status.FirstRevision != c.first {
				t.Errorf("after %q for %q: revision %d, first revision %d; want %d and %d",
					plan.Check, plan.Cause, status.Revision, status.FirstRevision, c.revision, c.first)
			}
			for _, superseded := range status.Previous {
				if superseded.Revision < status.FirstRevision {
					t.Errorf("revision %d is below the first revision %d, and still listed in previous", superseded.Revision, status.FirstRevision)
				}
			}
		})
	}
}

// TestFirstRevisionIsWrittenWithTheLine fails where a crash between two writes could leave the new line without it.
func TestFirstRevisionIsWrittenWithTheLine(t *testing.T) {
	for _, c := range firstRevisionCases {
		s := c.situation()
		before := s.Key.Status.FirstRevision
		plan := Decide(s.Observed, c.now())
		status := plan.Status(&s.Observed, minted(&plan, &s.Observed), c.now())
		if status.FirstRevision != before && (plan.Line != AdvanceLine || !plan.StatusFirst(&s.Observed)) {
			t.Errorf("%s: the first revision becomes %d, and the Secret is written before it", c.name, status.FirstRevision)
		}
	}
}

// TestSuccessorKeepsTheFirstRevision checks that a use of a one-time token does not change the first revision.
func TestSuccessorKeepsTheFirstRevision(t *testing.T) {
	s := lineEnded()
	s.mode(v1alpha1.RotationOneTimeUse)
	s.Key.Status.LastUsed = &metav1.Time{Time: t0}
	mint, err := Successor(s.Key, issuerURL, t0.Add(3*time.Hour))
	if err != nil || mint.Revision != 4 {
		t.Errorf("the successor of revision 3 is %d, %v", mint.Revision, err)
	}
}

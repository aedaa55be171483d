package lifecycle

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// TestReadyStatesWhatWasObserved checks statuses that are written before the Secret. They have Ready only if the observed
// Secret holds a token that the status keeps accepted, and they never turn Ready True.
func TestReadyStatesWhatWasObserved(t *testing.T) {
	for _, c := range decideCases {
		for _, was := range []bool{false, true} {
			s, now := c.situation(), c.now()
			s.Key.Status.Conditions = nil
			if was {
				s.Key.Status.Conditions = readyConditions(&s.Observed)
			}
			plan := Decide(s.Observed, now)
			if !plan.StatusFirst(&s.Observed) || plan.Ignore || plan.Discard || plan.KeepStatus || plan.KeepConditions || s.Secret.State == NoSecret {
				continue
			}
			status := plan.Status(&s.Observed, minted(&plan, &s.Observed), now)
			if !meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) {
				continue
			}
			hash := s.Secret.TokenHash
			accepted := hash == status.TokenHash || slices.ContainsFunc(status.Previous, func(p v1alpha1.SupersededToken) bool { return p.TokenHash == hash })
			usedUp := s.Key.Spec.Rotation.Mode == v1alpha1.RotationOneTimeUse && status.LastUsedRevision > 0
			if !usedUp && (hash == "" || !accepted || s.Secret.State != SecretOwn) {
				t.Errorf("%s: Ready is written ahead of the Secret, which holds a token that is refused", c.name)
			}
			if plan.Line == AdvanceLine && !was {
				t.Errorf("%s: Ready turns true ahead of the Secret", c.name)
			}
		}
	}
}

// readyConditions returns the conditions of a key at rest.
func readyConditions(o *Observed) []metav1.Condition {
	plan := Plan{Verdict: newDecision(o, t0).baseVerdict()}
	status := plan.Status(o, nil, t0)
	return status.Conditions
}

// TestEveryWaitSaysWhatItWaitsFor checks that the condition Reconciling has its own message, with the end of the wait if it
// is known. That time does not change with the clock.
func TestEveryWaitSaysWhatItWaitsFor(t *testing.T) {
	tests := []struct {
		reason string
		decideCase
		says string
	}{
		{v1alpha1.ReasonOverlapPending, decideCase{from: twoSuperseded, at: 3 * hour, given: func(s *situation) { s.rotate("v3") }},
			"waits until revision 1, which is superseded, retires: at 2026-05-31T12:00:00Z at the latest"},
		{v1alpha1.ReasonOverlapPending, decideCase{from: twoSuperseded, at: 2*hour + minute, given: func(s *situation) { s.rotate("v3"); s.overlapMax(2 * hour) }},
			"waits until revision 1, which is superseded, retires: at 2026-05-01T15:00:00Z at the latest"},
		{v1alpha1.ReasonWaitingForSecret, decideCase{from: unissued, at: 1e9, given: func(s *situation) { s.Secret.State = SecretLeftOver }}, "until 2026-05-01T12:00:30Z"},
		{v1alpha1.ReasonIssuerNotFound, decideCase{given: func(s *situation) { s.lacksIssuer() }}, `waits until JWTIssuer "default" exists`},
		{v1alpha1.ReasonIssuerNotReady, decideCase{given: func(s *situation) {
			s.Issuer.Ready, s.Issuer.Message = false, "no key may sign before 2026-06-01T00:00:00Z."
		}},
			`waits until JWTIssuer "default" can sign: no key may sign before 2026-06-01T00:00:00Z.`},
		{v1alpha1.ReasonIssuing, decideCase{given: func(s *situation) { s.rotateNow("leak") }}, `writes revision 2 to Secret "orders"`},
	}
	for _, test := range tests {
		s, now := test.situation(), test.now()
		plan := Decide(s.Observed, now)
		status := plan.Status(&s.Observed, minted(&plan, &s.Observed), now)
		waits := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReconciling)
		ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
		switch {
		case waits == nil || waits.Reason != test.reason:
			t.Errorf("%s: Reconciling is %+v", test.reason, waits)
		case !strings.Contains(waits.Message, test.says):
			t.Errorf("%s: %q does not say %q", test.reason, waits.Message, test.says)
		case waits.Message == ready.Message:
			t.Errorf("%s: the message is that of Ready: %q", test.reason, waits.Message)
		}
	}
}

package lifecycle

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func TestNotices(t *testing.T) {
	restarts := []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: "orders"}}
	graceOf := func(grace, access time.Duration) func(*situation) {
		return func(s *situation) {
			s.mode(v1alpha1.RotationOneTimeUse)
			s.Key.Spec.Rotation.RetryGrace = duration(grace)
			s.Key.Spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: duration(access)}
		}
	}
	tests := []struct {
		name  string
		given func(*situation)
		want  string
	}{
		{"nothing asked for", nil, ""},
		{"restarts that are switched off", func(s *situation) { s.Key.Spec.RolloutRestart = restarts }, "RestartIgnored RestartsDisabled"},
		{"restarts that are switched on", func(s *situation) { s.Key.Spec.RolloutRestart, s.RestartsEnabled = restarts, true }, ""},
		{"restarts of a one-time key", func(s *situation) {
			s.Key.Spec.RolloutRestart, s.RestartsEnabled = restarts, true
			s.mode(v1alpha1.RotationOneTimeUse)
		}, "RestartIgnored NothingRotates"},
		{"restarts without a Secret", func(s *situation) {
			s.Key.Spec.RolloutRestart, s.RestartsEnabled = restarts, true
			s.Key.Spec.Secret.Mode, s.Secret = v1alpha1.SecretNone, Secret{}
		}, "RestartIgnored NothingRotates"},
		{"a grace as long as an access token lives", graceOf(10*minute, 10*minute), "ReuseUndetected RetryGraceTooLong"},
		{"a grace a second shorter", graceOf(10*minute-time.Second, 10*minute), ""},
		{"the same with the issuer's lifetime", func(s *situation) {
			graceOf(10*minute, 10*minute)(s)
			s.Key.Spec.AccessToken, s.Issuer.AccessLifetime = nil, 5*minute
		}, "ReuseUndetected RetryGraceTooLong"},
		{"the default grace and the shortest access token", func(s *situation) {
			graceOf(0, minute)(s)
			s.Key.Spec.Rotation.RetryGrace = nil
		}, ""},
		{"a key that is bound by DPoP", func(s *situation) {
			graceOf(10*minute, 10*minute)(s)
			s.Key.Spec.Binding = &v1alpha1.BindingSpec{JWKThumbprint: thumbprint}
		}, ""},
		{"a key that is bound to a ServiceAccount, whose proof is a bearer token", func(s *situation) {
			graceOf(10*minute, 10*minute)(s)
			s.Key.Spec.Binding = &v1alpha1.BindingSpec{ServiceAccountName: "orders"}
		}, "ReuseUndetected RetryGraceTooLong"},
		{"the same grace of a key that is not for one use", func(s *situation) {
			graceOf(10*minute, 10*minute)(s)
			s.mode(v1alpha1.RotationScheduled)
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := decideCase{given: test.given}
			s, now := c.situation(), c.now()
			plan := Decide(s.Observed, now)
			status := plan.Status(&s.Observed, minted(&plan, &s.Observed), now)
			if got := noticesIn(&status); got != test.want {
				t.Errorf("the notices are %q, want %q", got, test.want)
			}
			without := settled()
			without.RestartsEnabled = true
			without.Key.Status = stored(&status)
			rest := Decide(without.Observed, now)
			if status = rest.Status(&without.Observed, minted(&rest, &without.Observed), now); noticesIn(&status) != "" {
				t.Errorf("the notice %q stays when it no longer applies", noticesIn(&status))
			}
		})
	}
}

func noticesIn(status *v1alpha1.JWTRefreshKeyStatus) string {
	var all []string
	for _, kind := range v1alpha1.NoticeConditions {
		if condition := meta.FindStatusCondition(status.Conditions, kind); condition != nil {
			all = append(all, condition.Type+" "+condition.Reason)
		}
	}
	return strings.Join(all, ", ")
}

// TestFailedWrites checks the conditions for a Secret that could not be written, emptied or deleted.
func TestFailedWrites(t *testing.T) {
	const answer = "failed calling webhook"
	tests := []struct {
		name string
		decideCase
		failed     string
		refused    bool
		want, says string
	}{
		{"a write that may succeed later", decideCase{given: func(s *situation) { s.Secret.AsWanted = false }}, "orders", false,
			"waiting Issuing", `Secret "orders" could not be written: ` + answer},
		{"a write that a user has to let through", decideCase{given: func(s *situation) { s.Secret.AsWanted = false }}, "orders", true,
			"stalled SecretRefused", `refuses Secret "orders": ` + answer},
		{"a first token", decideCase{from: unissued}, "orders", false, "waiting Issuing", answer},
		{"a Secret of a revoked key", decideCase{given: func(s *situation) { s.Key.Spec.Revoked = true }}, "orders", false,
			"stalled Revoked", `Secret "orders" still holds a token: ` + answer},
		{"a Secret under an earlier name", decideCase{from: renamed, at: 2 * hour}, "orders", false,
			"ready Issued", `Secret "orders", which the key no longer names, could not be deleted: ` + answer},
		{"the same while another is written", decideCase{from: renamed, at: 2 * hour, given: func(s *situation) { s.Secret.AsWanted = false }}, "orders", false,
			"ready Issued", `Secret "orders", which the key no longer names, could not be deleted: ` + answer},
		{"the same after the write of the next token", decideCase{from: renamed, at: hour, given: func(s *situation) { s.rotateNow("leak") }}, "orders", false,
			"ready Issued", `Secret "orders", which the key no longer names, could not be deleted: ` + answer},
	}
	for _, test := range tests {
		s, now := test.situation(), test.now()
		plan := Decide(s.Observed, now)
		report := plan.Failed(Failure{Name: test.failed, Answer: answer, Refused: test.refused})
		if got := verdictText(report.Verdict); got != test.want || !strings.Contains(report.Verdict.Message, test.says) {
			t.Errorf("%s, after %q: %s: %q", test.name, plan.Check, got, report.Verdict.Message)
		}
		if status := report.Status(&s.Observed, nil, now); report.Verdict.Ready && status.SecretName != s.Secret.Name {
			t.Errorf("%s: the report says that Secret %q holds a token, and names %q", test.name, s.Secret.Name, status.SecretName)
		}
		if failure := report.Failure(); failure == nil || failure.Name != test.failed {
			t.Errorf("%s: the report does not have the failure: %+v", test.name, failure)
		}
	}
}

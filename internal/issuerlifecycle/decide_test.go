package issuerlifecycle

import (
	"crypto"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// Rings of plans, as states prints them.
const (
	stay    = "stay"
	fullSet = "access Active, access Pending, refresh Active, refresh Pending"
	handed  = "access Active, access Pending, access Retiring, refresh Active, refresh Pending, refresh Retiring"
	// gap is without an access key that signs.
	gap = "access Pending, refresh Active, refresh Pending"
)

// TestDecide checks the conditions, the change of the Secret and the time of the next decision in each situation of an issuer.
func TestDecide(t *testing.T) {
	tests := []struct {
		name  string
		given func(t *testing.T) *situation
		says  string
		rings string
		// next is when to decide again, after now; 0 for after the next event.
		next time.Duration
		// message is a part of the message of Ready.
		message string
	}{
		{name: "a new issuer begins with a key that signs in each ring", given: fresh, says: "Ready: KeysReady", rings: fullSet, next: 2160 * time.Hour,
			message: "Both rings have a key that signs"},
		{name: "an issuer at rest changes nothing", given: settled, says: "Ready: KeysReady", rings: stay, next: 2160 * time.Hour},
		{name: "an issuer at rest with tokens", given: func(t *testing.T) *situation {
			s := settled(t)
			s.used(30)
			return s
		}, says: "Ready: KeysReady", rings: stay, next: 2160 * time.Hour},
		{name: "a Secret without the label is written again", given: func(t *testing.T) *situation {
			s := settled(t)
			s.Mislabelled = true
			return s
		}, says: "Ready: KeysReady", rings: fullSet, next: 2160 * time.Hour},
		{name: "a policy without rules is ready and grants nothing", given: func(t *testing.T) *situation {
			s := settled(t)
			s.Issuer.Spec.Policy = &v1alpha1.PolicySpec{}
			return s
		}, says: "Ready: KeysReady", rings: stay, next: 2160 * time.Hour, message: "The issuer grants no tokens, since spec.policy has no rules"},
		{name: "a spec that does not compile", given: func(t *testing.T) *situation {
			s := settled(t)
			s.Issuer.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{"https://{"}}}}
			return s
		}, says: "Stalled: InvalidSpec", rings: stay},
		{name: "another issuer has the same URL", given: func(t *testing.T) *situation {
			s := fresh(t)
			s.Conflict = &endpoint.Conflict{Reason: v1alpha1.ReasonURLConflict, Message: "JWTIssuer \"older\" is older."}
			return s
		}, says: "Stalled: URLConflict", rings: stay, next: obstacleRetry, message: "is older"},
		{name: "the Secret is of another program", given: func(t *testing.T) *situation {
			s := fresh(t)
			s.SecretFound, s.Foreign = true, true
			return s
		}, says: "Stalled: KeysForeign", rings: stay, next: obstacleRetry, message: `Secret "signing-keys-default"`},
		{name: "the Secret is damaged", given: func(t *testing.T) *situation {
			s := settled(t)
			s.Rings, s.Damage = nil, errors.New("no entry")
			return s
		}, says: "Stalled: KeysDamaged", rings: stay, next: obstacleRetry, message: "is damaged: no entry; restore it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.given(t)
			plan := s.decide()
			checkPlan(t, plan, tt.says, tt.rings)
			next := time.Duration(0)
			if !plan.Next.IsZero() {
				next = plan.Next.Sub(s.now)
			}
			if next != tt.next {
				t.Errorf("the next decision is in %s, want in %s", next, tt.next)
			}
			if !strings.Contains(plan.Verdict.Message, tt.message) {
				t.Errorf("Ready says %q, want %q in it", plan.Verdict.Message, tt.message)
			}
		})
	}
}

func checkPlan(t *testing.T, plan *Plan, want, rings string) {
	t.Helper()
	if got := says(plan.Verdict); got != want {
		t.Errorf("the conditions are %q, want %q: %s", got, want, plan.Verdict.Message)
	}
	if got := states(plan.Rings); got != rings {
		t.Errorf("the rings of the plan are %q, want %q", got, rings)
	}
	if plan.Rings == nil {
		return
	}
	for i, key := range plan.Rings.Keys() {
		if plan.Keys[i].KID != key.ID || string(plan.Keys[i].State) != string(key.State) || !plan.Keys[i].CreatedAt.Time.Equal(key.CreatedAt) {
			t.Errorf("status shows %v for %s", plan.Keys[i], key)
		}
	}
}

// TestDecideLostKeys checks that signing keys on which valid tokens depend are never replaced, until a user withdraws them.
func TestDecideLostKeys(t *testing.T) {
	tests := []struct {
		name        string
		given       func(s *situation)
		says, rings string
		// names are the kids that the message names.
		names func(s *situation) []string
	}{
		{name: "the Secret is lost, and tokens are valid", given: func(s *situation) { s.used(30); s.loses() }, says: "Stalled: KeysLost", rings: stay,
			names: func(s *situation) []string { return []string{s.kid(keyring.Refresh, keyring.Active)} }},
		{name: "the Secret is lost, and no token is valid", given: func(s *situation) { s.loses() }, says: "Reconciling: KeyPending", rings: gap},
		{name: "the Secret is lost, and the last token has just expired", given: func(s *situation) {
			s.used(30)
			s.loses()
			s.now = day(30).Add(time.Minute)
		}, says: "Reconciling: KeyPending", rings: gap},
		{name: "the Secret is lost, and the clocks of replicas may be behind", given: func(s *situation) {
			s.used(30)
			s.loses()
			s.now = day(30).Add(time.Minute - time.Second)
		}, says: "Stalled: KeysLost", rings: stay},
		{name: "the Secret has other signing keys", given: func(s *situation) { s.used(30); s.lacks() }, says: "Stalled: KeysDamaged", rings: stay,
			names: (*situation).everyActive},
		{name: "the Secret has other signing keys, and no token is valid", given: func(s *situation) { s.lacks() }, says: "Stalled: KeysDamaged", rings: stay,
			names: (*situation).everyActive},
		{name: "some of the lost keys are withdrawn", given: func(s *situation) {
			s.used(30)
			s.withdraws(s.kid(keyring.Access, keyring.Active))
			s.loses()
		}, says: "Stalled: KeysLost", rings: stay, names: func(s *situation) []string { return []string{s.kid(keyring.Refresh, keyring.Active)} }},
		{name: "all lost keys are withdrawn", given: func(s *situation) {
			s.used(30)
			s.withdraws(s.everyKID()...)
			s.loses()
		}, says: "Reconciling: KeyPending", rings: gap},
		{name: "only keys that have signed nothing are lost", given: func(s *situation) {
			for i := range s.Issuer.Status.Keys {
				if s.Issuer.Status.Keys[i].State == v1alpha1.KeyState(keyring.Pending) {
					s.Issuer.Status.Keys[i].KID += "-before-a-change-of-the-algorithm"
				}
			}
		}, says: "Ready: KeysReady", rings: stay},
		{name: "a retired key is missing", given: func(s *situation) {
			gone := day(-1)
			s.Issuer.Status.Keys = append(s.Issuer.Status.Keys, v1alpha1.SigningKeyStatus{KID: "retired", Use: "refresh", State: "Retiring", RetireAt: &gone})
		}, says: "Ready: KeysReady", rings: stay},
		{name: "a key that retires later is missing", given: func(s *situation) {
			later := day(1)
			s.Issuer.Status.Keys = append(s.Issuer.Status.Keys, v1alpha1.SigningKeyStatus{KID: "retires", Use: "refresh", State: "Retiring", RetireAt: &later})
		}, says: "Stalled: KeysDamaged", rings: stay, names: func(*situation) []string { return []string{"retires"} }},
		{name: "an issuer was created again, and its Secret is lost", given: func(s *situation) {
			s.used(30)
			s.loses()
			s.Issuer.Status = v1alpha1.JWTIssuerStatus{}
		}, says: "Stalled: KeysLost", rings: stay},
		{name: "an issuer was created again, and the tokens have expired", given: func(s *situation) {
			s.used(30)
			s.loses()
			s.Issuer.Status = v1alpha1.JWTIssuerStatus{}
			s.now = day(31).Time
		}, says: "Reconciling: KeyPending", rings: gap},
		{name: "an issuer was created again, and finds its Secret", given: func(s *situation) {
			s.used(30)
			s.Issuer.Status = v1alpha1.JWTIssuerStatus{}
		}, says: "Ready: KeysReady", rings: stay},
		{name: "an issuer was created again, and other keys use another issuer", given: func(s *situation) {
			s.Use = UseOf(s.Issuer, []v1alpha1.JWTRefreshKey{keyOf("another", "their-key", 30)})
			s.loses()
			s.Issuer.Status = v1alpha1.JWTIssuerStatus{}
		}, says: "Ready: KeysReady", rings: fullSet},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := settled(t)
			tt.given(s)
			plan := s.decide()
			checkPlan(t, plan, tt.says, tt.rings)
			if tt.names == nil {
				return
			}
			_, named, found := strings.Cut(plan.Verdict.Message, v1alpha1.AnnotationWithdrawKey+"=")
			for _, kid := range tt.names(s) {
				if !found || !strings.Contains(named, kid) {
					t.Errorf("the message must name %s: %s", kid, plan.Verdict.Message)
				}
			}
		})
	}
}

// everyActive returns the kids of the keys that sign.
func (s *situation) everyActive() []string {
	return []string{s.kid(keyring.Refresh, keyring.Active), s.kid(keyring.Access, keyring.Active)}
}

func keyOf(issuer, kid string, expires int) v1alpha1.JWTRefreshKey {
	end := day(expires)
	key := v1alpha1.JWTRefreshKey{Spec: v1alpha1.JWTRefreshKeySpec{IssuerRef: &v1alpha1.IssuerReference{Name: issuer}}}
	key.Status.Issuer, key.Status.KeyID, key.Status.ExpiresAt = issuer, kid, &end
	return key
}

// TestDecideRotation checks when signing keys change, and that a key stays while a token of it may be accepted.
func TestDecideRotation(t *testing.T) {
	tests := []struct {
		name        string
		given       func(s *situation)
		says, rings string
		// waits is the end of the message of Reconciling.
		waits string
	}{
		{name: "before the rotation is due", given: func(s *situation) { s.now = s.now.Add(2160*time.Hour - time.Second) }, says: "Ready: KeysReady", rings: stay},
		{name: "the rotation is due", given: func(s *situation) { s.now = s.now.Add(2160 * time.Hour) }, says: "Ready: KeysReady", rings: handed},
		{name: "a rotation was asked for, by seconds", given: func(s *situation) {
			s.Issuer.Annotations[v1alpha1.AnnotationRotateKeys] = "1777593601"
			s.now = s.now.Add(time.Hour)
		}, says: "Ready: KeysReady", rings: handed},
		{name: "a rotation was asked for, by RFC 3339", given: func(s *situation) {
			s.Issuer.Annotations[v1alpha1.AnnotationRotateKeys] = s.now.Add(time.Second).Format(time.RFC3339)
			s.now = s.now.Add(time.Hour)
		}, says: "Ready: KeysReady", rings: handed},
		{name: "a rotation was asked for before the keys existed", given: func(s *situation) {
			s.Issuer.Annotations[v1alpha1.AnnotationRotateKeys] = s.now.Add(-time.Second).Format(time.RFC3339)
			s.now = s.now.Add(time.Hour)
		}, says: "Ready: KeysReady", rings: stay},
		{name: "the annotation has no time", given: func(s *situation) {
			s.Issuer.Annotations[v1alpha1.AnnotationRotateKeys] = "please"
			s.now = s.now.Add(time.Hour)
		}, says: "Ready: KeysReady", rings: stay},
		{name: "the active access key is withdrawn before the next one is published for long enough", given: func(s *situation) {
			s.withdraws(s.kid(keyring.Access, keyring.Active))
		}, says: "Reconciling: KeyPending", rings: gap, waits: "from 2026-05-01T01:00:00Z."},
		{name: "the active access key is withdrawn after that", given: func(s *situation) {
			s.withdraws(s.kid(keyring.Access, keyring.Active))
			s.now = s.now.Add(time.Hour)
		}, says: "Ready: KeysReady", rings: fullSet},
		{name: "the active refresh key is withdrawn", given: func(s *situation) {
			s.withdraws(s.kid(keyring.Refresh, keyring.Active))
		}, says: "Ready: KeysReady", rings: fullSet},
		{name: "an unknown key is withdrawn", given: func(s *situation) { s.withdraws("unknown") }, says: "Ready: KeysReady", rings: stay},
		{name: "the schedule of spec", given: func(s *situation) {
			s.Issuer.Spec.Signing = &v1alpha1.SigningSpec{RotateAfter: &metav1.Duration{Duration: 24 * time.Hour}, Prepublish: &metav1.Duration{Duration: 2 * time.Hour}}
			s.now = s.now.Add(24 * time.Hour)
		}, says: "Ready: KeysReady", rings: handed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := settled(t)
			tt.given(s)
			plan := s.decide()
			checkPlan(t, plan, tt.says, tt.rings)
			if !strings.HasSuffix(plan.Verdict.Waiting, tt.waits) {
				t.Errorf("Reconciling says %q, want %q at its end", plan.Verdict.Waiting, tt.waits)
			}
			s.carriedOut(plan)
			if again := s.decide(); again.Rings != nil {
				t.Errorf("a second decision changes the rings again: %s", states(again.Rings))
			}
		})
	}
}

// TestARetiredKeyStaysWhileItIsNeeded checks that the ring keeps a key until its last token is refused, and then removes it.
func TestARetiredKeyStaysWhileItIsNeeded(t *testing.T) {
	s := settled(t)
	s.used(400)
	kid := s.kid(keyring.Refresh, keyring.Active)
	s.now = day(90).Time
	s.carriedOut(s.decide())
	for _, step := range []struct {
		at   time.Time
		want bool
	}{{day(399).Time, true}, {day(400).Add(59 * time.Second), true}, {day(400).Add(time.Minute), false}} {
		s.now = step.at
		// A manager that was away for long has several rotations to make up.
		for range 10 {
			s.carriedOut(s.decide())
		}
		if _, found := s.Rings.Lookup(keyring.Refresh, kid); found != step.want {
			t.Errorf("at %s the key is in the ring: %v, want %v", step.at, found, step.want)
		}
	}
}

// TestAnAlgorithmOfSpec checks that new keys have the algorithm of spec.
func TestAnAlgorithmOfSpec(t *testing.T) {
	s := fresh(t)
	s.Issuer.Spec.Signing = &v1alpha1.SigningSpec{Algorithm: "EdDSA"}
	for _, key := range s.decide().Keys {
		if key.Algorithm != "EdDSA" {
			t.Errorf("key %s has algorithm %s", key.KID, key.Algorithm)
		}
	}
}

// TestDecideReportsAGeneratorThatFails checks that there is no plan without private keys.
func TestDecideReportsAGeneratorThatFails(t *testing.T) {
	s := fresh(t)
	plan, err := Decide(&s.Observed, s.now, func(keyring.Algorithm) (crypto.Signer, error) { return nil, errGenerate })
	if plan != nil || !errors.Is(err, errGenerate) {
		t.Errorf("the plan is %v, and the error %v", plan, err)
	}
}

package issuerlifecycle

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// situation is an Observed with helpers that change it step by step. now is when the issuer is decided.
type situation struct {
	Observed
	t   *testing.T
	now time.Time
}

// fresh returns a new issuer, without a Secret.
func fresh(t *testing.T) *situation {
	issuer := &v1alpha1.JWTIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: "default", Generation: 2, Annotations: map[string]string{}},
		Spec:       v1alpha1.JWTIssuerSpec{URL: "https://tokens.example.com"},
	}
	return &situation{Observed: Observed{Issuer: issuer, Trust: &TrustFault{}}, t: t, now: day0}
}

// settled returns an issuer at rest: its Secret holds the signing keys of day 0, and status shows them.
func settled(t *testing.T) *situation {
	s := fresh(t)
	s.carriedOut(s.decide())
	return s
}

func (s *situation) decide() *Plan {
	s.t.Helper()
	plan, err := Decide(&s.Observed, s.now, keyring.Generate)
	if err != nil {
		s.t.Fatal(err)
	}
	return plan
}

// carriedOut changes the observed state as the controller does.
func (s *situation) carriedOut(plan *Plan) {
	if plan.Rings != nil {
		s.Rings, s.SecretFound, s.Mislabelled = plan.Rings, true, false
	}
	s.Issuer.Status = *plan.Status(&s.Observed, s.now)
}

// kid returns the kid of the signing key of a ring that status shows in a state.
func (s *situation) kid(use keyring.Use, state keyring.State) string {
	for _, key := range s.Issuer.Status.Keys {
		if key.Use == v1alpha1.KeyUse(use) && key.State == v1alpha1.KeyState(state) {
			return key.KID
		}
	}
	s.t.Fatalf("there is no %s key of the %s ring: %v", state, use, s.Issuer.Status.Keys)
	return ""
}

// used records a refresh key with a current token of the active key of the refresh ring, which expires on a day.
func (s *situation) used(expires int) {
	key := v1alpha1.JWTRefreshKey{}
	end := day(expires)
	key.Status.Issuer, key.Status.KeyID, key.Status.ExpiresAt = s.Issuer.Name, s.kid(keyring.Refresh, keyring.Active), &end
	s.Use = UseOf(s.Issuer, []v1alpha1.JWTRefreshKey{key})
}

// loses removes the Secret with the signing keys.
func (s *situation) loses() { s.Rings, s.SecretFound = nil, false }

// lacks replaces the rings in the Secret by others.
func (s *situation) lacks() {
	other := fresh(s.t)
	s.Rings = other.decide().Rings
}

func (s *situation) withdraws(kids ...string) {
	s.Issuer.Annotations[v1alpha1.AnnotationWithdrawKey] = strings.Join(kids, ",")
}

// everyKID returns the kids that status shows.
func (s *situation) everyKID() (kids []string) {
	for _, key := range s.Issuer.Status.Keys {
		kids = append(kids, key.KID)
	}
	return kids
}

// states returns the rings of a plan, as "access Pending, refresh Active"; "stay" for nil.
func states(rings *keyring.Rings) string {
	if rings == nil {
		return stay
	}
	var all []string
	for _, key := range rings.Keys() {
		all = append(all, fmt.Sprintf("%s %s", key.Use, key.State))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// says returns the verdict in a line: the conditions that are True, and the reason of Ready.
func says(v Verdict) string {
	var all []string
	for _, condition := range []struct {
		name string
		is   bool
	}{{"Ready", v.Ready}, {"Reconciling", v.Reconciling}, {"Stalled", v.Stalled}} {
		if condition.is {
			all = append(all, condition.name)
		}
	}
	return strings.Join(all, ", ") + ": " + v.Reason
}

var errGenerate = errors.New("no entropy")

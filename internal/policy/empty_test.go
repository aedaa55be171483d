package policy

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// TestAPolicyWithoutRulesGrantsNothing: the documented default is for an issuer without a policy. One
// whose rules are gone, or were never written, is closed. A Go client drops an empty list on the way to
// the API server, and the object says the same without it.
func TestAPolicyWithoutRulesGrantsNothing(t *testing.T) {
	lastRuleDeleted := &v1alpha1.JWTIssuerSpec{Policy: &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{}}}}
	lastRuleDeleted.Policy.Rules = lastRuleDeleted.Policy.Rules[:0]
	for _, tt := range []struct {
		name   string
		spec   *v1alpha1.JWTIssuerSpec
		closed bool
	}{
		{name: "no policy", spec: decoded(t, `{}`)},
		{name: "policy: null", spec: decoded(t, `{"policy":null}`)},
		{name: "a rule without fields", spec: decoded(t, `{"policy":{"rules":[{}]}}`)},
		{name: "policy: {}", spec: decoded(t, `{"policy":{}}`), closed: true},
		{name: "rules: []", spec: decoded(t, `{"policy":{"rules":[]}}`), closed: true},
		{name: "rules: null", spec: decoded(t, `{"policy":{"rules":null}}`), closed: true},
		{name: "the last rule was deleted", spec: lastRuleDeleted, closed: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			written, err := json.Marshal(tt.spec)
			if err != nil {
				t.Fatal(err)
			}
			for how, spec := range map[string]*v1alpha1.JWTIssuerSpec{"as read": tt.spec, "as a Go client writes it back": decoded(t, string(written))} {
				p, err := Compile(spec)
				if err != nil {
					t.Fatalf("%s: Compile: %v", how, err)
				}
				checkClosed(t, p, how, tt.closed)
			}
		})
	}
}

func checkClosed(t *testing.T, p *Policy, how string, closed bool) {
	t.Helper()
	if p.GrantsNothing() != closed {
		t.Errorf("%s: GrantsNothing is %v", how, !closed)
	}
	err := p.Check(request(nil))
	var denied *DeniedError
	switch {
	case !closed && err != nil:
		t.Errorf("%s: denied: %v", how, err)
	case closed && !errors.As(err, &denied):
		t.Errorf("%s: got %v, want a denial", how, err)
	case closed && !strings.Contains(err.Error(), "spec.policy has no rules"):
		t.Errorf("%s: the denial %q does not say that the policy has no rules", how, err)
	}
	if longest := p.Longest(request(nil)); (longest == 0) != closed {
		t.Errorf("%s: the longest lifetime granted is %s", how, longest)
	}
	// Tokens that an earlier policy granted may live: the keys that signed them must not go early.
	if p.LongestLifetime() != DefaultMaxLifetime {
		t.Errorf("%s: signing keys are kept for %s, want %s", how, p.LongestLifetime(), DefaultMaxLifetime)
	}
}

func decoded(t *testing.T, text string) *v1alpha1.JWTIssuerSpec {
	t.Helper()
	spec := &v1alpha1.JWTIssuerSpec{}
	if err := json.Unmarshal([]byte(text), spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

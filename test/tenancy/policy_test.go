package tenancy

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// TestATightenedPolicy takes effect on living keys: at their next exchange, and in a status that
// names the rule that came closest and what it lacks. Nothing is lost by it.
func TestATightenedPolicy(t *testing.T) {
	issuer := newIssuer(t,
		v1alpha1.PolicyRule{Audiences: []string{"https://other.example.com"}, Claims: []string{"email"}},
		v1alpha1.PolicyRule{Audiences: []string{"https://*.example.com"}, Scopes: []string{"orders:*"}, Claims: []string{"email"}, Subjects: []string{"till-*"}},
	)
	manage(t)
	r := serve(t)
	namespace := newNamespace(t, map[string]string{"team": "shop"})
	key := create(t, newKey(namespace, "orders", of(issuer.Name), withSubject("till-17"), withClaims(map[string]string{"email": "ops@example.com"}),
		func(key *v1alpha1.JWTRefreshKey) { key.Spec.Scopes = []string{"orders:read", "orders:write"} }))
	held := holds(t, key, 1)
	gets(t, r, issuer, held, "200")
	loose := issuer.Spec.Policy.DeepCopy()
	for name, c := range map[string]struct {
		tighten func(rule *v1alpha1.PolicyRule)
		lacks   string
	}{
		"audience": {func(rule *v1alpha1.PolicyRule) { rule.Audiences = []string{"https://*.example.net"} }, `audience "` + audience + `"`},
		"scopes":   {func(rule *v1alpha1.PolicyRule) { rule.Scopes = []string{"*:read"} }, `scope "orders:write"`},
		"claims":   {func(rule *v1alpha1.PolicyRule) { rule.Claims = nil }, `claim "email"`},
		"subjects": {func(rule *v1alpha1.PolicyRule) { rule.Subjects = []string{"shop-*"} }, `subject "till-17"`},
		"lifetime": {func(rule *v1alpha1.PolicyRule) { rule.MaxLifetime = &metav1.Duration{Duration: time.Hour} }, `lifetime 720h0m0s (at most 1h0m0s)`},
		"namespaces": {func(rule *v1alpha1.PolicyRule) {
			rule.Namespaces = &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "billing"}}
		}, "the namespace's labels"},
	} {
		t.Run(name, func(t *testing.T) {
			edit(t, issuer, func(issuer *v1alpha1.JWTIssuer) { c.tighten(&issuer.Spec.Policy.Rules[1]) })
			gets(t, r, issuer, held, "400 unauthorized_client")
			message := says(t, key, v1alpha1.ReasonPolicyDenied)
			if wanted := `JWTIssuer "` + issuer.Name + `" does not grant it: no policy rule grants all of it; rule 2 comes closest and lacks: ` + c.lacks; !strings.HasPrefix(message, wanted) {
				t.Errorf("it says %q, and should begin %q", message, wanted)
			}
			if !stalled(key) {
				t.Error("it is not Stalled")
			}
			edit(t, issuer, func(issuer *v1alpha1.JWTIssuer) { issuer.Spec.Policy = loose.DeepCopy() })
			gets(t, r, issuer, held, "200")
			says(t, key, v1alpha1.ReasonIssued)
			if holds(t, key, 1) != held {
				t.Error("the client's token is another one")
			}
		})
	}
}

func stalled(key *v1alpha1.JWTRefreshKey) bool {
	for _, condition := range key.Status.Conditions {
		if condition.Type == v1alpha1.ConditionStalled && condition.Status == metav1.ConditionTrue {
			return true
		}
	}
	return false
}

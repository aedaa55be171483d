package tenancy

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// TestATightenedPolicy checks that a tightened policy applies to issued keys: at their next exchange, and
// in a status that names the closest rule and what it lacks. Once the policy is loosened, the token is
// accepted again.
func TestATightenedPolicy(t *testing.T) {
	issuer := newIssuer(t,
		v1alpha1.PolicyRule{Audiences: []string{"https://other.example.com"}, Claims: []string{"email"}},
		v1alpha1.PolicyRule{Audiences: []string{"https://*.example.com"}, Scopes: []string{"orders:*"}, Claims: []string{"email"}, Subjects: []string{"till-*"}},
	)
	startManager(t)
	r := startReplica(t)
	namespace := newNamespace(t, map[string]string{"team": "shop"})
	key := create(t, newKey(namespace, "orders", withIssuer(issuer.Name), withSubject("till-17"), withClaims(map[string]string{"email": "ops@example.com"}),
		func(key *v1alpha1.JWTRefreshKey) { key.Spec.Scopes = []string{"orders:read", "orders:write"} }))
	held := awaitRevision(t, key, 1)
	awaitExchange(t, r, issuer, held, "200")
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
			awaitExchange(t, r, issuer, held, "400 unauthorized_client")
			message := awaitReason(t, key, v1alpha1.ReasonPolicyDenied)
			if wanted := `JWTIssuer "` + issuer.Name + `" does not grant it: no policy rule grants all of it; rule 2 comes closest and lacks: ` + c.lacks; !strings.HasPrefix(message, wanted) {
				t.Errorf("got message %q, want prefix %q", message, wanted)
			}
			if !isStalled(key) {
				t.Error("condition Stalled: got not True, want True")
			}
			edit(t, issuer, func(issuer *v1alpha1.JWTIssuer) { issuer.Spec.Policy = loose.DeepCopy() })
			awaitExchange(t, r, issuer, held, "200")
			awaitReason(t, key, v1alpha1.ReasonIssued)
			if awaitRevision(t, key, 1) != held {
				t.Error("the Secret holds another token than before")
			}
		})
	}
}

func isStalled(key *v1alpha1.JWTRefreshKey) bool {
	for _, condition := range key.Status.Conditions {
		if condition.Type == v1alpha1.ConditionStalled && condition.Status == metav1.ConditionTrue {
			return true
		}
	}
	return false
}

// TestAPolicyWithoutRules checks that deleting the last rule closes an issuer, at the token service, too.
// Once the rules are back, the token is accepted again.
func TestAPolicyWithoutRules(t *testing.T) {
	issuer := newIssuer(t, v1alpha1.PolicyRule{Audiences: []string{"https://*.example.com"}})
	startManager(t)
	r := startReplica(t)
	key := create(t, newKey(newNamespace(t, nil), "orders", withIssuer(issuer.Name)))
	held := awaitRevision(t, key, 1)
	awaitExchange(t, r, issuer, held, "200")
	rules := issuer.Spec.Policy.DeepCopy()
	edit(t, issuer, func(issuer *v1alpha1.JWTIssuer) { issuer.Spec.Policy.Rules = nil })
	awaitExchange(t, r, issuer, held, "400 unauthorized_client")
	if message := awaitReason(t, key, v1alpha1.ReasonPolicyDenied); !strings.Contains(message, "spec.policy has no rules") {
		t.Errorf("got message %q, want one with %q", message, "spec.policy has no rules")
	}
	edit(t, issuer, func(issuer *v1alpha1.JWTIssuer) { issuer.Spec.Policy = rules })
	awaitExchange(t, r, issuer, held, "200")
}

// TestOneRuleServesTwoTeams checks that with placeholders in a rule each team gets its own names, and not
// those of the other team.
func TestOneRuleServesTwoTeams(t *testing.T) {
	issuer := newIssuer(t, v1alpha1.PolicyRule{
		Audiences: []string{"https://{namespace}.example.com"}, Scopes: []string{"{label:team}:*"}, Subjects: []string{"{namespace}:*"},
	})
	startManager(t)
	r := startReplica(t)
	shop, bank := newNamespace(t, map[string]string{"team": "shop"}), newNamespace(t, map[string]string{"team": "bank"})
	ask := func(namespace, name, like, team string) *v1alpha1.JWTRefreshKey {
		return create(t, newKey(namespace, name, withIssuer(issuer.Name), withSubject(like+":till"), func(key *v1alpha1.JWTRefreshKey) {
			key.Spec.Audience, key.Spec.Scopes = "https://"+like+".example.com", []string{team + ":read"}
		}))
	}
	for namespace, team := range map[string]string{shop: "shop", bank: "bank"} {
		awaitExchange(t, r, issuer, awaitRevision(t, ask(namespace, "own", namespace, team), 1), "200")
	}
	message := awaitReason(t, ask(shop, "theirs", bank, "bank"), v1alpha1.ReasonPolicyDenied)
	for _, lacks := range []string{`audience "https://` + bank, `subject "` + bank, `scope "bank:read"`} {
		if !strings.Contains(message, lacks) {
			t.Errorf("got message %q, want one with %q", message, lacks)
		}
	}
}

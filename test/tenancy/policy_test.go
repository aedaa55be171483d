package tenancy

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestATightenedPolicy checks that a tightened policy applies to issued keys: at their next exchange, and
// in a status that names the closest rule and what it lacks. Once the policy is loosened, the token is
// accepted again.
func TestATightenedPolicy(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	issuer := newIssuer(h,
		v1alpha1.PolicyRule{Audiences: []string{"https://other.example.com"}, Claims: []string{"email"}},
		v1alpha1.PolicyRule{Audiences: []string{"https://*.example.com"}, Scopes: []string{"orders:*"}, Claims: []string{"email"}, Subjects: []string{"till-*"}},
	)
	h.Manage()
	r := h.Replica()
	namespace := h.Namespace(map[string]string{"team": "shop"})
	key := harness.Created(h, harness.NewKey(namespace, "orders", harness.WithIssuer(issuer.Name), withSubject("till-17"), withClaims(map[string]string{"email": "ops@example.com"}),
		func(key *v1alpha1.JWTRefreshKey) { key.Spec.Scopes = []string{"orders:read", "orders:write"} }))
	held := h.AwaitRevision(key, 1)
	awaitExchange(h, r, issuer, held, "200")
	loose := issuer.Spec.Policy.DeepCopy()
	for name, c := range map[string]struct {
		tighten func(rule *v1alpha1.PolicyRule)
		lacks   string
	}{
		"audience": {func(rule *v1alpha1.PolicyRule) { rule.Audiences = []string{"https://*.example.net"} }, `audience "` + harness.Audience + `"`},
		"scopes":   {func(rule *v1alpha1.PolicyRule) { rule.Scopes = []string{"*:read"} }, `scope "orders:write"`},
		"claims":   {func(rule *v1alpha1.PolicyRule) { rule.Claims = nil }, `claim "email"`},
		"subjects": {func(rule *v1alpha1.PolicyRule) { rule.Subjects = []string{"shop-*"} }, `subject "till-17"`},
		"lifetime": {func(rule *v1alpha1.PolicyRule) { rule.MaxLifetime = &metav1.Duration{Duration: time.Hour} }, `lifetime 720h0m0s (at most 1h0m0s)`},
		"namespaces": {func(rule *v1alpha1.PolicyRule) {
			rule.Namespaces = &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "billing"}}
		}, "the namespace's labels"},
	} {
		t.Run(name, func(t *testing.T) {
			h := h.In(t)
			harness.Edit(h, issuer, func(issuer *v1alpha1.JWTIssuer) { c.tighten(&issuer.Spec.Policy.Rules[1]) })
			awaitExchange(h, r, issuer, held, "400 unauthorized_client")
			message := h.AwaitReason(key, v1alpha1.ReasonPolicyDenied)
			if wanted := `JWTIssuer "` + issuer.Name + `" does not grant it: no policy rule grants all of it; rule 2 comes closest and lacks: ` + c.lacks; !strings.HasPrefix(message, wanted) {
				t.Errorf("got message %q, want prefix %q", message, wanted)
			}
			if !isStalled(key) {
				t.Error("condition Stalled: got not True, want True")
			}
			harness.Edit(h, issuer, func(issuer *v1alpha1.JWTIssuer) { issuer.Spec.Policy = loose.DeepCopy() })
			awaitExchange(h, r, issuer, held, "200")
			h.AwaitReason(key, v1alpha1.ReasonIssued)
			if h.AwaitRevision(key, 1) != held {
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
	h := harness.New(t, server, clock.RealClock{})
	issuer := newIssuer(h, v1alpha1.PolicyRule{Audiences: []string{"https://*.example.com"}})
	h.Manage()
	r := h.Replica()
	key := harness.Created(h, harness.NewKey(h.Namespace(nil), "orders", harness.WithIssuer(issuer.Name)))
	held := h.AwaitRevision(key, 1)
	awaitExchange(h, r, issuer, held, "200")
	rules := issuer.Spec.Policy.DeepCopy()
	harness.Edit(h, issuer, func(issuer *v1alpha1.JWTIssuer) { issuer.Spec.Policy.Rules = nil })
	awaitExchange(h, r, issuer, held, "400 unauthorized_client")
	if message := h.AwaitReason(key, v1alpha1.ReasonPolicyDenied); !strings.Contains(message, "spec.policy has no rules") {
		t.Errorf("got message %q, want one with %q", message, "spec.policy has no rules")
	}
	harness.Edit(h, issuer, func(issuer *v1alpha1.JWTIssuer) { issuer.Spec.Policy = rules })
	awaitExchange(h, r, issuer, held, "200")
}

// TestOneRuleServesTwoTeams checks that with placeholders in a rule each team gets its own names, and not
// those of the other team.
func TestOneRuleServesTwoTeams(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	issuer := newIssuer(h, v1alpha1.PolicyRule{
		Audiences: []string{"https://{namespace}.example.com"}, Scopes: []string{"{label:team}:*"}, Subjects: []string{"{namespace}:*"},
	})
	h.Manage()
	r := h.Replica()
	shop, bank := h.Namespace(map[string]string{"team": "shop"}), h.Namespace(map[string]string{"team": "bank"})
	ask := func(namespace, name, like, team string) *v1alpha1.JWTRefreshKey {
		return harness.Created(h, harness.NewKey(namespace, name, harness.WithIssuer(issuer.Name), withSubject(like+":till"), func(key *v1alpha1.JWTRefreshKey) {
			key.Spec.Audience, key.Spec.Scopes = "https://"+like+".example.com", []string{team + ":read"}
		}))
	}
	for namespace, team := range map[string]string{shop: "shop", bank: "bank"} {
		awaitExchange(h, r, issuer, h.AwaitRevision(ask(namespace, "own", namespace, team), 1), "200")
	}
	message := h.AwaitReason(ask(shop, "theirs", bank, "bank"), v1alpha1.ReasonPolicyDenied)
	for _, lacks := range []string{`audience "https://` + bank, `subject "` + bank, `scope "bank:read"`} {
		if !strings.Contains(message, lacks) {
			t.Errorf("got message %q, want one with %q", message, lacks)
		}
	}
}

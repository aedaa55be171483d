package policy

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func request(change func(*Request)) Request {
	r := Request{
		Namespace:       "shop",
		NamespaceLabels: map[string]string{"team": "shop"},
		DefaultSubject:  "refreshkey:shop:orders",
		Subject:         "refreshkey:shop:orders",
		Audience:        "https://orders.example.com",
		Lifetime:        720 * time.Hour,
		AccessLifetime:  15 * time.Minute,
	}
	if change != nil {
		change(&r)
	}
	return r
}

func TestCheck(t *testing.T) {
	shop := v1alpha1.PolicyRule{
		Namespaces:  &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "shop"}},
		Audiences:   []string{"https://*.example.com"},
		MaxLifetime: &metav1.Duration{Duration: 1000 * time.Hour},
		Scopes:      []string{"orders:*"},
		Claims:      []string{"email", "tier"},
		Subjects:    []string{"shop:*"},
	}
	tests := []struct {
		name   string
		rules  []v1alpha1.PolicyRule
		ask    func(*Request)
		denied string
	}{
		{name: "no policy: any audience with the default subject", ask: func(r *Request) { r.Audience = "anything" }},
		{name: "no policy: up to 2160h", ask: func(r *Request) { r.Lifetime = 2160 * time.Hour }},
		{name: "no policy: not beyond 2160h", ask: func(r *Request) { r.Lifetime = 2161 * time.Hour }, denied: "lifetime 2161h0m0s (at most 2160h0m0s)"},
		{name: "no policy: no scopes", ask: func(r *Request) { r.Scopes = []string{"orders:read"} }, denied: `scope "orders:read"`},
		{name: "no policy: no claims", ask: func(r *Request) { r.Claims = []string{"email"} }, denied: `claim "email"`},
		{name: "no policy: no other subject", ask: func(r *Request) { r.Subject = "till" }, denied: `subject "till"`},
		{name: "access token beyond the issuer's bound", ask: func(r *Request) { r.AccessLifetime = 2 * time.Hour }, denied: "accessToken.lifetime 2h0m0s is more than the issuer's maxLifetime 1h0m0s"},

		{name: "one rule grants all of it", rules: []v1alpha1.PolicyRule{shop}, ask: func(r *Request) {
			r.Scopes, r.Claims, r.Subject = []string{"orders:read", "orders:write"}, []string{"email"}, "shop:till"
		}},
		{name: "another namespace", rules: []v1alpha1.PolicyRule{shop}, ask: func(r *Request) { r.NamespaceLabels = map[string]string{"team": "bank"} }, denied: "the namespace's labels"},
		{name: "star does not cross a slash", rules: []v1alpha1.PolicyRule{shop}, ask: func(r *Request) { r.Audience = "https://evil.test/x.example.com" }, denied: "audience"},
		{name: "star does not cross a colon", rules: []v1alpha1.PolicyRule{shop}, ask: func(r *Request) { r.Audience = "https://evil:8443.example.com" }, denied: "audience"},
		{name: "a glob is anchored", rules: []v1alpha1.PolicyRule{shop}, ask: func(r *Request) { r.Audience = "https://a.example.com.evil.test" }, denied: "audience"},
		{name: "a dot is a dot", rules: []v1alpha1.PolicyRule{shop}, ask: func(r *Request) { r.Audience = "https://aXexample.com" }, denied: "audience"},
		{name: "two stars cross all", rules: []v1alpha1.PolicyRule{{Audiences: []string{"https://**.example.com"}}}, ask: func(r *Request) { r.Audience = "https://a:1/b.example.com" }},
		{name: "refreshkey: subjects are never granted", rules: []v1alpha1.PolicyRule{{Subjects: []string{"**"}}}, ask: func(r *Request) { r.Subject = "refreshkey:bank:vault" }, denied: "never granted"},
		{name: "system: subjects are never granted", rules: []v1alpha1.PolicyRule{{Subjects: []string{"**"}}}, ask: func(r *Request) { r.Subject = "system:admin" }, denied: "never granted"},
		{name: "halves of two rules are not a grant", rules: []v1alpha1.PolicyRule{{Scopes: []string{"a"}}, {Claims: []string{"b"}}}, ask: func(r *Request) {
			r.Scopes, r.Claims = []string{"a"}, []string{"b"}
		}, denied: "rule 1 comes closest and lacks: claim \"b\""},
		{name: "the closest rule is named", rules: []v1alpha1.PolicyRule{{Audiences: []string{"x"}, Scopes: []string{"y"}}, shop}, ask: func(r *Request) {
			r.Scopes = []string{"orders:read", "admin"}
		}, denied: `rule 2 comes closest and lacks: scope "admin"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec := &v1alpha1.JWTIssuerSpec{}
			if tt.rules != nil {
				spec.Policy = &v1alpha1.PolicySpec{Rules: tt.rules}
			}
			p, err := Compile(spec)
			if err != nil {
				t.Fatalf("Compile: %v", err)
			}
			err = p.Check(request(tt.ask))
			if tt.denied == "" {
				if err != nil {
					t.Errorf("denied: %v", err)
				}
				return
			}
			var denied *DeniedError
			if !errors.As(err, &denied) || !strings.Contains(err.Error(), tt.denied) {
				t.Errorf("got %v, want a denial that says %q", err, tt.denied)
			}
		})
	}
}

func TestCompileNamesTheRuleThatCannotBeRead(t *testing.T) {
	_, err := Compile(&v1alpha1.JWTIssuerSpec{Policy: &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{
		{},
		{Namespaces: &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"not a label": "x"}}},
	}}})
	if err == nil || !strings.Contains(err.Error(), "policy rule 2") {
		t.Errorf("got %v, want an error that names rule 2", err)
	}
}

func TestLongestLifetimeIsThatOfTheMostGenerousRule(t *testing.T) {
	p, err := Compile(&v1alpha1.JWTIssuerSpec{Policy: &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{
		{MaxLifetime: &metav1.Duration{Duration: time.Hour}},
		{MaxLifetime: &metav1.Duration{Duration: 9000 * time.Hour}},
	}}})
	if err != nil || p.LongestLifetime() != 9000*time.Hour {
		t.Errorf("got %v, %v", p.LongestLifetime(), err)
	}
}

package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// benchmarkCheck asks for what one of the rules grants, as each exchange does.
func benchmarkCheck(b *testing.B, rules ...v1alpha1.PolicyRule) {
	p, err := Compile(&v1alpha1.JWTIssuerSpec{Policy: &v1alpha1.PolicySpec{Rules: rules}})
	if err != nil {
		b.Fatal(err)
	}
	r := request(func(r *Request) { r.Scopes = []string{"orders:read", "orders:write"} })
	if err := p.Check(r); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = p.Check(r)
	}
}

func BenchmarkCheckOneRule(b *testing.B) {
	benchmarkCheck(b, v1alpha1.PolicyRule{Audiences: []string{"https://*.example.com"}, Scopes: []string{"orders:*"}})
}

// BenchmarkCheckLastOfManyRules is the worst of an issuer with a rule for each team.
func BenchmarkCheckLastOfManyRules(b *testing.B) {
	rules := make([]v1alpha1.PolicyRule, 0, 64)
	for i := range 63 {
		rules = append(rules, v1alpha1.PolicyRule{
			Namespaces: &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": v1alpha1.LabelValue(fmt.Sprintf("team-%d", i))}},
			Audiences:  []string{fmt.Sprintf("https://*.team-%d.example.com", i)}, Scopes: []string{fmt.Sprintf("team-%d:*", i)},
		})
	}
	benchmarkCheck(b, append(rules, v1alpha1.PolicyRule{Audiences: []string{"https://*.example.com"}, Scopes: []string{"orders:*"}})...)
}

// BenchmarkCheckOneRuleForAllTeams is the one rule that the page on hardening recommends.
func BenchmarkCheckOneRuleForAllTeams(b *testing.B) {
	benchmarkCheck(b, v1alpha1.PolicyRule{Audiences: []string{"https://*.example.com", "https://*.{namespace}.example.com"}, Scopes: []string{"{namespace}:*", "{label:team}:*", "orders:*"}})
}

// BenchmarkGlobAtItsWorst is a text made for a glob with many stars: 512 characters of it.
func BenchmarkGlobAtItsWorst(b *testing.B) {
	g, err := compileGlob(strings.Repeat("**a*", 64) + "b*")
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Repeat("a", longestText)
	b.ReportAllocs()
	for b.Loop() {
		g.matches(text, &Request{})
	}
}

// TestCheckAllocatesNothing: what is granted is found at each exchange without work for the collector,
// with placeholders too.
func TestCheckAllocatesNothing(t *testing.T) {
	p, err := Compile(&v1alpha1.JWTIssuerSpec{Policy: &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{
		{Namespaces: &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "bank"}}},
		{Audiences: []string{"https://*.{namespace}.example.com", "https://*.example.com"}, Scopes: []string{"*:*:{label:team}:*", "orders:*"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	r := request(func(r *Request) { r.Scopes = []string{"orders:read", "a:b:shop:c"} })
	if err := p.Check(r); err != nil {
		t.Fatal(err)
	}
	if allocations := testing.AllocsPerRun(100, func() { _ = p.Check(r) }); allocations > 0 {
		t.Errorf("Check allocates %v times", allocations)
	}
}

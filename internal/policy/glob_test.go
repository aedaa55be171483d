package policy

import (
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func TestGlobs(t *testing.T) {
	const audience = "https://*.example.com"
	for _, tt := range []struct {
		name, glob, text string
		want             bool
	}{
		{"text is itself", "shop:till", "shop:till", true},
		{"a part of it is not enough", "shop:till", "shop:til", false},
		{"more than it is too much", "shop:till", "shop:till2", false},
		{"star within a host", audience, "https://a.example.com", true},
		{"star for several labels of a host", audience, "https://a.b.example.com", true},
		{"star for nothing", audience, "https://.example.com", true},
		{"star stops at a slash", audience, "https://evil.test/x.example.com", false},
		{"star stops at a colon", audience, "https://evil:8443.example.com", false},
		{"a prefix that overlaps the suffix", "aba*ba", "aba", false},
		{"two stars cross both", "https://**.example.com", "https://a:1/b.example.com", true},
		{"three stars are two and one", "***", "a/b:c", true},
		{"stars one behind the other", "*:*:*", "a:b:c", true},
		{"a star for each part", "*:*", "a:b:c", false},
		{"star that must give back", "*a", "aaaa", true},
		{"stars that must give back", "*ab*ab", "abababab", true},
		{"two stars that must give back across a slash", "**/x/*", "a/x/b/x/c", true},
		{"two stars and a star that cannot reach the end", "**/x/*", "a/x/b/c", false},
		{"letters beyond ASCII", "*é", "éé", true},
		{"empty text", "**", "", true},
		{"text longer than any audience", "*a*", strings.Repeat("b", 2000) + "a" + strings.Repeat("b", 2000), true},
		{"text longer than any audience, without what is looked for", "*a*", strings.Repeat("b", 4000), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := compileGlob(tt.glob)
			if err != nil {
				t.Fatal(err)
			}
			if got := g.matches(tt.text, &Request{}); got != tt.want {
				t.Errorf("%q on %q: got %v", tt.glob, tt.text, got)
			}
		})
	}
}

// TestPlaceholders: one rule serves every namespace, and each gets what bears its own name.
func TestPlaceholders(t *testing.T) {
	const host = "https://{namespace}.example.com"
	for _, tt := range []struct {
		name, glob, namespace string
		labels                map[string]string
		text                  string
		want                  bool
	}{
		{name: "the namespace's own", glob: host, namespace: "shop", text: "https://shop.example.com", want: true},
		{name: "another namespace's", glob: host, namespace: "shop", text: "https://bank.example.com"},
		{name: "a namespace that begins alike", glob: host, namespace: "shop", text: "https://shop-eu.example.com"},
		{name: "the placeholder itself", glob: host, namespace: "shop", text: host},
		{name: "a label", glob: "{label:team}:*", labels: map[string]string{"team": "till"}, text: "till:read", want: true},
		{name: "a label with a prefix", glob: "{label:example.com/team}:*", labels: map[string]string{"example.com/team": "till"}, text: "till:read", want: true},
		{name: "a label of another name", glob: "{label:team}:*", labels: map[string]string{"Team": "till"}, text: "till:read"},
		{name: "both, and a star", glob: "https://*.{label:team}.{namespace}.example.com/**", namespace: "shop", labels: map[string]string{"team": "till"}, text: "https://a.till.shop.example.com/x/y", want: true},
		{name: "between stars", glob: "*{namespace}*", namespace: "shop", text: "a-shop-b", want: true},
		{name: "twice", glob: "{namespace}/{namespace}", namespace: "shop", text: "shop/shop", want: true},
		{name: "twice, and once it is another", glob: "{namespace}/{namespace}", namespace: "shop", text: "shop/bank"},
		{name: "kubernetes.io/metadata.name", glob: "{label:kubernetes.io/metadata.name}", labels: map[string]string{"kubernetes.io/metadata.name": "shop"}, text: "shop", want: true},

		{name: "a label that is not there", glob: "{label:team}:*", text: ":read"},
		{name: "a label that is not there, and two stars", glob: "{label:team}**", text: "anything"},
		{name: "a label that is not there, between stars", glob: "**{label:team}**", text: "anything"},
		{name: "a label that is not there, as text", glob: "{label:team}:*", text: "{label:team}:read"},
		{name: "an empty label", glob: "{label:team}:*", labels: map[string]string{"team": ""}, text: ":read"},
		{name: "an empty label and two stars", glob: "{label:team}**", labels: map[string]string{"team": ""}, text: "anything"},
		{name: "a namespace that is not known", glob: "{namespace}**", text: "anything"},

		{name: "a star is a star", glob: "{namespace}:read", namespace: "*", text: "bank:read"},
		{name: "a star is a star, and itself", glob: "{namespace}:read", namespace: "*", text: "*:read", want: true},
		{name: "two stars are two stars", glob: "https://{label:team}.example.com", labels: map[string]string{"team": "**"}, text: "https://bank.example.com"},
		{name: "a dot is a dot", glob: "{label:team}:read", labels: map[string]string{"team": "a.c"}, text: "abc:read"},
		{name: "a label with a dot stays below the domain", glob: host[:8] + "{label:team}.example.com", labels: map[string]string{"team": "a.evil"}, text: "https://a.evil.example.com", want: true},
		{name: "a label with a dot is not the team behind the dot", glob: host[:8] + "{label:team}.example.com", labels: map[string]string{"team": "a.evil"}, text: "https://evil.example.com"},
		{name: "a regular expression is text", glob: "{label:team}", labels: map[string]string{"team": "(a|b)+?[c]\\"}, text: "a"},
		{name: "a placeholder in a value is text", glob: "{label:team}:read", namespace: "shop", labels: map[string]string{"team": "{namespace}"}, text: "shop:read"},
		{name: "a slash in a value is a slash", glob: "https://{namespace}.example.com", namespace: "evil.test/x", text: "https://evil.example.com"},
		{name: "letters of another script that look alike", glob: host, namespace: "shоp", text: "https://shop.example.com"},
		{name: "another case", glob: host, namespace: "Shop", text: "https://shop.example.com"},
		{name: "a value in two forms of Unicode", glob: "{namespace}", namespace: "e\u0301", text: "\u00e9"},
		{name: "a byte that is no text", glob: "{namespace}", namespace: "\xff", text: "\ufffd"},
		{name: "a line break", glob: "{namespace}:read", namespace: "shop\n", text: "shop:read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := compileGlob(tt.glob)
			if err != nil {
				t.Fatal(err)
			}
			if got := g.matches(tt.text, &Request{Namespace: tt.namespace, NamespaceLabels: tt.labels}); got != tt.want {
				t.Errorf("%q on %q in namespace %q with labels %q: got %v", tt.glob, tt.text, tt.namespace, tt.labels, got)
			}
		})
	}
}

// TestOneRuleForAllTeams: 200 teams, each with its own audience, scopes and subjects, by one rule.
func TestOneRuleForAllTeams(t *testing.T) {
	p, err := Compile(&v1alpha1.JWTIssuerSpec{Policy: &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{
		Audiences: []string{"https://{namespace}.example.com"}, Scopes: []string{"{label:team}:*"}, Subjects: []string{"{namespace}:*"},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	team := func(i int) string { return "team-" + strings.Repeat("x", i) }
	for i := range 200 {
		for _, other := range []int{i, (i + 1) % 200, (i + 100) % 200} {
			of := team(other)
			ask := Request{
				Namespace: team(i), NamespaceLabels: map[string]string{"team": team(i)}, DefaultSubject: "refreshkey:" + team(i) + ":k",
				Audience: "https://" + of + ".example.com", Subject: of + ":till", Scopes: []string{of + ":read"},
			}
			if err := p.Check(ask); (err == nil) != (other == i) {
				t.Errorf("namespace %d, asking for what is namespace %d's: %v", i, other, err)
			}
			for what, ask := range map[string]Request{
				"audience": {Namespace: ask.Namespace, Audience: ask.Audience},
				"scope":    {Namespace: ask.Namespace, NamespaceLabels: ask.NamespaceLabels, Audience: "https://" + team(i) + ".example.com", Scopes: ask.Scopes},
				"subject":  {Namespace: ask.Namespace, Audience: "https://" + team(i) + ".example.com", DefaultSubject: ask.DefaultSubject, Subject: ask.Subject},
			} {
				if err := p.Check(ask); (err == nil) != (other == i) {
					t.Errorf("namespace %d, asking for the %s that is namespace %d's: %v", i, what, other, err)
				}
			}
		}
	}
}

// TestReservedSubjectsAreOutOfReach: no substitution makes a namespace a key, or one of the cluster.
func TestReservedSubjectsAreOutOfReach(t *testing.T) {
	for _, reserved := range []string{"system", "refreshkey"} {
		for _, glob := range []string{"{namespace}:**", "{label:team}:*", "{label:team}**", "{label:a}{label:b}:**"} {
			p, err := Compile(&v1alpha1.JWTIssuerSpec{Policy: &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Subjects: []string{glob}}}}})
			if err != nil {
				t.Fatal(err)
			}
			ask := Request{
				Namespace: reserved, NamespaceLabels: map[string]string{"team": reserved, "a": reserved[:3], "b": reserved[3:]},
				DefaultSubject: "refreshkey:" + reserved + ":k", Subject: reserved + ":masters",
			}
			if err := p.Check(ask); err == nil || !strings.Contains(err.Error(), "never granted") {
				t.Errorf("%s in namespace %s: subject %s: got %v", glob, reserved, ask.Subject, err)
			}
		}
	}
}

func TestBraces(t *testing.T) {
	for _, tt := range []struct {
		glob string
		good bool
	}{
		{"{namespace}", true},
		{"{label:team}", true},
		{"a{namespace}b{label:example.com/team}c", true},
		{"{label:" + strings.Repeat("b", 253) + "/" + strings.Repeat("c", 63) + "}", true},
		{"{label:" + strings.Repeat("b", 254) + "/" + strings.Repeat("c", 63) + "}", false},
		{"{label:" + strings.Repeat("c", 63) + "}", true},
		{"{label:" + strings.Repeat("c", 64) + "}", false},
		{"{", false},
		{"}", false},
		{"{}", false},
		{"a}", false},
		{"{{namespace}}", false},
		{"{namespace", false},
		{"{Namespace}", false},
		{"{ namespace}", false},
		{"{name}", false},
		{"{label}", false},
		{"{label:}", false},
		{"{label:team", false},
		{"{label:not a label}", false},
		{"{label:/team}", false},
		{"{label:example.com/}", false},
		{"{label:Example.com/team}", false},
		{"{label:a/b/c}", false},
		{"{label:te*m}", false},
		{"{label:{namespace}}", false},
		{"{label:-team}", false},
		{"{annotation:team}", false},
		{"${namespace}", true},
		{"\\{namespace}", true},
	} {
		for field, rule := range map[string]v1alpha1.PolicyRule{
			"audiences": {Audiences: []string{"x", tt.glob}}, "scopes": {Scopes: []string{"x", tt.glob}}, "subjects": {Subjects: []string{"x", tt.glob}},
		} {
			_, err := Compile(&v1alpha1.JWTIssuerSpec{Policy: &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{}, rule}}})
			switch {
			case tt.good && err != nil:
				t.Errorf("%s %q: %v", field, tt.glob, err)
			case !tt.good && (err == nil || !strings.Contains(err.Error(), "policy rule 2: "+field+": ") || !strings.Contains(err.Error(), "{label:KEY}")):
				t.Errorf("%s %q: got %v, want an error that names rule and field and says which braces there are", field, tt.glob, err)
			}
		}
	}
}

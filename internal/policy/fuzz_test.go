package policy

import (
	"regexp"
	"strings"
	"testing"
)

// FuzzGlob holds the matcher against a regular expression made of the same glob, in which every value of
// a placeholder is quoted: no name and no label makes a glob match more.
func FuzzGlob(f *testing.F) {
	for _, glob := range []string{
		"https://{namespace}.example.com", "{label:team}:*", "**{label:team}*{namespace}", "*a*b**c", "{label:example.com/team}", "a}b", "***", "",
	} {
		f.Add(glob, "https://shop.example.com", "shop", "till")
		f.Add(glob, "**", "*", "**")
		f.Add(glob, "a/b:c\n", "a.evil", "")
		f.Add(glob, "{namespace}", "{label:team}", "\xff")
	}
	f.Fuzz(func(t *testing.T, glob, text, namespace, label string) {
		if len(glob) > 1000 || len(text) > 1000 {
			return
		}
		g, err := compileGlob(glob)
		if err != nil {
			return
		}
		r := &Request{Namespace: namespace, NamespaceLabels: map[string]string{"team": label}}
		want := reference(glob, namespace, label)
		if got := g.matches(text, r); got != (want != nil && want.MatchString(asRunes(text))) {
			t.Errorf("%q on %q with namespace %q and label %q: got %v, the expression %v says otherwise", glob, text, namespace, label, got, want)
		}
	})
}

var referenceParts = regexp.MustCompile(`\*\*|\*|\{[^{}]*\}|[^*{}]+`)

// reference is the glob as a regular expression; nil where it matches nothing.
func reference(glob, namespace, label string) *regexp.Regexp {
	var expression strings.Builder
	for _, part := range referenceParts.FindAllString(glob, -1) {
		switch {
		case part == "**":
			expression.WriteString(`(?s:.*)`)
		case part == "*":
			expression.WriteString(`[^/:]*`)
		case part == "{namespace}" && namespace != "":
			expression.WriteString(quoted(namespace))
		case part == "{label:team}" && label != "":
			expression.WriteString(quoted(label))
		case part[0] == '{':
			return nil
		default:
			expression.WriteString(quoted(part))
		}
	}
	return regexp.MustCompile(`\A` + expression.String() + `\z`)
}

// quoted is text as an expression that matches nothing else.
func quoted(text string) string { return regexp.QuoteMeta(asRunes(text)) }

// asRunes makes each byte a rune, since expressions know no bytes that are not UTF-8.
func asRunes(text string) string {
	runes := make([]rune, 0, len(text))
	for _, b := range []byte(text) {
		runes = append(runes, rune(b))
	}
	return string(runes)
}

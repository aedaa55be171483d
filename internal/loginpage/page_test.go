package loginpage

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestTheCatalogueIsComplete checks that each language has each text, and says the same of each failure, problem and end.
func TestTheCatalogueIsComplete(t *testing.T) {
	for i := range catalogue {
		texts, lang := reflect.ValueOf(catalogue[i]), languages[i]
		for n := range texts.NumField() {
			if field := texts.Field(n); field.Kind() == reflect.String && strings.TrimSpace(field.String()) == "" {
				t.Errorf("%s: %s is missing", lang, texts.Type().Field(n).Name)
			}
		}
		for failure := range catalogue[0].Failures {
			if catalogue[i].Failures[failure] == "" {
				t.Errorf("%s: the text of %s is missing", lang, failure)
			}
		}
		for reason := range catalogue[0].Problems {
			if said := catalogue[i].Problems[reason]; said.Heading == "" || said.Advice == "" {
				t.Errorf("%s: a text of %s is missing", lang, reason)
			}
		}
		for _, end := range []End{DeviceAllowed, DeviceDenied, DeviceDecided, DeviceTooLate, DeviceNotGranted} {
			if said := catalogue[i].Ends[end]; said.Heading == "" || said.Advice == "" {
				t.Errorf("%s: a text of %s is missing", lang, end)
			}
		}
	}
	if len(catalogue) != len(languages) {
		t.Errorf("%d catalogues for %d languages", len(catalogue), len(languages))
	}
}

// TestTheLanguageOfAPage checks how a browser's preference chooses.
func TestTheLanguageOfAPage(t *testing.T) {
	for header, want := range map[string]string{
		"": "en", "de": "de", "de-AT,de;q=0.8": "de", "fr-CA": "fr", "es, fr;q=0.3": "fr", "ja": "en", "ja, de;q=0": "en", "*": "en", ";;;": "en",
		strings.Repeat("x", 5000): "en",
	} {
		if texts, got := textsFor(header); got != want || texts.SignIn == "" {
			t.Errorf("%.40q: %s, want %s", header, got, want)
		}
	}
}

var property = regexp.MustCompile(`(?m)^\s*(--[a-z0-9-]+):\s*(.+);$`)

// TestTheSameColoursAsTheConsole checks that both look alike: each design token of the pages has the value of the console's.
func TestTheSameColoursAsTheConsole(t *testing.T) {
	source, err := os.ReadFile("../console/ui/styles/tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	console := map[string]string{}
	for _, found := range property.FindAllStringSubmatch(string(source), -1) {
		console[found[1]] = found[2]
	}
	mine := property.FindAllStringSubmatch(style, -1)
	if len(mine) < 10 {
		t.Fatalf("the style has %d design tokens", len(mine))
	}
	for _, found := range mine {
		if console[found[1]] != found[2] {
			t.Errorf("%s is %s here, and %q in the console", found[1], found[2], console[found[1]])
		}
	}
}

// TestPagesEscape checks that no value of a request becomes markup, on any page.
func TestPagesEscape(t *testing.T) {
	const bad = `"><script>alert(1)</script><b onclick=x>`
	for name, page := range map[string][]byte{
		"login":    (&Login{Application: bad, Action: "https://tokens.example.com/a/authorize/password", Step: bad, User: bad, Failure: WrongPassword}).Render(bad),
		"provider": (&Login{Application: bad, Choose: "https://tokens.example.com/a/authorize/provider", Step: bad, Providers: []Provider{{ID: bad, Name: bad}}}).Render(bad),
		"away":     (&Away{Application: bad, Provider: bad, To: "javascript:" + bad}).Render(bad),
		"consent":  (&Consent{Application: bad, Action: "https://tokens.example.com/a/authorize/consent", Step: bad, Subject: bad, Audience: bad, Scopes: []string{bad}}).Render(bad),
		"problem":  (&Problem{Reason: BadRequest, Detail: bad}).Render(bad),
	} {
		if text := string(page); strings.Contains(text, "<script") || strings.Contains(text, "<b onclick") || strings.Contains(text, "javascript:") || !strings.Contains(text, "&lt;script&gt;") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// TestPolicy checks the directives of the content security policy, and that the style is the one of the page.
func TestPolicy(t *testing.T) {
	got := Policy("https://shop.example.com", "com.example.cli:")
	if !strings.HasSuffix(got, "form-action 'self' https://shop.example.com com.example.cli:") || strings.Contains(got, "unsafe") {
		t.Errorf("the policy is %s", got)
	}
	page := string((&Problem{Reason: Expired}).Render(""))
	if !strings.Contains(page, "<style>"+style+"</style>") {
		t.Error("the style of the page is not the one that the policy names")
	}
}

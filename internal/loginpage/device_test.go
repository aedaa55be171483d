package loginpage

import (
	"strings"
	"testing"
)

// TestPagesForDevicesEscape checks that no value of a request becomes markup.
func TestPagesForDevicesEscape(t *testing.T) {
	const bad = `"><script>alert(1)</script><b onclick=x>`
	consent := Consent{Application: bad, Action: "https://tokens.example.com/a/device/decision", Step: bad, Subject: bad, Audience: bad, Scopes: []string{bad}}
	for name, page := range map[string][]byte{
		"entry":    (&Entry{Action: "https://tokens.example.com/a/device/code", Step: bad, Code: bad, Failure: WrongCode}).Render(bad),
		"question": (&Question{Consent: consent, Code: bad, Address: bad}).Render(bad),
	} {
		if text := string(page); strings.Contains(text, "<script") || strings.Contains(text, "<b onclick") || !strings.Contains(text, "&lt;script&gt;") {
			t.Errorf("%s: %s", name, text)
		}
	}
	for lang, want := range map[string]string{"": "your device", "de": "Ihrem Gerät", "fr": "votre appareil"} {
		if page := string((&Login{}).Render(lang)); !strings.Contains(page, want) {
			t.Errorf("%q: the page to sign in does not name %s", lang, want)
		}
	}
	entry := string((&Entry{Failure: WrongCode}).Render("en"))
	if !strings.Contains(entry, catalogue[0].Failures[WrongCode]) || !strings.Contains(entry, `aria-describedby="failure"`) {
		t.Errorf("the page does not say that the code is wrong: %s", entry)
	}
}

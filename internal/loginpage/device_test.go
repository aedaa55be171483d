package loginpage

import (
	"reflect"
	"strings"
	"testing"
)

// TestTheCatalogueOfDevicesIsComplete checks that each language has each text of the pages for devices.
func TestTheCatalogueOfDevicesIsComplete(t *testing.T) {
	if len(deviceCatalogue) != len(languages) {
		t.Fatalf("%d catalogues for %d languages", len(deviceCatalogue), len(languages))
	}
	for i := range deviceCatalogue {
		texts, lang := reflect.ValueOf(deviceCatalogue[i]), languages[i]
		for n := range texts.NumField() {
			if field := texts.Field(n); field.Kind() == reflect.String && strings.TrimSpace(field.String()) == "" {
				t.Errorf("%s: %s is missing", lang, texts.Type().Field(n).Name)
			}
		}
		for _, end := range []End{DeviceAllowed, DeviceDenied, DeviceDecided, DeviceTooLate, DeviceNotGranted} {
			if said := deviceCatalogue[i].Ends[end]; said.Heading == "" || said.Advice == "" {
				t.Errorf("%s: a text of %s is missing", lang, end)
			}
		}
	}
}

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
	if !strings.Contains(entry, deviceCatalogue[0].WrongCode) || !strings.Contains(entry, `aria-describedby="failure"`) {
		t.Errorf("the page does not say that the code is wrong: %s", entry)
	}
}

package oauth

import (
	"maps"
	"net/url"
	"slices"
	"testing"
	"unicode/utf8"
)

// FuzzParseForm looks for a body that is read as something no client can have meant.
func FuzzParseForm(f *testing.F) {
	for _, form := range forms {
		f.Add([]byte(form.body))
	}
	f.Add([]byte("grant_type=refresh_token&refresh_token=a.b.c&scope=orders%3Aread+orders%3Awrite&device_id=till-17"))
	f.Fuzz(func(t *testing.T, body []byte) {
		form, err := ParseForm(body)
		if err != nil {
			if form != nil {
				t.Errorf("parameters beside the error %v", err)
			}
			return
		}
		parameters := 0
		for name, values := range form {
			parameters += len(values)
			if len(values) == 0 || (len(values) > 1 && !repeatable[name]) {
				t.Errorf("%q has %d values", name, len(values))
			}
			for _, value := range values {
				if value == "" || !utf8.ValidString(value) || !utf8.ValidString(name) {
					t.Errorf("%q is %q", name, value)
				}
			}
		}
		if parameters > MaxParameters {
			t.Errorf("%d parameters", parameters)
		}
		again, err := ParseForm([]byte(url.Values(form).Encode()))
		if err != nil {
			t.Fatalf("read, and not read again: %v", err)
		}
		if !maps.EqualFunc(form, again, slices.Equal) {
			t.Errorf("read as %v, and again as %v", form, again)
		}
	})
}

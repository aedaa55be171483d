package oauth

import (
	"maps"
	"net/url"
	"slices"
	"testing"
	"unicode/utf8"
)

// FuzzParseForm checks that ParseForm accepts only unambiguous UTF-8 forms, and that an encoded form parses to the
// same form.
func FuzzParseForm(f *testing.F) {
	for _, form := range forms {
		f.Add([]byte(form.body))
	}
	f.Add([]byte("grant_type=refresh_token&refresh_token=a.b.c&scope=orders%3Aread+orders%3Awrite&device_id=till-17"))
	f.Fuzz(func(t *testing.T, body []byte) {
		form, err := ParseForm(body)
		if err != nil {
			if form != nil {
				t.Errorf("parameters are returned with the error %v", err)
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
			t.Fatalf("the encoded form is refused: %v", err)
		}
		if !maps.EqualFunc(form, again, slices.Equal) {
			t.Errorf("parsed as %v, and the encoded form as %v", form, again)
		}
	})
}

package token

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestClaimed(t *testing.T) {
	compact := func(header, payload string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".AAAA"
	}
	for _, c := range []struct{ name, compact, issuer, kid string }{
		{"both", compact(`{"kid":"k"}`, `{"iss":"https://a.example.com"}`), "https://a.example.com", "k"},
		{"no kid", compact(`{}`, `{"iss":"https://a.example.com"}`), "https://a.example.com", ""},
		{"no iss", compact(`{"kid":"k"}`, `{}`), "", "k"},
		{"iss a list", compact(`{"kid":"k"}`, `{"iss":["https://a.example.com"]}`), "", "k"},
		{"iss twice", compact(`{"kid":"k"}`, `{"iss":"https://a.example.com","iss":"https://b.example.com"}`), "", ""},
		{"iss in two cases", compact(`{"kid":"k"}`, `{"iss":"https://a.example.com","ISS":"https://b.example.com"}`), "", ""},
		{"nothing", "", "", ""},
		{"two dots", "..", "", ""},
		{"nonsense", "nonsense", "", ""},
		{"no object", compact(`[]`, `[]`), "", ""},
		{"longer than any token", compact(`{"kid":"k"}`, `{"iss":"https://a.example.com","x":"`+strings.Repeat("a", MaxLength)+`"}`), "", ""},
	} {
		if issuer, kid := Claimed(c.compact); issuer != c.issuer || kid != c.kid {
			t.Errorf("%s: iss %q and kid %q, not %q and %q", c.name, issuer, kid, c.issuer, c.kid)
		}
	}
}

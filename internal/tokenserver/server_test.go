package tokenserver

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRoute(t *testing.T) {
	for _, tt := range []struct{ path, endpoint, prefix string }{
		{"/token", "token", ""},
		{"/a/token", "token", "/a"},
		{"/a/b/token", "token", "/a/b"},
		{"/token/token", "token", "/token"},
		{"/a/revoke", "revoke", "/a"},
		{"/a/introspect", "introspect", "/a"},
		{"/a/jwks.json", "jwks", "/a"},
		{"/a/sessions", "sessions", "/a"},
		{"/a/sessions/end", "sessions/end", "/a"},
		{"/sessions/sessions/end", "sessions/end", "/sessions"},
		{"/a/end", "", ""},
		{"/.well-known/openid-configuration", "metadata", ""},
		{"/a/.well-known/openid-configuration", "metadata", "/a"},
		// RFC 8414 §3.1: inserted before the issuer's path, and not below it.
		{"/.well-known/oauth-authorization-server", "metadata", ""},
		{"/.well-known/oauth-authorization-server/a/b", "metadata", "/a/b"},
		{"/.well-known/oauth-authorization-server/a/", "metadata", "/a"},
		{"/.well-known/oauth-authorization-servera", "", ""},
		{"/a/.well-known/oauth-authorization-server", "", ""},
		{"/.well-known/openid-configuration/a", "", ""},
		// The prefix is not an issuer's path: those have neither empty segments nor dots.
		{"/a//token", "token", "/a/"},
		{"//a/token", "token", "//a"},
		{"/a/../token", "token", "/a/.."},
		{"/a/token/", "", ""},
		{"/a/token%20", "", ""},
		{"/a/%74oken", "", ""},
		{"/a%2ftoken", "", ""},
		{"/a/%2e%2e/a/token", "", ""},
		{"/a/Token", "", ""},
		{"/atoken", "", ""},
		{"/", "", ""},
		{"", "", ""},
		{"*", "", ""},
	} {
		parsed, err := url.Parse("https://h")
		if err == nil && tt.path != "*" {
			parsed, err = url.Parse("https://h" + tt.path)
		}
		if err != nil {
			t.Fatal(err)
		}
		if tt.path == "*" {
			parsed.Path = tt.path
		}
		found, prefix := route(&http.Request{URL: parsed})
		if found.name != tt.endpoint || prefix != tt.prefix || (found.serve == nil) != (tt.endpoint == "") {
			t.Errorf("%s is the endpoint %q of %q", tt.path, found.name, prefix)
		}
	}
}

func TestClean(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		most       int
		want       string
	}{
		{"nothing", "", 4, ""},
		{"short enough", "abcd", 4, "abcd"},
		{"too long", "abcde", 4, "abcd"},
		{"of letters of two bytes", "äöü", 4, "äö"},
		{"cut within a letter", "aäöü", 4, "aä"},
		{"cut within the first letter", "世", 2, ""},
		{"line breaks", "a\r\nb", 4, "ab"},
		{"control characters", "\x00a\x1b[31m\x7f", 8, "a[31m"},
		{"bad UTF-8", "a\xff\xfeb", 4, "ab"},
		{"the letter for bad UTF-8", "a\ufffdb", 4, "ab"},
		{"what turns the direction of text", "a\u202eb", 4, "ab"},
		{"what has no width", "a\u200bb\ufeff", 4, "ab"},
		{"a line break of another alphabet", "a\u2028b", 4, "ab"},
		{"cut after it is cleaned", "\x00\x00\x00\x00abcd", 4, "abcd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := clean(tt.text, tt.most); got != tt.want || !utf8.ValidString(got) {
				t.Errorf("%q becomes %q", tt.text, got)
			}
		})
	}
}

// TestDevicesBound checks that a recorded user agent never exceeds the limits of status.
func TestDevicesBound(t *testing.T) {
	devices, err := newDevices()
	if err != nil {
		t.Fatal(err)
	}
	for _, agent := range []string{
		"", "\x00", "Mozilla/5.0 (" + strings.Repeat("x", 10_000) + ")", strings.Repeat("世", 1_000), "Mozilla/5.0 (;;;;) (", "/", "a/" + strings.Repeat("9.", 5_000),
		"Mozilla/5.0 (X11; Linux x86_64) " + strings.Repeat("Chrome/1 ", 1_000), strings.Repeat("eyJa ", 1_000),
		"till/1 eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln", "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln/1 (eyJhbGciOiJFUzI1NiJ9)",
	} {
		seen := devices.read(agent)
		if tokenShaped.MatchString(seen.UserAgent + " " + seen.Browser + " " + seen.OS) {
			t.Errorf("a token in %.20q is recorded", agent)
		}
		if len(seen.UserAgent) > maxUserAgent || len(seen.Browser) > maxName || len(seen.OS) > maxName {
			t.Errorf("of %.20q, %d, %d and %d bytes are recorded", agent, len(seen.UserAgent), len(seen.Browser), len(seen.OS))
		}
	}
}

// TestAddressIsRecordedOnlyWhenAskedFor checks that the client's address, which is personal data, is recorded only
// with RecordAddress.
func TestAddressIsRecordedOnlyWhenAskedFor(t *testing.T) {
	for _, record := range []bool{false, true} {
		server, err := New(Options{RecordAddress: record})
		if err != nil {
			t.Fatal(err)
		}
		seen, err := server.seen(&http.Request{RemoteAddr: "192.0.2.7:4711"}, nil)
		if err != nil || (seen.IPAddress == "192.0.2.7") != record || (seen.IPAddress == "") == record {
			t.Errorf("RecordAddress %v records %q, %v", record, seen.IPAddress, err)
		}
	}
}

func TestWithoutTokens(t *testing.T) {
	for agent, want := range map[string]string{
		"": "", "Mozilla/5.0 (X11; Linux x86_64)": "Mozilla/5.0 (X11; Linux x86_64)",
		"till eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln end": "till [removed] end",
		"cut off: eyJhbGciOiJFUzI1NiJ9.eyJpc3MiO":            "cut off: [removed]",
		"eyJhbGciOiJFUzI1NiJ9":                               "[removed]",
		"two eyJh.eyJi.c eyJh.eyJi.":                         "two [removed] [removed]",
	} {
		if got := withoutTokens(agent); got != want {
			t.Errorf("%q becomes %q", agent, got)
		}
	}
}

package grant

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// TestGrantsNoMore checks that a superseded token is exchanged for the current one only if that grants its holder
// nothing more.
func TestGrantsNoMore(t *testing.T) {
	held := token.Claims{Audience: "orders", Subject: "shop", Scope: "read write", Extra: map[string]string{"tier": `"gold"`}}
	cases := []struct {
		name    string
		current func(*token.Claims)
		want    bool
	}{
		{"the same", func(*token.Claims) {}, true},
		{"later, and the rest the same", func(c *token.Claims) { c.JTI, c.Object.Revision = "next", 2 }, true},
		{"the scopes in another order", func(c *token.Claims) { c.Scope = "write read" }, true},
		{"fewer scopes", func(c *token.Claims) { c.Scope = "read" }, true},
		{"no scope", func(c *token.Claims) { c.Scope = "" }, true},
		{"one scope more", func(c *token.Claims) { c.Scope = "read write admin" }, false},
		{"another scope", func(c *token.Claims) { c.Scope = "admin" }, false},
		{"another audience", func(c *token.Claims) { c.Audience = "billing" }, false},
		{"another subject", func(c *token.Claims) { c.Subject = "admin" }, false},
		{"another value of a claim", func(c *token.Claims) { c.Extra = map[string]string{"tier": `"platinum"`} }, false},
		{"a claim more", func(c *token.Claims) { c.Extra = map[string]string{"tier": `"gold"`, "beta": "true"} }, false},
		{"a claim less", func(c *token.Claims) { c.Extra = nil }, false},
		{"bound to a key", func(c *token.Claims) { c.JWKThumbprint = "x" }, false},
		{"bound to a ServiceAccount", func(c *token.Claims) { c.ServiceAccount = "orders" }, false},
	}
	for _, c := range cases {
		current := held
		c.current(&current)
		if got := grantsNoMore(&current, &held); got != c.want {
			t.Errorf("%s: grantsNoMore returns %v", c.name, got)
		}
	}
}

func TestNarrowed(t *testing.T) {
	cases := []struct {
		name, granted, asked, want string
		code                       oauth.Code
	}{
		{name: "nothing asked: all that was granted", granted: "read write", want: "read write"},
		{name: "less", granted: "read write", asked: "read", want: "read"},
		{name: "the same in another order", granted: "read write", asked: "write read", want: "write read"},
		{name: "one twice", granted: "read write", asked: strings.Repeat("read ", 2)[:9], want: "read"},
		{name: "more", granted: "read", asked: "read write", code: oauth.InvalidScope},
		{name: "any where none was granted", asked: "read", code: oauth.InvalidScope},
		{name: "another case of letters", granted: "read", asked: "Read", code: oauth.InvalidScope},
		{name: "two spaces, which is no scope (RFC 6749 §3.3)", granted: "read write", asked: "read  write", code: oauth.InvalidScope},
		{name: "a tab", granted: "read write", asked: "read\twrite", code: oauth.InvalidScope},
	}
	for _, c := range cases {
		got, err := narrowed(c.granted, c.asked)
		var refusal *oauth.Error
		switch {
		case c.code == "" && (err != nil || got != c.want):
			t.Errorf("%s: %q, %v", c.name, got, err)
		case c.code != "" && (!errors.As(err, &refusal) || refusal.Code != c.code):
			t.Errorf("%s: %q, %v, want %s", c.name, got, err, c.code)
		}
	}
}

// TestEndOfAnExchange checks that an end is rounded down to the second. The controllers and tokens use whole
// seconds, and some clients read an expires_in of 0 as no end.
func TestEndOfAnExchange(t *testing.T) {
	noon := time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name      string
		expiresAt *metav1.Time
		want      time.Time
	}{
		{"that of the token", nil, noon},
		{"that of the token, before the key's", &metav1.Time{Time: noon.Add(time.Hour)}, noon},
		{"that of the key, before the token's", &metav1.Time{Time: noon.Add(-time.Hour)}, noon.Add(-time.Hour)},
		{"that of the key, within a second", &metav1.Time{Time: noon.Add(-time.Hour + 900*time.Millisecond)}, noon.Add(-time.Hour)},
	} {
		e := exchange{claims: &token.Claims{ExpiresAt: noon}, key: &v1alpha1.JWTRefreshKey{Spec: v1alpha1.JWTRefreshKeySpec{ExpiresAt: c.expiresAt}}}
		if got := e.end(); !got.Equal(c.want) {
			t.Errorf("%s: the exchange ends at %s, want %s", c.name, got, c.want)
		}
	}
}

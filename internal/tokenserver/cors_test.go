package tokenserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// TestPagesOfOtherOrigins checks which pages can use which endpoint with scripts.
func TestPagesOfOtherOrigins(t *testing.T) {
	r := withClients(t)
	r.Issuer.Spec.Login.Clients[0].AllowedOrigins = []string{"https://app.example.com", "http://localhost:3000"}
	r.PutIssuer(r.Issuer, r.Rings)
	const app = "https://app.example.com"
	for _, c := range []struct {
		name, method, path string
		origins            []string
		preflight          string
		status             int
		allowed            string
	}{
		{"a preflight", "OPTIONS", "token", []string{app}, "POST", 204, app},
		{"a preflight of another page of the client", "OPTIONS", "revoke", []string{"http://localhost:3000"}, "POST", 204, "http://localhost:3000"},
		{"a preflight to read", "OPTIONS", "userinfo", []string{app}, "GET", 204, app},
		{"a preflight for sessions", "OPTIONS", "sessions", []string{app}, "GET", 204, app},
		{"a preflight to end sessions", "OPTIONS", "sessions/end", []string{app}, "POST", 204, app},
		{"a request", "POST", "token", []string{app}, "", 400, app},
		{"a request that is refused", "GET", "userinfo", []string{app}, "", 401, app},
		{"OPTIONS that is no preflight", "OPTIONS", "token", []string{app}, "", 405, app},
		{"another origin", "OPTIONS", "token", []string{"https://evil.example.com"}, "POST", 405, ""},
		{"another port", "OPTIONS", "token", []string{app + ":8443"}, "POST", 405, ""},
		{"another scheme", "OPTIONS", "token", []string{"http://app.example.com"}, "POST", 405, ""},
		{"a longer host", "OPTIONS", "token", []string{app + ".evil.example.com"}, "POST", 405, ""},
		{"in upper case", "OPTIONS", "token", []string{"https://APP.example.com"}, "POST", 405, ""},
		{"the origin null", "OPTIONS", "token", []string{"null"}, "POST", 405, ""},
		{"two origins", "OPTIONS", "token", []string{app, app}, "POST", 405, ""},
		{"no origin", "POST", "token", nil, "", 400, ""},
		{"the introspection", "OPTIONS", "introspect", []string{app}, "POST", 405, ""},
		{"the login page", "OPTIONS", "authorize", []string{app}, "GET", 405, ""},
		{"the metadata", "GET", ".well-known/openid-configuration", []string{"https://evil.example.com"}, "", 200, "*"},
		{"the keys", "GET", "jwks.json", []string{"https://evil.example.com"}, "", 200, "*"},
	} {
		var header []string
		for _, origin := range c.origins {
			header = append(header, "Origin", origin)
		}
		if c.preflight != "" {
			header = append(header, "Access-Control-Request-Method", c.preflight, "Access-Control-Request-Headers", "authorization,content-type,dpop")
		}
		got := sendTo(r, c.method, "/"+replica.Name+"/"+c.path, "", header...)
		if got.status != c.status || got.header.Get("Access-Control-Allow-Origin") != c.allowed || got.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d, %v", c.name, got.status, got.header)
		}
		if c.status == http.StatusNoContent && (!strings.Contains(got.header.Get("Access-Control-Allow-Headers"), "DPoP") || !strings.Contains(got.header.Get("Access-Control-Allow-Methods"), c.preflight)) {
			t.Errorf("%s: %v", c.name, got.header)
		}
		if c.allowed == app && c.status != http.StatusNoContent && !strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "DPoP-Nonce") {
			t.Errorf("%s: %v", c.name, got.header)
		}
		if c.allowed != "*" && c.path != "introspect" && c.path != "authorize" && got.header.Get("Vary") != "Origin" {
			t.Errorf("%s: Vary is %q", c.name, got.header.Get("Vary"))
		}
	}
}

package tokenserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

const nowhere = "404 invalid_request"

// badPlaces checks that each path has one spelling and one method.
func (s *attackHarness) badPlaces() []attack {
	good := s.posted(s.goodBody())
	by := func(method, endpoint string) request {
		return request{method: method, target: s.at(endpoint), body: good.body}
	}
	to := func(target string) request {
		r := good
		r.target = target
		return r
	}
	get := func(target string) request { return request{method: http.MethodGet, target: target} }
	allow := func(methods string) func(*testing.T, *answer) {
		return func(t *testing.T, got *answer) {
			if given := got.header.Get("Allow"); given != methods {
				t.Errorf("allowed are %q", given)
			}
		}
	}
	const not = "405 invalid_request"
	query := "?grant_type=refresh_token&refresh_token=" + s.good
	return []attack{
		{"GET /token", by("GET", "/token"), not, allow("POST")},
		{"HEAD /token", by("HEAD", "/token"), "405 ", allow("POST")},
		{"PUT /token", by("PUT", "/token"), not, allow("POST")},
		{"DELETE /token", by("DELETE", "/token"), not, allow("POST")},
		{"PATCH /token", by("PATCH", "/token"), not, allow("POST")},
		{"OPTIONS /token", by("OPTIONS", "/token"), not, allow("POST")},
		{"TRACE /token", request{method: "TRACE", target: s.at("/token")}, not, allow("POST")},
		{"post /token, in small letters", by("post", "/token"), not, allow("POST")},
		{"an unknown method", by("PROPFIND", "/token"), not, allow("POST")},
		{"GET /revoke", by("GET", "/revoke"), not, allow("POST")},
		{"GET /introspect", by("GET", "/introspect"), not, allow("POST")},
		{"POST /jwks.json", by("POST", "/jwks.json"), not, allow("GET, HEAD")},
		{"DELETE of the metadata", by("DELETE", "/.well-known/openid-configuration"), not, allow("GET, HEAD")},
		{"GET that says it is a POST", get(s.at("/token")).with("X-HTTP-Method-Override", "POST"), not, allow("POST")},
		{"GET with credentials in the query", get(s.at("/token") + query), not, allow("POST")},
		// RFC 6749 §2.3.1: URLs are logged.
		{"credentials in the query", request{method: "POST", target: s.at("/token") + query}, malformed, nil},
		{"credentials in the query and the body", to(s.at("/token") + query), malformed, nil},
		{"a malformed query", to(s.at("/token?" + marker)), malformed, nil},
		{"an empty query", to(s.at("/token?")), malformed, nil},
		{"a token to revoke in the query", request{method: "POST", target: s.at("/revoke?token=" + s.good)}, malformed, nil},
		{"an escaped letter", to(s.at("/%74oken")), nowhere, nil},
		{"an escaped slash", to("/" + s.name + "%2ftoken"), nowhere, nil},
		{"an escaped dot", get(s.at("/%2ewell-known/openid-configuration")), nowhere, nil},
		{"a letter escaped twice", to(s.at("/%2574oken")), nowhere, nil},
		{"a slash too many", to(s.at("//token")), nowhere, nil},
		{"a slash before all", to("/" + s.at("/token")), nowhere, nil},
		{"a slash after it", to(s.at("/token/")), nowhere, nil},
		{"up and down", to(s.at("/../" + s.name + "/token")), nowhere, nil},
		{"here", to(s.at("/./token")), nowhere, nil},
		{"up and down, escaped", to(s.at("/%2e%2e/" + s.name + "/token")), nowhere, nil},
		{"backslashes", to(s.at(`/..\token`)), nowhere, nil},
		{"a path parameter", to(s.at("/token;x=1")), nowhere, nil},
		{"a blank after it", to(s.at("/token%20")), nowhere, nil},
		{"a NUL after it", to(s.at("/token%00")), nowhere, nil},
		{"in capitals", to(s.at("/TOKEN")), nowhere, nil},
		{"the issuer in capitals", to(strings.ToUpper("/"+s.name) + "/token"), nowhere, nil},
		{"no issuer", to("/token"), nowhere, nil},
		{"an unknown issuer", to("/" + marker + "/token"), nowhere, nil},
		{"an unknown endpoint", to(s.at("/" + marker)), nowhere, nil},
		{"the metrics, which have a port of their own", get("/metrics"), nowhere, nil},
		{"the metadata below the issuer (RFC 8414 §3.1)", get(s.at("/.well-known/oauth-authorization-server")), nowhere, nil},
		{"the metadata of an unknown issuer", get("/.well-known/oauth-authorization-server/" + marker), nowhere, nil},
		{"the metadata of an unknown issuer, like the issuer", get("/.well-known/oauth-authorization-server" + s.name), nowhere, nil},
		{"a path of 8 kB", to("/" + strings.Repeat("p", 8_000)), nowhere, nil},
	}
}

// misleadingHosts checks that neither the Host header nor a proxy's headers affect iss or the URLs of an answer.
func (s *attackHarness) misleadingHosts() []attack {
	const evil = marker + ".example.com"
	lies := [][]string{
		{"Host", evil},
		{"Host", "tokens.example.com.:443"},
		{"X-Forwarded-Host", evil, "X-Forwarded-Proto", "http", "X-Forwarded-Port", "80"},
		{"Forwarded", `for="[::1]";host=` + evil + ";proto=http"},
		{"X-Forwarded-Prefix", "/" + marker, "X-Forwarded-Path", "/" + marker},
		{"X-Original-URL", "/" + marker, "X-Rewrite-URL", "/" + marker},
		{"X-Host", evil, "X-Forwarded-Server", evil, "X-HTTP-Host-Override", evil},
		{"Origin", "https://" + evil, "Referer", "https://" + evil + "/"},
	}
	var rows []attack
	for _, lie := range lies {
		name := lie[0] + " " + lie[1]
		rows = append(rows,
			attack{"metadata: " + name, request{method: "GET", target: s.at("/.well-known/openid-configuration"), header: lie}, "200", s.showsOwnURLs},
			attack{"inserted metadata: " + name, request{method: "GET", target: "/.well-known/oauth-authorization-server/" + s.name, header: lie}, "200", s.showsOwnURLs},
			attack{"jwks: " + name, request{method: "GET", target: s.at("/jwks.json"), header: lie}, "200", s.showsPublicKeys},
			attack{"token: " + name, s.posted(s.goodBody()).with(lie...), "200", s.showsOwnIssuer},
		)
	}
	return rows
}

func (s *attackHarness) showsOwnURLs(t *testing.T, got *answer) {
	if got.text("issuer") != s.url() {
		t.Errorf("the issuer is %q", got.text("issuer"))
	}
	for _, name := range []string{"token_endpoint", "revocation_endpoint", "introspection_endpoint", "jwks_uri"} {
		if !strings.HasPrefix(got.text(name), s.url()+"/") {
			t.Errorf("%s is %q", name, got.text(name))
		}
	}
	for name, value := range got.header {
		if strings.Contains(strings.Join(value, " ")+got.raw, marker) {
			t.Errorf("the answer or its %s repeats what was sent", name)
		}
	}
}

// showsPublicKeys checks that the key set contains the public keys of the access ring only.
func (s *attackHarness) showsPublicKeys(t *testing.T, got *answer) {
	if !strings.Contains(got.raw, s.keyOf(keyring.Access).ID) {
		t.Error("the key that signs is not in the key set")
	}
	for _, private := range []string{`"d"`, `"p"`, `"q"`, `"k"`, s.signer.ID, marker} {
		if strings.Contains(got.raw, private) {
			t.Errorf("there is a %s in the key set", private)
		}
	}
}

// showsOwnIssuer checks that iss is the issuer's URL (RFC 9068 §2.2).
func (s *attackHarness) showsOwnIssuer(t *testing.T, got *answer) {
	claims := string(f64(t, strings.Split(got.text("access_token"), ".")[1]))
	if !strings.Contains(claims, `"iss":"`+s.url()+`"`) || strings.Contains(claims, marker) {
		t.Error("the access token is not of the issuer")
	}
	if strings.Contains(got.raw, s.signer.ID) {
		t.Error("the access token is by the refresh key")
	}
}

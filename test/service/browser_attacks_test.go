package service

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/onsi/gomega"
)

// TestAttacksOnASignIn sends one request of each kind of attack on a sign-in with a browser over TLS, to replicas with a real API server. The tables
// of all attacks are those of internal/tokenserver (TestOpenRedirects and its neighbours).
func TestAttacksOnASignIn(t *testing.T) {
	h, _, replicas := newShop(t)
	jane, mallory := &person{h: h, replicas: replicas}, &person{h: h, replicas: replicas}
	with := func(name, value string) string {
		query := asked()
		query.Set(name, value)
		return "/authorize?" + query.Encode()
	}
	const markup = "x\"><script>alert(1)</script>\r\nSet-Cookie: evil=1"
	for _, row := range []struct{ name, path, location string }{
		{"an open redirect", with("redirect_uri", "https://shop.example.com.evil.example.com/callback"), ""},
		{"an unknown client", with("client_id", markup), ""},
		{"no PKCE", with("code_challenge", ""), shopURI + "?error=invalid_request"},
		{"the method plain", with("code_challenge_method", "plain"), shopURI + "?error=invalid_request"},
		{"a request object of another server", with("request_uri", "https://evil.example.com/r"), shopURI + "?error=request_uri_not_supported"},
		{"markup in the scope", with("scope", markup), shopURI + "?error=invalid_scope"},
	} {
		answer, page := mallory.visit(http.MethodGet, row.path, nil)
		at := answer.Header.Get("Location")
		h.Expect(strings.HasPrefix(at, row.location) && (at == "") == (row.location == "")).To(gomega.BeTrue(), row.name+": "+at)
		if row.location != "" {
			h.Expect(at).To(gomega.ContainSubstring("iss="+url.QueryEscape(h.URL())), row.name)
			continue
		}
		h.Expect(answer.StatusCode).To(gomega.Equal(http.StatusBadRequest), row.name)
		h.Expect(page).NotTo(gomega.ContainSubstring("<script"), row.name)
		h.Expect(answer.Header.Get("Content-Security-Policy")).To(gomega.ContainSubstring("frame-ancestors 'none'"), row.name)
		h.Expect(answer.Header["Set-Cookie"]).To(gomega.HaveLen(1), row.name)
	}

	_, own := mallory.visit(http.MethodGet, with("login_hint", "jane"), nil)
	_, hers := jane.visit(http.MethodGet, with("state", markup), nil)
	h.Expect(hers).NotTo(gomega.ContainSubstring("<script"))
	form := func(page string) url.Values {
		return url.Values{"step": {jane.stepOf(page)}, "username": {"jane"}, "password": {"correct horse"}}
	}
	fromSite := func(site, origin string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", site)
			r.Header.Set("Origin", origin)
		}
	}
	for _, row := range []struct {
		name   string
		as     *person
		form   url.Values
		change func(*http.Request)
		status int
	}{
		{"a step of the attacker in the browser of the victim", jane, form(own), fromSite("same-origin", "https://tokens.example.com"), http.StatusBadRequest},
		{"a step of the victim in the browser of the attacker", mallory, form(hers), fromSite("same-origin", "https://tokens.example.com"), http.StatusBadRequest},
		{"a form of another site", jane, form(hers), fromSite("cross-site", "https://evil.example.com"), http.StatusForbidden},
		{"the victim", jane, form(hers), fromSite("same-origin", "https://tokens.example.com"), http.StatusOK},
	} {
		answer, page := row.as.visit(http.MethodPost, "/authorize/password", row.form, row.change)
		h.Expect(answer.StatusCode).To(gomega.Equal(row.status), row.name+": "+page)
		h.Expect(answer.Header.Get("Location")).To(gomega.BeEmpty(), row.name)
	}

	code := jane.code("jane", "correct horse")
	redeemed := redemption(code)
	for name, sent := range map[string]string{"no verifier": "", "the challenge": codeChallenge, "the attacker's verifier": strings.Repeat("a", 43)} {
		redeemed.Set("code_verifier", sent)
		h.Expect(h.Post(replicas[0], "/token", redeemed).Status).To(gomega.Equal(http.StatusBadRequest), name)
	}
	h.Expect(h.sessions()).To(gomega.BeEmpty(), "no attack stores anything")
}

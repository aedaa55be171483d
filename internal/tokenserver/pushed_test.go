package tokenserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

func push(r *replica.Replica, changes ...string) *answer {
	return ask(r, http.MethodPost, "/tenant/par", wanted(changes...))
}

// TestPushedRequests checks that a pushed request begins a sign-in, of its own client, for a minute and a half.
func TestPushedRequests(t *testing.T) {
	r := withClients(t)
	b := open(t, r)
	got := push(r)
	uri := got.text("request_uri")
	if got.status != http.StatusCreated || !strings.HasPrefix(uri, oauth.RequestURIPrefix) || got.body["expires_in"] != 90.0 {
		t.Fatalf("%d %s", got.status, got.raw)
	}
	at := func(changes url.Values) string { return "/tenant/authorize?" + changes.Encode() }
	pushed := url.Values{"client_id": {"shop"}, "request_uri": {uri}}
	page := b.send(http.MethodGet, at(pushed), nil)
	code := returned(t, b.submit(b.password(page), "answer", "allow")).Get("code")
	if tokens := redeem(r, code); tokens.outcome() != "200" || tokens.text("id_token") == "" {
		t.Errorf("%s", tokens.raw)
	}
	ignored := url.Values{"client_id": {"shop"}, "request_uri": {uri}, "scope": {"admin"}, "redirect_uri": {"https://evil.example.com"}}
	if page := b.send(http.MethodGet, at(ignored), nil); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), "The &lt;b&gt;") {
		t.Errorf("with other parameters: %d %s", page.Code, page.Body)
	}
	step, _ := stepOf(t, page)
	for name, other := range map[string]url.Values{
		"another client":              {"client_id": {"office"}, "request_uri": {uri}},
		"no client":                   {"request_uri": {uri}},
		"a request_uri that is cut":   {"client_id": {"shop"}, "request_uri": {uri[:len(uri)-3]}},
		"a step as a request_uri":     {"client_id": {"shop"}, "request_uri": {oauth.RequestURIPrefix + step}},
		"an empty one of the service": {"client_id": {"shop"}, "request_uri": {oauth.RequestURIPrefix}},
	} {
		if page := b.send(http.MethodGet, at(other), nil); page.Code != http.StatusBadRequest || page.Header().Get("Location") != "" {
			t.Errorf("%s: %d %v %s", name, page.Code, page.Header(), page.Body)
		}
	}
	r.Clock.SetTime(r.Clock.Now().Add(90 * time.Second))
	if page := b.send(http.MethodGet, at(pushed), nil); page.Code != http.StatusBadRequest || !strings.Contains(page.Body.String(), "expired") {
		t.Errorf("after its time: %d %s", page.Code, page.Body)
	}
}

// TestPushedRefusals checks that a request that /authorize refuses is refused when it is pushed, as JSON.
func TestPushedRefusals(t *testing.T) {
	r := withClients(t)
	for _, c := range []struct {
		name    string
		changes []string
		want    string
	}{
		{"no PKCE", []string{"code_challenge", ""}, "400 invalid_request"},
		{"an unknown client", []string{"client_id", "bank"}, "400 invalid_request"},
		{"an unknown redirect URI", []string{"redirect_uri", "https://evil.example.com"}, "400 invalid_request"},
		{"another audience", []string{"resource", "https://bank.example.com"}, "400 invalid_target"},
		{"another scope", []string{"scope", "admin"}, "400 invalid_scope"},
		{"a request_uri in it", []string{"request_uri", oauth.RequestURIPrefix + "x"}, "400 request_uri_not_supported"},
		{"a client secret", []string{"client_secret", "x"}, "401 invalid_client"},
	} {
		if got := push(r, c.changes...); got.outcome() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got.raw, c.want)
		}
	}
	if got := ask(replica.New(t), http.MethodPost, "/tenant/par", wanted()); got.status != http.StatusNotFound {
		t.Errorf("without clients: %s", got.raw)
	}
}

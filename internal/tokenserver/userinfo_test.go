package tokenserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// TestUserInfo checks who gets the claims of a person.
func TestUserInfo(t *testing.T) {
	r := withClients(t)
	b := open(t, r)
	tokens := redeem(r, b.code())
	plain := redeem(r, b.code("scope", "orders.read"))
	tenant := ask(r, http.MethodPost, "/tenant/token", url.Values{
		"grant_type":    {oauth.GrantRefreshToken},
		"refresh_token": {r.Issue("orders", func(key *v1alpha1.JWTRefreshKey) { key.Spec.Scopes = []string{"openid"} })},
	})
	if tokens.outcome() != "200" || plain.outcome() != "200" || tenant.outcome() != "200" {
		t.Fatalf("%s %s %s", tokens.raw, plain.raw, tenant.raw)
	}
	for _, c := range []struct{ name, method, authorization, want string }{
		{"a session with openid", "GET", "Bearer " + tokens.text("access_token"), "200"},
		{"by POST", "POST", "Bearer " + tokens.text("access_token"), "200"},
		{"a session without openid", "GET", "Bearer " + plain.text("access_token"), "403 insufficient_scope"},
		{"the key of a tenant with openid", "GET", "Bearer " + tenant.text("access_token"), "401 invalid_token"},
		{"an id_token", "GET", "Bearer " + tokens.text("id_token"), "401 invalid_token"},
		{"a refresh token", "GET", "Bearer " + tokens.text("refresh_token"), "401 invalid_token"},
		{"nothing", "GET", "", "401"},
	} {
		var header []string
		if c.authorization != "" {
			header = []string{"Authorization", c.authorization}
		}
		got := sendTo(r, c.method, "/"+replica.Name+"/userinfo", "", header...)
		if strings.TrimSpace(got.outcome()) != c.want || (c.want == "200" && got.raw != `{"sub":"ada"}`) {
			t.Errorf("%s: %s %s, want %s", c.name, got.outcome(), got.raw, c.want)
		}
		if challenge := got.header.Get("WWW-Authenticate"); got.status == http.StatusForbidden && !strings.Contains(challenge, `scope="openid"`) {
			t.Errorf("%s: the challenge is %s", c.name, challenge)
		}
	}
	revoke := url.Values{"token": {tokens.text("refresh_token")}, "client_id": {"shop"}}
	if got := ask(r, http.MethodPost, "/tenant/revoke", revoke); got.outcome() != "200" {
		t.Fatal(got.raw)
	}
	if got := sendTo(r, "GET", "/tenant/userinfo", "", "Authorization", "Bearer "+tokens.text("access_token")); got.outcome() != "401 invalid_token" {
		t.Errorf("after the logout: %s", got.raw)
	}
}

// TestASessionIsForItsClient checks a refresh by another client_id, and one without.
func TestASessionIsForItsClient(t *testing.T) {
	r := withClients(t)
	tokens := redeem(r, open(t, r).code())
	for _, c := range []struct{ client, want string }{{"office", "400 unauthorized_client"}, {"shop", "200"}, {"", "200"}} {
		form := url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {tokens.text("refresh_token")}}
		if c.client != "" {
			form.Set("client_id", c.client)
		}
		if got := ask(r, http.MethodPost, "/tenant/token", form); got.outcome() != c.want {
			t.Errorf("%q: %s, want %s", c.client, got.raw, c.want)
		}
	}
}

package authorize

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	issuer    = "https://tokens.example.com/shop"
)

var clients = []v1alpha1.LoginClient{
	{ID: "shop", RedirectURIs: []string{"https://shop.example.com/callback"}, Audiences: []string{"https://orders.example.com", "https://bills.example.com"},
		Scopes: []string{"openid", "orders.read"}},
	{ID: "two", RedirectURIs: []string{"https://a.example.com/cb?tenant=1", "https://b.example.com"}, Audiences: []string{"https://orders.example.com"}},
	{ID: "cli", RedirectURIs: []string{"http://127.0.0.1/callback", "http://[::1]", "com.example.cli:/done"}, Audiences: []string{"https://orders.example.com"}},
	{ID: "loop", RedirectURIs: []string{"http://127.0.0.1/"}, Audiences: []string{"https://orders.example.com"}},
	{ID: "tv", Audiences: []string{"https://orders.example.com"}, Device: &v1alpha1.DeviceClient{CodePrefix: "TV"}},
}

// asked returns valid parameters with changes; an empty value removes a parameter.
func asked(changes ...string) oauth.Form {
	form := oauth.Form{
		"client_id": {"shop"}, "redirect_uri": {"https://shop.example.com/callback"}, "response_type": {"code"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "state": {"s1"},
	}
	for i := 0; i < len(changes); i += 2 {
		if form[changes[i]] = []string{changes[i+1]}; changes[i+1] == "" {
			delete(form, changes[i])
		}
	}
	return form
}

// TestRead checks what a valid request becomes.
func TestRead(t *testing.T) {
	for _, c := range []struct {
		name string
		form oauth.Form
		want func(*Request)
	}{
		{"the least", asked(), nil},
		{"the only redirect URI", asked("redirect_uri", ""), func(r *Request) { r.Asked = false }},
		{"scopes, in their order, once, without offline_access", asked("scope", "orders.read  openid orders.read offline_access"),
			func(r *Request) { r.Scopes = []string{"orders.read", "openid"} }},
		{"a resource", asked("resource", "https://bills.example.com"), func(r *Request) { r.Audience = "https://bills.example.com" }},
		{"an audience", asked("audience", "https://bills.example.com"), func(r *Request) { r.Audience = "https://bills.example.com" }},
		{"a login hint", asked("login_hint", "ada@example.com"), func(r *Request) { r.LoginHint = "ada@example.com" }},
		{"a login hint that is no subject", asked("login_hint", "a b"), nil},
		{"a key", asked("dpop_jkt", challenge), func(r *Request) { r.JWKThumbprint = challenge }},
		{"a nonce", asked("nonce", strings.Repeat("n", 256)), func(r *Request) { r.Nonce = strings.Repeat("n", 256) }},
		{"prompts that each sign-in fulfils", asked("prompt", "login consent"), nil},
		{"the mode query", asked("response_mode", "query"), nil},
		{"the longest state", asked("state", strings.Repeat("s", 1024)), func(r *Request) { r.State = strings.Repeat("s", 1024) }},
		{"parameters of other extensions", asked("ui_locales", "de", "max_age", "3", "acr_values", "x"), nil},
	} {
		want := &Request{Client: "shop", RedirectURI: "https://shop.example.com/callback", Asked: true, State: "s1", Challenge: challenge, Audience: "https://orders.example.com"}
		if c.want != nil {
			c.want(want)
		}
		got, err := Read(clients, c.form)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !slices.Equal(got.Scopes, want.Scopes) {
			t.Errorf("%s: scopes %q, want %q", c.name, got.Scopes, want.Scopes)
		}
		got.Scopes, want.Scopes = nil, nil
		if a, b := *got, *want; a.Client != b.Client || a.RedirectURI != b.RedirectURI || a.Asked != b.Asked || a.State != b.State || a.Nonce != b.Nonce ||
			a.Audience != b.Audience || a.LoginHint != b.LoginHint || a.JWKThumbprint != b.JWKThumbprint || a.Challenge != b.Challenge {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, a, b)
		}
	}
}

// TestReadRefuses checks the code of each refusal, and that it goes to the client with its state.
func TestReadRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		form oauth.Form
		code oauth.Code
		says string
	}{
		{"no response type", asked("response_type", ""), oauth.InvalidRequest, "response_type is missing"},
		{"the implicit grant", asked("response_type", "token"), oauth.UnsupportedResponseType, "must be code"},
		{"a hybrid flow", asked("response_type", "code id_token"), oauth.UnsupportedResponseType, "must be code"},
		{"the mode fragment", asked("response_mode", "fragment"), oauth.InvalidRequest, "response_mode"},
		{"no PKCE", asked("code_challenge", "", "code_challenge_method", ""), oauth.InvalidRequest, "PKCE"},
		{"PKCE without a method, which means plain", asked("code_challenge_method", ""), oauth.InvalidRequest, "S256"},
		{"the method plain", asked("code_challenge_method", "plain"), oauth.InvalidRequest, "S256"},
		{"the method in lower case", asked("code_challenge_method", "s256"), oauth.InvalidRequest, "S256"},
		{"a challenge that is too short", asked("code_challenge", challenge[1:]), oauth.InvalidRequest, "43 characters"},
		{"a challenge with stray bits", asked("code_challenge", challenge[:42]+"N"), oauth.InvalidRequest, "43 characters"},
		{"a challenge with padding", asked("code_challenge", challenge+"="), oauth.InvalidRequest, "43 characters"},
		{"a thumbprint that is none", asked("dpop_jkt", "abc"), oauth.InvalidRequest, "dpop_jkt"},
		{"a request object", asked("request", "e30.e30."), oauth.RequestNotSupported, "not supported"},
		{"a request URI", asked("request_uri", "https://evil.example.com/r"), oauth.RequestURINotSupported, "not supported"},
		{"another resource", asked("resource", "https://bank.example.com"), oauth.InvalidTarget, "audiences"},
		{"two resources", merged(asked(), oauth.Form{"resource": {"https://orders.example.com", "https://bills.example.com"}}), oauth.InvalidTarget, "only one"},
		{"another scope", asked("scope", "openid admin"), oauth.InvalidScope, "may ask for"},
		{"no page", asked("prompt", "none"), oauth.LoginRequired, "sign in"},
		{"no page and one", asked("prompt", "none login"), oauth.InvalidRequest, "combined"},
		{"a long nonce", asked("nonce", strings.Repeat("n", 257)), oauth.InvalidRequest, "256 bytes"},
	} {
		_, err := Read(clients, c.form)
		var refusal *RefusedError
		if !errors.As(err, &refusal) || refusal.Reason.Code != c.code || !strings.Contains(refusal.Reason.Description, c.says) {
			t.Errorf("%s: %v, want %s: %s", c.name, err, c.code, c.says)
			continue
		}
		to, err := url.Parse(refusal.RedirectRefused(issuer))
		if err != nil {
			t.Fatal(err)
		}
		query := to.Query()
		if to.Host != "shop.example.com" || to.Path != "/callback" || query.Get("error") != string(c.code) || query.Get("state") != "s1" || query.Get("iss") != issuer || query.Has("code") {
			t.Errorf("%s: the answer goes to %s", c.name, to)
		}
	}
}

// TestAStateThatIsTooLong checks that the refusal has no state.
func TestAStateThatIsTooLong(t *testing.T) {
	_, err := Read(clients, asked("state", strings.Repeat("s", 1025)))
	var refusal *RefusedError
	if !errors.As(err, &refusal) || refusal.Reason.Code != oauth.InvalidRequest || strings.Contains(refusal.RedirectRefused(issuer), "state=") {
		t.Errorf("the refusal is %v", err)
	}
}

func merged(forms ...oauth.Form) oauth.Form {
	all := oauth.Form{}
	for _, form := range forms {
		maps.Copy(all, form)
	}
	return all
}

// TestRedirectURIs checks where an answer can go: nowhere but to what is declared.
func TestRedirectURIs(t *testing.T) {
	for _, c := range []struct{ client, uri string }{
		{"shop", "https://shop.example.com/callback"},
		{"two", "https://a.example.com/cb?tenant=1"},
		{"two", "https://b.example.com"},
		{"cli", "http://127.0.0.1/callback"},
		{"cli", "http://127.0.0.1:1/callback"},
		{"cli", "http://127.0.0.1:65535/callback"},
		{"cli", "http://[::1]:8000"},
		{"cli", "com.example.cli:/done"},
	} {
		if got, err := Read(clients, asked("client_id", c.client, "redirect_uri", c.uri)); err != nil || got.RedirectURI != c.uri {
			t.Errorf("%s: %v, %v", c.uri, got, err)
		}
	}
	for _, c := range []struct{ client, uri string }{
		{"shop", "https://shop.example.com"},
		{"shop", "https://shop.example.com/callback/"},
		{"shop", "https://shop.example.com/callback?x=1"},
		{"shop", "https://shop.example.com/callback#x"},
		{"shop", "https://shop.example.com/callback/../evil"},
		{"shop", "https://shop.example.com/Callback"},
		{"shop", "https://shop.example.com/callback%00"},
		{"shop", "https://shop.example.com/%63allback"},
		{"shop", "https://SHOP.example.com/callback"},
		{"shop", "https://shop.example.com:443/callback"},
		{"shop", "https://shop.example.com:8443/callback"},
		{"shop", "https://shop.example.com./callback"},
		{"shop", "https://shop.example.com@evil.example.com/callback"},
		{"shop", "https://evil.example.com/https://shop.example.com/callback"},
		{"shop", "https://evil.example.com?https://shop.example.com/callback"},
		{"shop", "https://evil.example.com\\@shop.example.com/callback"},
		{"shop", "https://shop.example.com.evil.example.com/callback"},
		{"shop", "https://evilshop.example.com/callback"},
		{"shop", "http://shop.example.com/callback"},
		{"shop", "//shop.example.com/callback"},
		{"shop", "/callback"},
		{"shop", "javascript:alert(1)"},
		{"shop", "data:text/html,x"},
		{"shop", " https://shop.example.com/callback"},
		{"shop", "https://shop.example.com/callback\r\nLocation: https://evil.example.com"},
		{"shop", "https://a.example.com/cb?tenant=1"},
		{"two", "https://a.example.com/cb?tenant=2"},
		{"two", "https://a.example.com/cb"},
		{"two", ""},
		{"cli", "http://127.0.0.1:0/callback"},
		{"cli", "http://127.0.0.1:080/callback"},
		{"cli", "http://127.0.0.1:123456/callback"},
		{"cli", "http://127.0.0.1:80@evil.example.com/callback"},
		{"cli", "http://127.0.0.1.evil.example.com/callback"},
		{"cli", "http://127.0.0.2/callback"},
		{"cli", "http://localhost/callback"},
		{"cli", "http://127.0.0.1:80"},
		{"cli", "https://127.0.0.1/callback"},
		{"cli", "http://[::1]:8000/other"},
		{"cli", "http://0x7f000001/callback"},
		{"cli", "com.example.cli:/done/more"},
		{"cli", "com.example.CLI:/done"},
		{"loop", ""},
		{"tv", ""},
		{"tv", "https://shop.example.com/callback"},
		{"unknown", "https://shop.example.com/callback"},
		{"", "https://shop.example.com/callback"},
		{"SHOP", "https://shop.example.com/callback"},
	} {
		_, err := Read(clients, asked("client_id", c.client, "redirect_uri", c.uri))
		var page *PageError
		if !errors.As(err, &page) {
			t.Errorf("%s of %q: %v, want an error for the person", c.uri, c.client, err)
		}
	}
}

// TestRedirect checks how an answer is added to a redirect URI.
func TestRedirect(t *testing.T) {
	for _, c := range []struct{ uri, state, want, target string }{
		{"https://b.example.com", "a&b=c", "https://b.example.com?code=x&iss=https%3A%2F%2Ftokens.example.com%2Fshop&state=a%26b%3Dc", "https:"},
		{"https://a.example.com:8443/cb?tenant=1", "", "https://a.example.com:8443/cb?tenant=1&code=x&iss=https%3A%2F%2Ftokens.example.com%2Fshop", "https:"},
		{"com.example.cli:/done", "", "com.example.cli:/done?code=x&iss=https%3A%2F%2Ftokens.example.com%2Fshop", "com.example.cli:"},
		{"http://[::1]:80?x", "", "http://[::1]:80?x&code=x&iss=https%3A%2F%2Ftokens.example.com%2Fshop", "http:"},
	} {
		r := Request{RedirectURI: c.uri, State: c.state}
		if got := r.Redirect(issuer, url.Values{"code": {"x"}}); got != c.want {
			t.Errorf("%s: %s, want %s", c.uri, got, c.want)
		}
		if got := r.Target(); got != c.target {
			t.Errorf("%s: target %s, want %s", c.uri, got, c.target)
		}
	}
}

// TestRedeems checks what a redemption must prove.
func TestRedeems(t *testing.T) {
	const uri = "https://shop.example.com/callback"
	named := Code{Request: Request{Client: "shop", RedirectURI: uri, Asked: true, Challenge: challenge}}
	unnamed := named
	unnamed.Request.Asked = false
	for _, c := range []struct {
		name                  string
		code                  Code
		client, uri, verifier string
		want                  bool
	}{
		{"all of it", named, "shop", uri, verifier, true},
		{"another client", named, "two", uri, verifier, false},
		{"no client", named, "", uri, verifier, false},
		{"another redirect URI", named, "shop", uri + "/", verifier, false},
		{"no redirect URI", named, "shop", "", verifier, false},
		{"no redirect URI, as in the request", unnamed, "shop", "", verifier, true},
		{"the redirect URI that the request left out", unnamed, "shop", uri, verifier, true},
		{"another one than the request left out", unnamed, "shop", uri + "/", verifier, false},
		{"another verifier", named, "shop", uri, verifier[:42] + "A", false},
		{"the challenge as verifier", named, "shop", uri, challenge, false},
		{"no verifier", named, "shop", uri, "", false},
		{"a short verifier", named, "shop", uri, verifier[:42], false},
	} {
		if err := c.code.Redeems(c.client, c.uri, c.verifier); (err == nil) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestSessionName checks that a name is one of an object, and differs by issuer and code.
func TestSessionName(t *testing.T) {
	one := Code{ID: "a"}
	other := Code{ID: "b"}
	names := []string{one.SessionName("1"), one.SessionName("2"), other.SessionName("1")}
	if slices.Sort(names); len(slices.Compact(names)) != 3 || len(names[0]) != len(sessionPrefix)+32 {
		t.Errorf("the names are %q", names)
	}
}

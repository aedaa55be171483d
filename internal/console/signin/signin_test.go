package signin

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// TestLogin checks what a browser brings to the provider, and what it remembers.
func TestLogin(t *testing.T) {
	f := newFixture(t)
	first, second := f.begin("?return=/keys"), f.begin("")
	if at := *first.to; at.Scheme+"://"+at.Host+at.Path != f.provider.URL+"/authorize" {
		t.Errorf("the browser is sent to %s", at.Path)
	}
	query := first.to.Query()
	want := map[string]string{
		"response_type": "code", "client_id": consoleID, "redirect_uri": "https://" + consoleHost + "/auth/callback", "scope": "openid profile email",
		"code_challenge_method": "S256",
	}
	for name, value := range want {
		if query.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, query.Get(name), value)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(query.Get(name)) != 43 || query.Get(name) == second.to.Query().Get(name) {
			t.Errorf("%s is %q, and that of another sign-in %q", name, query.Get(name), second.to.Query().Get(name))
		}
	}
	if len(first.cookies) != 1 {
		t.Fatalf("it sets %d cookies", len(first.cookies))
	}
	c := first.cookies[0]
	if !strings.HasPrefix(c.Name, "__Host-rk-in-") || c.Path != "/" || c.Domain != "" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 300 {
		t.Errorf("the cookie is %+v", c)
	}
	for _, secret := range []string{query.Get("state"), query.Get("nonce"), "/keys"} {
		if plain, _ := base64.RawURLEncoding.DecodeString(c.Value); strings.Contains(string(plain), secret) {
			t.Error("the cookie is not sealed")
		}
	}
}

// TestManyLogins checks that a browser that begins sign-ins without end keeps a bounded number of cookies.
func TestManyLogins(t *testing.T) {
	f := newFixture(t)
	held := map[string]*http.Cookie{}
	for range 23 {
		var sent []*http.Cookie
		for _, cookie := range held {
			sent = append(sent, cookie)
		}
		for _, cookie := range f.begin("", sent...).cookies {
			if held[cookie.Name] = cookie; cookie.MaxAge < 0 {
				delete(held, cookie.Name)
			}
		}
		if len(held) == 0 || len(held) > mostAttempts {
			t.Fatalf("the browser holds %d cookies", len(held))
		}
	}
}

// TestTheCookieOfALongPath checks that browsers keep the cookie of a sign-in, and that the person comes back to the page.
func TestTheCookieOfALongPath(t *testing.T) {
	f := newFixture(t)
	entries := "/keys/new?" + strings.Repeat("&", longestReturn-len("/keys/new?"))
	quotes := "/keys/new?" + strings.Repeat(`"`, longestReturn-len("/keys/new?"))
	for asked, want := range map[string]string{"/keys?ns=shop": "/keys?ns=shop", entries: entries, quotes: "/keys/new", quotes + "&": "/keys/new"} {
		b := f.begin("?return=" + url.QueryEscape(asked))
		if size := len(b.cookies[0].Name) + len(b.cookies[0].Value); size > 4096 {
			t.Errorf("the cookie of a path that begins with %.16q has %d bytes", asked, size)
		}
		f.provider.will("/token", tokens(map[string]any{"id_token": f.provider.sign(f.fixtureClaims(b))}))
		if _, path, _, err := f.arrive(b); err != nil || path != want {
			t.Errorf("the person comes back to %.32q (%d bytes), want %.32q (%d bytes): %v", path, len(path), want, len(want), err)
		}
	}
	// 16 KiB is the limit of a request's header.
	if longestCookie*mostAttempts > 12<<10 {
		t.Errorf("the cookies of %d sign-ins leave no room in a header", mostAttempts)
	}
}

// TestBelowABasePath checks the names and paths of a console that has neighbours.
func TestBelowABasePath(t *testing.T) {
	f := newFixture(t)
	f.OIDC = f.start(f.Config, "/refresh/")
	b := f.begin("")
	c := b.cookies[0]
	if !strings.HasPrefix(c.Name, "__Host-rk-in-") || c.Path != "/" || c.Domain != "" || !c.Secure {
		t.Errorf("a sibling subdomain can plant the cookie %+v", c)
	}
	if got := b.to.Query().Get("redirect_uri"); got != "https://"+consoleHost+"/refresh/auth/callback" {
		t.Errorf("redirect_uri is %s", got)
	}
	c.Name = strings.Replace(c.Name, "__Host-", "__Secure-", 1)
	if _, _, _, err := f.arrive(b); reasonOf(t, err) != wire.NotBegunHere {
		t.Errorf("a cookie that a sibling subdomain planted: %v", err)
	}
}

// TestCodeFlow checks the request of a code, with each way of a client to prove itself.
func TestCodeFlow(t *testing.T) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(consoleID+":s3cret-"+canary))
	for _, c := range []struct {
		name    string
		change  func(*Config)
		methods []string
		header  string
		form    url.Values
	}{
		{"secret", func(*Config) {}, nil, basic, url.Values{}},
		{"secret, where only the form is read", func(*Config) {}, []string{"client_secret_post"}, "", url.Values{"client_secret": {"s3cret-" + canary}, "client_id": {consoleID}}},
		{"assertion", func(c *Config) { c.ClientAssertionFile, c.ClientSecretFile = c.ClientSecretFile, "" }, nil, "", url.Values{
			"client_assertion": {"s3cret-" + canary}, "client_assertion_type": {assertionType}, "client_id": {consoleID},
		}},
		{"public client", func(c *Config) { c.ClientSecretFile = "" }, nil, "", url.Values{"client_id": {consoleID}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, c.change)
			if c.methods != nil {
				f.provider.more["token_endpoint_auth_methods_supported"] = c.methods
			}
			b := f.begin("?return=/keys")
			f.provider.will("/token", tokens(map[string]any{"id_token": f.provider.sign(f.claims(b.to.Query().Get("nonce")))}))
			credential, path, cookies, err := f.arrive(b)
			if err != nil || path != "/keys" || len(cookies) != 1 || cookies[0].MaxAge >= 0 {
				t.Fatalf("%v, path %q, cookies %v", err, path, cookies)
			}
			got := f.provider.last("/token")
			verifier := got.form.Get("code_verifier")
			if sum := sha256.Sum256([]byte(verifier)); base64.RawURLEncoding.EncodeToString(sum[:]) != b.to.Query().Get("code_challenge") {
				t.Error("the verifier is not that of the challenge")
			}
			want := url.Values{
				"grant_type": {"authorization_code"}, "code": {"code-" + canary}, "redirect_uri": {"https://" + consoleHost + "/auth/callback"}, "code_verifier": {verifier},
			}
			maps.Copy(want, c.form)
			if got.form.Encode() != want.Encode() || got.authorization != c.header || got.agent != ownAgent {
				t.Errorf("the form %v of %q with %q, want %v", got.form, got.agent, got.authorization, want)
			}
			if credential.Means != wire.IDToken || credential.Renew != nil || !credential.Until.Equal(f.fake.Now().Add(10*time.Minute)) ||
				credential.Config.Host != f.API.Host || strings.Count(credential.Config.BearerToken, ".") != 2 {
				t.Errorf("the credential is %s until %s", credential.Means, credential.Until)
			}
		})
	}
}

// TestCallbackAttacks checks that a callback is refused unless it ends a sign-in that this browser began, with what the provider
// made for it.
func TestCallbackAttacks(t *testing.T) {
	type victim struct {
		*fixture
		*begun
		claims map[string]any
		signer *fake
	}
	for _, c := range []struct {
		name string
		do   func(*victim)
		want wire.SignInFailure
	}{
		{"none", func(*victim) {}, ""},
		{"the right iss", func(v *victim) { v.back.Set("iss", v.provider.URL) }, ""},
		{"state of another browser", func(v *victim) { v.back.Set("state", v.begin("").to.Query().Get("state")) }, wire.NotBegunHere},
		{"cookie of another browser under the victim's name", func(v *victim) {
			v.cookies[0].Value = v.begin("").cookies[0].Value
		}, wire.NotBegunHere},
		{"state and cookie of different sign-ins with one name", func(v *victim) {
			state := v.back.Get("state")
			v.back.Set("state", state[:cookieTag]+strings.Repeat("A", len(state)-cookieTag))
		}, wire.NotBegunHere},
		{"planted cookie beside the victim's", func(v *victim) {
			v.cookies = append(v.cookies, &http.Cookie{Name: v.cookies[0].Name, Value: v.begin("").cookies[0].Value})
		}, wire.NotBegunHere},
		{"planted cookie that is not sealed", func(v *victim) {
			v.cookies[0].Value = base64.RawURLEncoding.EncodeToString([]byte(`{"s":"` + v.back.Get("state") + `"}`))
		}, wire.NotBegunHere},
		{"cookie of an earlier process", func(v *victim) { v.OIDC = v.start(v.Config, "/") }, wire.NotBegunHere},
		{"no cookie", func(v *victim) { v.cookies = nil }, wire.NotBegunHere},
		{"no state", func(v *victim) { v.back.Del("state") }, wire.NotBegunHere},
		{"two states", func(v *victim) { v.back.Add("state", "x") }, wire.NotBegunHere},
		{"state that is no name of a cookie", func(v *victim) { v.back.Set("state", strings.Repeat(";", 43)) }, wire.NotBegunHere},
		{"late", func(v *victim) { v.fake.SetTime(v.fake.Now().Add(attemptLife)) }, wire.NotBegunHere},
		{"replayed", func(v *victim) {
			v.provider.will("/token", refusing("invalid_grant"))
			_, _, _, _ = v.arrive(v.begun)
		}, wire.NotBegunHere},
		{"iss of another provider", func(v *victim) { v.back.Set("iss", "https://evil.example.com") }, wire.NotTrusted},
		{"two iss", func(v *victim) { v.back["iss"] = []string{v.provider.URL, v.provider.URL} }, wire.NotTrusted},
		{"error and iss of another provider", func(v *victim) {
			v.back.Set("iss", "https://evil.example.com")
			v.back.Set("error", "access_denied")
		}, wire.NotTrusted},
		{"no code", func(v *victim) { v.back.Del("code") }, wire.NotTrusted},
		{"nonce of another sign-in", func(v *victim) { v.claims["nonce"] = v.begin("").to.Query().Get("nonce") }, wire.NotTrusted},
		{"no nonce", func(v *victim) { delete(v.claims, "nonce") }, wire.NotTrusted},
		{"id_token for another client", func(v *victim) { v.claims["aud"] = "wiki" }, wire.NotTrusted},
		{"id_token of another issuer", func(v *victim) { v.claims["iss"] = "https://evil.example.com" }, wire.NotTrusted},
		{"id_token signed by another", func(v *victim) { v.signer = v.service }, wire.NotTrusted},
		{"expired id_token", func(v *victim) { v.claims["exp"] = v.fake.Now().Add(-time.Second).Unix() }, wire.NotTrusted},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			v := &victim{fixture: f, begun: f.begin("?return=/keys"), signer: f.provider}
			v.claims = f.fixtureClaims(v.begun)
			c.do(v)
			v.provider.will("/token", tokens(map[string]any{"id_token": v.signer.sign(v.claims)}))
			credential, _, _, err := v.arrive(v.begun)
			if got := reasonOf(t, err); got != c.want || (credential == nil) != (c.want != "") {
				t.Errorf("%q, want %q (%v)", got, c.want, err)
			}
			if c.want == wire.NotBegunHere && c.name != "replayed" && len(f.provider.all("/token")) > 0 {
				t.Error("the code was sent to the provider")
			}
		})
	}
}

func (f *fixture) fixtureClaims(b *begun) map[string]any { return f.claims(b.to.Query().Get("nonce")) }

// TestAProviderThatNamesItself checks that the answer of a provider that promises iss must have it (RFC 9207 §2.4).
func TestAProviderThatNamesItself(t *testing.T) {
	f := newFixture(t)
	f.provider.more["authorization_response_iss_parameter_supported"] = true
	_, _, _, err := f.arrive(f.begin(""))
	if got := reasonOf(t, err); got != wire.NotTrusted {
		t.Errorf("without iss: %q", got)
	}
}

// TestErrorsOfTheProvider checks the reasons that the page gets, and that nothing of the provider's words is in them.
func TestErrorsOfTheProvider(t *testing.T) {
	for code, want := range map[string]wire.SignInFailure{
		"access_denied": wire.AccessDenied, "login_required": wire.AccessDenied, "temporarily_unavailable": wire.ProviderAway,
		"server_error": wire.ProviderAway, "invalid_scope": wire.ProviderRefused, "<script>alert(1)</script>": wire.ProviderRefused, "": wire.ProviderRefused,
	} {
		f := newFixture(t)
		b := f.begin("")
		b.back.Del("code")
		b.back.Set("error", code)
		b.back.Set("error_description", "<script>alert(1)</script>")
		_, _, _, err := f.arrive(b)
		var status *failure
		if got := reasonOf(t, err); got != want || !errors.As(err, &status) || strings.Contains(status.Status().Message+string(status.Status().Reason), "<") {
			t.Errorf("%q: %q, want %q", code, got, want)
		}
	}
	for _, c := range []struct {
		name string
		said answer
		want wire.SignInFailure
	}{
		{"refuses the code", refusing("invalid_grant"), wire.ProviderRefused},
		{"refuses the client", answer{code: 401, body: map[string]any{"error": "invalid_client"}}, wire.ProviderRefused},
		{"fails", answer{code: 503, body: "later"}, wire.ProviderAway},
		{"answers too many", answer{code: 429, body: "later"}, wire.ProviderAway},
		{"gives no id_token", tokens(nil), wire.NotTrusted},
	} {
		f := newFixture(t)
		f.provider.will("/token", c.said)
		_, _, _, err := f.arrive(f.begin(""))
		if got := reasonOf(t, err); got != c.want || strings.Contains(err.Error(), canary) {
			t.Errorf("the provider %s: %q, want %q: %v", c.name, got, c.want, err)
		}
	}
}

// TestRedirectsAreNotFollowed checks that no answer sends the code, or a token, to another host.
func TestRedirectsAreNotFollowed(t *testing.T) {
	f := newFixture(t)
	f.provider.will("/token", answer{code: http.StatusTemporaryRedirect, location: f.service.URL + "/token"})
	_, _, _, err := f.arrive(f.begin(""))
	if got := reasonOf(t, err); got != wire.ProviderRefused || len(f.service.all("/token")) > 0 {
		t.Errorf("%q, and the other host was asked %d times", got, len(f.service.all("/token")))
	}
}

// TestAProviderThatIsAway checks that the browser stays at the console.
func TestAProviderThatIsAway(t *testing.T) {
	f := newFixture(t)
	f.provider.Close()
	for query, want := range map[string]string{
		"": "", "?return=/keys/shop/orders": "&return=%2Fkeys%2Fshop%2Forders", "?return=//evil.example": "",
	} {
		w := httptest.NewRecorder()
		f.Login(w, httptest.NewRequest(http.MethodGet, "https://"+consoleHost+"/auth/login"+query, http.NoBody), "")
		if got := w.Header().Get("Location"); got != "/signin?failed=ProviderAway"+want || len(cookiesOf(w)) > 0 {
			t.Errorf("%q: %d to %s", query, w.Code, got)
		}
	}
}

// TestReturnPath checks that no path leads to another host.
func TestReturnPath(t *testing.T) {
	for asked, want := range map[string]string{
		"/keys": "/keys", "/keys?ns=shop": "/keys?ns=shop", "/": "/", "": "/", "keys": "/", "//evil": "/", `/\evil`: "/", `\/evil`: "/",
		"https:evil": "/", "https://evil": "/", "/\t/evil": "/", "/keys\nx": "/", "javascript:alert(1)": "/", "/" + strings.Repeat("a", longestReturn): "/",
		"/keys/new?claims=" + strings.Repeat("a", longestReturn): "/keys/new",
	} {
		if got := returnPath(asked); got != want {
			t.Errorf("%q: %q, want %q", asked, got, want)
		}
	}
}

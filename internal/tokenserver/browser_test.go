package tokenserver_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

const (
	codeVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	codeChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	shopURI       = "https://shop.example.com/callback"
)

// withClients returns a replica whose issuer has people with passwords and two clients: shop asks for consent, and office does not.
func withClients(t *testing.T) *replica.Replica {
	t.Helper()
	r := replica.New(t, func(issuer *v1alpha1.JWTIssuer) {
		issuer.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Scopes: []string{"orders.*"}}}}
		issuer.Spec.Login = &v1alpha1.LoginSpec{
			SessionNamespace: replica.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: "people"}},
			Clients: []v1alpha1.LoginClient{
				{ID: "shop", Name: `The <b>"Shop"</b>`, RedirectURIs: []string{shopURI}, Audiences: []string{audience}, Scopes: []string{"openid", "orders.read", "bills.read"}},
				{ID: "office", RedirectURIs: []string{"https://office.example.com/cb"}, Audiences: []string{audience}, Consent: v1alpha1.ConsentNever},
			},
		}
	})
	r.PutPasswords("", "ada", "correct horse")
	return r
}

// browser is a browser with its cookies, at one replica after the other.
type browser struct {
	t       *testing.T
	at      []*replica.Replica
	turn    int
	cookies map[string]string
	// address is where it is.
	address string
}

func open(t *testing.T, at ...*replica.Replica) *browser {
	t.Helper()
	return &browser{t: t, at: at, cookies: map[string]string{}, address: "192.0.2.7:4711"}
}

// send sends a request as a browser does, and returns the answer. A form is one of the service's own pages.
func (b *browser) send(method, target string, form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	b.t.Helper()
	target = strings.TrimPrefix(target, "https://tokens.example.com")
	sent := httptest.NewRequestWithContext(b.t.Context(), method, "https://tokens.example.com"+target, strings.NewReader(form.Encode()))
	sent.RemoteAddr = b.address
	if method == http.MethodPost {
		sent.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		sent.Header.Set("Origin", "https://tokens.example.com")
		sent.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, value := range b.cookies {
		sent.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for _, c := range change {
		c(sent)
	}
	got := httptest.NewRecorder()
	b.at[b.turn%len(b.at)].Server.ServeHTTP(got, sent)
	b.turn++
	for _, cookie := range got.Result().Cookies() {
		b.cookies[cookie.Name] = cookie.Value
	}
	return got
}

// wanted are the parameters of a valid request, with changes; an empty value removes one.
func wanted(changes ...string) url.Values {
	query := url.Values{
		"client_id": {"shop"}, "redirect_uri": {shopURI}, "response_type": {"code"}, "scope": {"openid orders.read"},
		"code_challenge": {codeChallenge}, "code_challenge_method": {"S256"}, "state": {"s1"}, "nonce": {"n1"},
	}
	for i := 0; i < len(changes); i += 2 {
		if query.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			query.Del(changes[i])
		}
	}
	return query
}

func (b *browser) begin(changes ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.send(http.MethodGet, "/tenant/authorize?"+wanted(changes...).Encode(), nil)
}

var stepField = regexp.MustCompile(`name="step" value="([^"]+)"`)
var formAction = regexp.MustCompile(`<form method="post" action="([^"]+)"`)

// stepOf returns the sealed step of a page, and where its form goes.
func stepOf(t *testing.T, page *httptest.ResponseRecorder) (step, action string) {
	t.Helper()
	found, to := stepField.FindStringSubmatch(page.Body.String()), formAction.FindStringSubmatch(page.Body.String())
	if found == nil || to == nil {
		t.Fatalf("the page has no form: %d %v %s", page.Code, page.Header(), page.Body)
	}
	return html.UnescapeString(found[1]), html.UnescapeString(to[1])
}

// submit fills the form of a page in.
func (b *browser) submit(page *httptest.ResponseRecorder, fields ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	step, action := stepOf(b.t, page)
	form := url.Values{"step": {step}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.send(http.MethodPost, action, form)
}

func (b *browser) password(page *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.submit(page, "username", "ada", "password", "correct horse")
}

// returned returns the parameters with which the browser returns to the application.
func returned(t *testing.T, got *httptest.ResponseRecorder) url.Values {
	t.Helper()
	to, err := url.Parse(got.Header().Get("Location"))
	if err != nil || got.Code != http.StatusSeeOther || to.Host != "shop.example.com" {
		t.Fatalf("the browser does not return: %d %v %s", got.Code, got.Header(), got.Body)
	}
	return to.Query()
}

// code signs Ada in, and returns the code that the application gets.
func (b *browser) code(changes ...string) string {
	b.t.Helper()
	answer := returned(b.t, b.submit(b.password(b.begin(changes...)), "answer", "allow"))
	if answer.Get("code") == "" || answer.Get("iss") != replica.URL || answer.Get("state") != "s1" || answer.Has("error") {
		b.t.Fatalf("the application gets %v", answer)
	}
	return answer.Get("code")
}

func redeem(r *replica.Replica, code string, changes ...string) *answer {
	form := url.Values{"grant_type": {oauth.GrantAuthorizationCode}, "code": {code}, "client_id": {"shop"}, "redirect_uri": {shopURI}, "code_verifier": {codeVerifier}}
	for i := 0; i < len(changes); i += 2 {
		if form.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			form.Del(changes[i])
		}
	}
	return ask(r, http.MethodPost, "/tenant/token", form)
}

// TestFormsInTheAddressBar checks that a person who enters the address of a form again gets a page that says how to go on.
func TestFormsInTheAddressBar(t *testing.T) {
	r := withClients(t)
	for _, path := range []string{"/authorize/password", "/authorize/consent", "/authorize/provider", "/device/code", "/device/decision"} {
		page := open(t, r).send(http.MethodGet, "/tenant"+path, nil)
		shows(t, page, http.StatusMethodNotAllowed, "Go back to the application")
		if allow := page.Header().Get("Allow"); allow != http.MethodPost {
			t.Errorf("%s: Allow is %q", path, allow)
		}
	}
}

// TestSteps checks that a step is taken only by the browser that began it, in time, at the issuer's own pages.
func TestSteps(t *testing.T) {
	r := withClients(t)
	b := open(t, r)
	page := b.begin()
	step, action := stepOf(t, page)
	consent, _ := stepOf(t, b.password(page))
	form := url.Values{"step": {step}, "username": {"ada"}, "password": {"correct horse"}}
	fromOther := func(header, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(header, value) }
	}
	for _, c := range []struct {
		name   string
		form   url.Values
		other  bool
		change []func(*http.Request)
		status int
		says   string
	}{
		{"another browser", form, true, nil, 400, "expired"},
		{"a browser without a cookie", form, false, []func(*http.Request){func(r *http.Request) { r.Header.Del("Cookie") }}, 400, "expired"},
		{"two cookies", form, false, []func(*http.Request){func(r *http.Request) { r.Header.Set("Cookie", r.Header.Get("Cookie")+"; "+r.Header.Get("Cookie")) }}, 400, "expired"},
		{"no step", url.Values{"username": {"ada"}}, false, nil, 400, "expired"},
		{"a step of the consent", url.Values{"step": {consent}, "username": {"ada"}, "password": {"correct horse"}}, false, nil, 400, "expired"},
		{"a page of another site", form, false, []func(*http.Request){fromOther("Sec-Fetch-Site", "cross-site"), fromOther("Origin", "https://evil.example.com")}, 403, "another site"},
		{"a page of another host of the site", form, false, []func(*http.Request){fromOther("Sec-Fetch-Site", "same-site"), fromOther("Origin", "https://evil.example.com")}, 403, "another site"},
		{"an old browser at another site", form, false, []func(*http.Request){func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") }}, 403, "another site"},
		{"the same browser", form, false, nil, 200, "wants to use your account"},
	} {
		from := b
		if c.other {
			from = open(t, r)
			from.begin()
		}
		if got := from.send(http.MethodPost, action, c.form, c.change...); got.Code != c.status || !strings.Contains(got.Body.String(), c.says) {
			t.Errorf("%s: %d %s", c.name, got.Code, got.Body)
		}
	}
	r.Clock.SetTime(r.Clock.Now().Add(10 * time.Minute))
	if got := b.send(http.MethodPost, action, form); got.Code != 400 || !strings.Contains(got.Body.String(), "expired") {
		t.Errorf("after ten minutes: %d %s", got.Code, got.Body)
	}
}

// TestPages checks the headers of every page, that it shows text as text, and its language.
func TestPages(t *testing.T) {
	r := withClients(t)
	b := open(t, r)
	login := b.begin("login_hint", `"><script>alert(1)</script>`)
	for name, page := range map[string]*httptest.ResponseRecorder{
		"login": login, "again": b.submit(login, "username", `"><script>`, "password", "x"), "consent": b.password(login),
		"problem": b.begin("client_id", `<script>alert(1)</script>`),
	} {
		header, body := page.Header(), page.Body.String()
		policy := header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy lacks %s: %s", name, want, policy)
			}
		}
		if header.Get("Cache-Control") != "no-store" || header.Get("Referrer-Policy") != "same-origin" || header.Get("X-Content-Type-Options") != "nosniff" ||
			header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %v", name, header)
		}
		if strings.Contains(body, "<script") || strings.Contains(body, "<b>\"Shop") || strings.Contains(policy, "unsafe") || strings.Contains(body, "ZgotmplZ") {
			t.Errorf("%s: %s", name, body)
		}
	}
	if policy := login.Header().Get("Content-Security-Policy"); !strings.HasSuffix(policy, "form-action 'self' https:") {
		t.Errorf("the form may lead to %s", policy)
	}
	german := b.send(http.MethodGet, "/tenant/authorize?"+wanted().Encode(), nil, func(r *http.Request) { r.Header.Set("Accept-Language", "de-CH, en;q=0.5") })
	if !strings.Contains(german.Body.String(), `<html lang="de">`) || !strings.Contains(german.Body.String(), "Benutzername") {
		t.Errorf("in German: %s", german.Body)
	}
}

// TestRefusals checks what a person sees and an application gets if a request or an answer is refused.
func TestRefusals(t *testing.T) {
	r := withClients(t)
	b := open(t, r)
	for _, c := range []struct {
		name, want string
		got        *httptest.ResponseRecorder
	}{
		{"no PKCE", "invalid_request", b.begin("code_challenge", "")},
		{"another audience", "invalid_target", b.begin("resource", "https://bank.example.com")},
		{"no page", "login_required", b.begin("prompt", "none")},
		{"a scope that the policy does not grant", "invalid_scope", b.password(b.begin("scope", "bills.read"))},
		{"a person who does not allow it", "access_denied", b.submit(b.password(b.begin()), "answer", "deny")},
		{"an answer that is neither", "access_denied", b.submit(b.password(b.begin()))},
	} {
		if answer := returned(t, c.got); answer.Get("error") != c.want || answer.Get("iss") != replica.URL || answer.Get("state") != "s1" || answer.Has("code") {
			t.Errorf("%s: %v, want %s", c.name, answer, c.want)
		}
	}
	for name, page := range map[string]*httptest.ResponseRecorder{
		"an unknown client": b.begin("client_id", "bank"), "an unknown redirect URI": b.begin("redirect_uri", "https://evil.example.com"),
		"a repeated parameter": b.send(http.MethodGet, "/tenant/authorize?client_id=shop&client_id=bank", nil),
	} {
		if page.Code != http.StatusBadRequest || page.Header().Get("Location") != "" || !strings.Contains(page.Body.String(), "cannot sign you in") {
			t.Errorf("%s: %d %v %s", name, page.Code, page.Header(), page.Body)
		}
	}
	wrong, unknown := b.submit(b.begin(), "username", "ada", "password", "wrong"), b.submit(b.begin(), "username", "bob", "password", "wrong")
	if wrong.Code != http.StatusUnprocessableEntity || unknown.Code != wrong.Code || !strings.Contains(wrong.Body.String(), "The user name or the password is wrong.") {
		t.Errorf("a wrong password: %d %s", wrong.Code, wrong.Body)
	}
	if a, b := strings.ReplaceAll(plainPage(wrong), "ada", "bob"), plainPage(unknown); a != b {
		t.Errorf("a page tells a known user from an unknown one:\n%s\n%s", a, b)
	}
	for range 10 {
		wrong = b.submit(b.begin(), "username", "ada", "password", "wrong")
	}
	if wrong.Code != http.StatusTooManyRequests || wrong.Header().Get("Retry-After") == "" || !strings.Contains(wrong.Body.String(), "Too many tries") {
		t.Errorf("after many tries: %d %s", wrong.Code, wrong.Body)
	}
}

// plainPage returns a page without its sealed step.
func plainPage(page *httptest.ResponseRecorder) string {
	return stepField.ReplaceAllString(page.Body.String(), "")
}

// TestAuthorizeByPost checks that a form of another site becomes a request by GET, and sets no cookie.
func TestAuthorizeByPost(t *testing.T) {
	b := open(t, withClients(t))
	got := b.send(http.MethodPost, "/tenant/authorize", wanted(), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	if got.Code != http.StatusSeeOther || len(b.cookies) != 0 {
		t.Fatalf("%d %v", got.Code, got.Header())
	}
	if page := b.send(http.MethodGet, got.Header().Get("Location"), nil); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), "password") {
		t.Errorf("%d %s", page.Code, page.Body)
	}
}

// TestConsentNever checks a client that asks for no consent.
func TestConsentNever(t *testing.T) {
	r := withClients(t)
	b := open(t, r)
	got := b.password(b.begin("client_id", "office", "redirect_uri", "https://office.example.com/cb", "scope", ""))
	to, err := url.Parse(got.Header().Get("Location"))
	if err != nil || to.Host != "office.example.com" || to.Query().Get("code") == "" {
		t.Fatalf("%d %v", got.Code, got.Header())
	}
	tokens := redeem(r, to.Query().Get("code"), "client_id", "office", "redirect_uri", "https://office.example.com/cb")
	if tokens.outcome() != "200" || tokens.text("id_token") != "" {
		t.Errorf("%s", tokens.raw)
	}
}

// TestBrowserCookie checks the attributes of the cookie, and that tabs of a browser share its key.
func TestBrowserCookie(t *testing.T) {
	b := open(t, withClients(t))
	cookies := b.begin().Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("%v", cookies)
	}
	one := cookies[0]
	if !strings.HasPrefix(one.Name, "__Host-rk-") || !one.Secure || !one.HttpOnly || one.SameSite != http.SameSiteLaxMode || one.Path != "/" || one.Domain != "" || one.MaxAge != 600 || len(one.Value) != 43 {
		t.Errorf("%+v", one)
	}
	if again := b.begin().Result().Cookies(); len(again) != 1 || again[0].Value != one.Value {
		t.Errorf("another tab gets %v", again)
	}
}

// TestAnIssuerWithoutClients checks that it has no pages, and that its metadata names none.
func TestAnIssuerWithoutClients(t *testing.T) {
	b := open(t, replica.New(t))
	if got := b.begin(); got.Code != http.StatusNotFound {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if got := b.send(http.MethodGet, "/tenant/.well-known/openid-configuration", nil); strings.Contains(got.Body.String(), "authorization_endpoint") {
		t.Errorf("%s", got.Body)
	}
	if got := redeem(b.at[0], "x"); got.outcome() != "400 unsupported_grant_type" {
		t.Errorf("%s", got.raw)
	}
}

// TestAClientThatIsNotDeclaredAnyMore checks each moment at which a client can be removed.
func TestAClientThatIsNotDeclaredAnyMore(t *testing.T) {
	r := withClients(t)
	b := open(t, r)
	page := b.begin()
	consent := b.password(page)
	code := returned(t, b.submit(consent, "answer", "allow")).Get("code")
	tokens := redeem(r, b.code())
	clients := r.Issuer.Spec.Login.Clients
	r.Issuer.Spec.Login.Clients = clients[1:]
	r.PutIssuer(r.Issuer, r.Rings)
	if got := b.password(page); got.Code != http.StatusBadRequest {
		t.Errorf("before the password: %d %s", got.Code, got.Body)
	}
	if got := b.submit(consent, "answer", "allow"); got.Code != http.StatusBadRequest {
		t.Errorf("before the consent: %d %s", got.Code, got.Body)
	}
	if got := redeem(r, code); got.outcome() != "400 unauthorized_client" {
		t.Errorf("before the redemption: %s", got.raw)
	}
	refresh := url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {tokens.text("refresh_token")}}
	if got := ask(r, http.MethodPost, "/tenant/token", refresh); got.outcome() != "400 unauthorized_client" {
		t.Errorf("afterwards: %s", got.raw)
	}
	r.Issuer.Spec.Login.Clients = clients
	r.PutIssuer(r.Issuer, r.Rings)
	if got := ask(r, http.MethodPost, "/tenant/token", refresh); got.outcome() != "200" {
		t.Errorf("declared again: %s", got.raw)
	}
}

// TestAnonymousRequestsWriteNothing checks that no request before a redemption writes, and that all the steps of a sign-in together write
// twice.
func TestAnonymousRequestsWriteNothing(t *testing.T) {
	r := withClients(t)
	b := open(t, r)
	before := r.Counts()
	for n := range 200 {
		page := b.begin("state", strings.Repeat("s", n))
		b.begin("client_id", "bank")
		b.begin("redirect_uri", "https://evil.example.com")
		push(r)
		redeem(r, strings.Repeat("x", n))
		if n < 3 {
			b.submit(page, "username", "ada", "password", "wrong")
		}
	}
	if after := r.Counts(); after.Writes != before.Writes {
		t.Errorf("%d writes", after.Writes-before.Writes)
	}
	if got := redeem(r, b.code()); got.outcome() != "200" {
		t.Fatal(got.raw)
	}
	if after := r.Counts(); after.Writes-before.Writes != 2 {
		t.Errorf("a sign-in costs %d writes", after.Writes-before.Writes)
	}
}

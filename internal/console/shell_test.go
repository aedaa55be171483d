package console

import (
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// TestTheShell checks that each page is the same shell, without a cookie, with the base path, and that a browser asks for it again.
func TestTheShell(t *testing.T) {
	for _, base := range []string{"/", "/refresh/"} {
		f := newFixture(t, func(o *Options) { o.BasePath = base })
		var first string
		for _, page := range []string{"", "signin", "keys", "keys/new", "keys/shop/billing", "sessions", "me/sessions", "issuers", "issuers/main", "verify"} {
			answer := f.do(call{method: "GET", path: base + page})
			body := bodyOf(t, answer)
			if first == "" {
				first = body
			}
			if answer.StatusCode != http.StatusOK || body != first || strings.Contains(body, "<base") {
				t.Errorf("%s%s: %d %s", base, page, answer.StatusCode, body)
			}
			if len(answer.Cookies()) > 0 || answer.Header.Get("Cache-Control") != "no-cache" || answer.Header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%s%s: %v", base, page, answer.Header)
			}
			again := f.do(call{method: "GET", path: base + page, headers: map[string]string{"If-None-Match": answer.Header.Get("ETag")}})
			if again.StatusCode != http.StatusNotModified {
				t.Errorf("%s%s again: %d", base, page, again.StatusCode)
			}
		}
		// All that the shell names is served, and is the same forever under the name that the shell gives it.
		for _, named := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(first, -1) {
			answer := f.do(call{method: "GET", path: named[1]})
			if !strings.HasPrefix(named[1], base) || answer.StatusCode != http.StatusOK || !strings.Contains(answer.Header.Get("Cache-Control"), "immutable") {
				t.Errorf("%s below %s: %d %v", named[1], base, answer.StatusCode, answer.Header)
			}
		}
	}
}

// TestPagesThatDoNotExist checks what answers a path without a route: a browser that opens it gets the shell, which says so.
func TestPagesThatDoNotExist(t *testing.T) {
	const browser = "text/html,application/xhtml+xml,*/*;q=0.8"
	for _, c := range []struct {
		name, method, path, accept string
		page                       bool
	}{
		{"a page that a person mistyped", "GET", "keyz", browser, true},
		{"a page below a page", "GET", "issuers/main/keys", browser, true},
		{"a page with an empty part", "GET", "keys//billing", browser, true},
		{"a tool", "GET", "keyz", "*/*", false},
		{"a request without Accept", "GET", "keyz", "", false},
		{"a route of the API", "GET", "api/keyz", browser, false},
		{"a route of the provider", "GET", "auth/keyz", browser, false},
		{"a write", "POST", "keyz", browser, false},
	} {
		for _, base := range []string{"/", "/refresh/"} {
			f := newFixture(t, func(o *Options) { o.BasePath = base })
			answer := f.do(call{method: c.method, path: base + c.path, headers: map[string]string{"Accept": c.accept}})
			body := bodyOf(t, answer)
			if answer.StatusCode != http.StatusNotFound || strings.Contains(body, `src="`+base+`app.js`) != c.page {
				t.Errorf("%s below %s: %d %s", c.name, base, answer.StatusCode, body)
			}
		}
	}
	f := newFixture(t, func(o *Options) { o.BasePath = "/refresh/" })
	if body := bodyOf(t, f.do(call{method: "GET", path: "/keys", headers: map[string]string{"Accept": browser}})); strings.Contains(body, "app.js") {
		t.Errorf("outside the base path: %s", body)
	}
}

// TestFiles checks how a file of the page is cached and compressed.
func TestFiles(t *testing.T) {
	f := newFixture(t)
	f.mux = http.NewServeMux()
	text := strings.Repeat("console.log('keys')\n", 100)
	index, assets, err := load(fstest.MapFS{
		"index.html": {Data: []byte(`<link rel="icon" href="icons/key.svg"><script type="module" src="app.js"></script>`)},
		"app.js":     {Data: []byte(text)}, "icons/key.svg": {Data: []byte("<svg/>")},
	})
	if err != nil || len(assets) != 2 {
		t.Fatalf("%v: %d assets", err, len(assets))
	}
	f.serveFiles(index, assets)
	body := bodyOf(t, f.do(call{method: "GET", path: "/keys"}))
	named := regexp.MustCompile(`src="/(app\.js\?v=[0-9a-f]{16})"`).FindStringSubmatch(body)
	if named == nil || !strings.Contains(body, `href="/icons/key.svg?v=`) {
		t.Fatalf("the shell does not name the contents: %s", body)
	}
	plain := f.do(call{method: "GET", path: "/" + named[1]})
	if bodyOf(t, plain) != text || plain.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || plain.Header.Get("Content-Encoding") != "" {
		t.Errorf("plain: %v", plain.Header)
	}
	zipped := f.do(call{method: "GET", path: "/" + named[1], headers: map[string]string{"Accept-Encoding": "gzip, br"}})
	reader, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	if unzipped, err := io.ReadAll(reader); err != nil || string(unzipped) != text {
		t.Errorf("compressed: %v", err)
	}
	if zipped.Header.Get("ETag") == plain.Header.Get("ETag") || zipped.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("compressed: %v", zipped.Header)
	}
	for _, other := range []string{"/app.js", "/app.js?v=0000000000000000"} {
		if got := f.do(call{method: "GET", path: other}).Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("%s: %q", other, got)
		}
	}
	if got := f.do(call{method: "GET", path: "/icons/key.svg"}).Header.Get("Content-Type"); got != "image/svg+xml" {
		t.Errorf("the icon is %q", got)
	}
}

// TestWhereAPersonReturnsTo checks that a sign-in leads to a page of this console alone.
func TestWhereAPersonReturnsTo(t *testing.T) {
	f := newFixture(t)
	for asked, want := range map[string]string{
		"/keys/shop/billing": "keys/shop/billing", "/keys?status=Ready&q=a": "keys?status=Ready&q=a", "/": "", "": "", "/verify": "verify",
		"//evil.example": "", `/\evil.example`: "", `\\evil.example`: "", "https://evil.example/keys": "", "javascript:alert(1)": "", "///keys": "",
		"/keys//evil.example": "", "keys": "", "/api/me": "", "/auth/login": "", "/app.js": "", "/%2fevil.example": "", "/keys/../../evil": "",
		"/\tevil": "", "/keys\r\nSet-Cookie: a=b": "", "/keys/..": "", "/no/such/page/at/all": "",
	} {
		if got := f.pageOf(asked); got != want {
			t.Errorf("%q leads to %q, want %q", asked, got, want)
		}
	}
}

// planted is a way to sign in whose provider sends the browser back with one answer.
type planted struct {
	credential *Credential
	path       string
	session    string
	err        error
}

// Provider implements SignIn.
func (*planted) Provider() string { return "id.example.com" }

// Login implements SignIn.
func (p *planted) Login(w http.ResponseWriter, r *http.Request, session string) {
	p.session = session
	http.Redirect(w, r, "https://id.example.com/authorize", http.StatusSeeOther)
}

// Logout implements SignIn.
func (p *planted) Logout(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "https://idp.example.com/leave", http.StatusSeeOther)
}

// Callback implements SignIn.
func (p *planted) Callback(http.ResponseWriter, *http.Request) (Arrival, error) {
	return Arrival{Credential: p.credential, Path: p.path, Session: p.session}, p.err
}

// TestAPartOfAPageBeginsNoSignIn checks that images and frames of other pages neither begin a sign-in nor use up the tries.
func TestAPartOfAPageBeginsNoSignIn(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.SignIn = &planted{err: fail(http.StatusForbidden, "Forbidden", "denied")} })
	for _, path := range []string{"/auth/login", "/auth/callback", "/auth/logout"} {
		for _, site := range []string{"cross-site", "same-site", "same-origin"} {
			for _, part := range []string{"image", "iframe", "script", "empty", "embed"} {
				headers := map[string]string{"Sec-Fetch-Site": site, "Sec-Fetch-Dest": part}
				if answer := f.do(call{method: "GET", path: path, headers: headers}); answer.StatusCode != http.StatusForbidden {
					t.Errorf("%s as %s, %s: %d", path, part, site, answer.StatusCode)
				}
			}
		}
	}
	for _, c := range []struct {
		name    string
		headers map[string]string
	}{
		{"a link of another site", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}},
		{"a browser without Sec-Fetch-Dest", map[string]string{"Sec-Fetch-Site": ""}},
	} {
		for _, path := range []string{"/auth/login", "/auth/callback", "/auth/logout"} {
			if answer := f.do(call{method: "GET", path: path, headers: c.headers}); answer.StatusCode != http.StatusSeeOther {
				t.Errorf("%s to %s: %d", c.name, path, answer.StatusCode)
			}
		}
	}
}

// TestSignInAtAProvider checks the place of a provider: its routes, the session that it makes, and where the person goes.
func TestSignInAtAProvider(t *testing.T) {
	provider := &planted{path: "/keys/shop/billing"}
	f := newFixture(t, func(o *Options) { o.BasePath, o.SignIn = "/refresh/", provider })
	crossSite := map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
	callback := call{method: "GET", path: "/refresh/auth/callback?code=" + canary, headers: crossSite}
	if got := f.meIs("").Ways; got.Provider != "id.example.com" || !got.Token {
		t.Errorf("%+v", got)
	}
	if answer := f.do(call{method: "GET", path: "/refresh/auth/login"}); answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "https://id.example.com/authorize" {
		t.Errorf("login: %d %v", answer.StatusCode, answer.Header)
	}
	made, err := f.proven(&wire.Login{Token: f.cluster.user("ada")})
	if err != nil {
		t.Fatal(err)
	}
	made.Means = wire.IDToken
	provider.credential = made
	answer := f.do(callback)
	if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/refresh/keys/shop/billing" {
		t.Errorf("callback: %d %v", answer.StatusCode, answer.Header)
	}
	if got := f.meIs(cookieOf(t, answer).Value); got.User != "ada" || got.Means != wire.IDToken {
		t.Errorf("%+v", got)
	}
	first := cookieOf(t, answer).Value
	f.do(call{method: "GET", path: "/refresh/auth/login", session: first})
	if f.do(callback); f.meIs(first).SignedIn {
		t.Error("after another sign-in of the browser, which did not send the cookie from the provider's site, its first session goes on")
	}
	provider.path = "//evil.example"
	if got := f.do(callback).Header.Get("Location"); got != "/refresh/" {
		t.Errorf("an open redirect leads to %q", got)
	}
	provider.err = fail(http.StatusForbidden, "Forbidden", "denied")
	for asked, want := range map[string]string{"//evil.example": "", "": "", "/": "", "/keys?ns=shop": "&return=%2Fkeys%3Fns%3Dshop"} {
		provider.path = asked
		if answer := f.do(callback); answer.Header.Get("Location") != "/refresh/signin?failed=Forbidden"+want || len(answer.Cookies()) > 0 {
			t.Errorf("a refusal of a sign-in for %q: %d %v", asked, answer.StatusCode, answer.Header)
		}
	}
	if strings.Contains(f.logged(), canary) {
		t.Error("the code of the provider is in the log")
	}
}

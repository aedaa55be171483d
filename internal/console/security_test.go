package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// TestRequestsOfOtherPages checks that another origin, or another port or subdomain of the same site, can neither write nor read.
// Cookies are sent with all of these in the worst case, so each has a session here.
func TestRequestsOfOtherPages(t *testing.T) {
	f := newFixture(t)
	session := f.signedIn(f.cluster.user("ada"))
	form := "application/x-www-form-urlencoded"
	for _, c := range []struct {
		name, method, path string
		headers            map[string]string
		want               int
	}{
		{"the page's own fetch", "POST", "/api/test", nil, 200},
		{"the page's own fetch, in a browser without Sec-Fetch-Site", "POST", "/api/test", map[string]string{"Sec-Fetch-Site": ""}, 200},
		{"a tool without Origin and Sec-Fetch-Site", "POST", "/api/test", map[string]string{"Sec-Fetch-Site": "", "Origin": ""}, 200},
		{"a fetch of another origin", "POST", "/api/test", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		{"a fetch of another port", "POST", "/api/test", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://" + host + ":8443"}, 403},
		{"a fetch of a sibling subdomain", "POST", "/api/test", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://other.example.com"}, 403},
		{"a fetch of another origin, in a browser without Sec-Fetch-Site", "POST", "/api/test", map[string]string{"Sec-Fetch-Site": "", "Origin": "https://evil.example"}, 403},
		{"a fetch of an opaque origin", "POST", "/api/test", map[string]string{"Sec-Fetch-Site": "", "Origin": "null"}, 403},
		{"a form of another origin", "POST", "/api/test", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example", "Content-Type": form}, 403},
		{"a form of another port that logs in", "POST", "/api/login", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://" + host + ":8443", "Content-Type": form}, 403},
		{"a fetch of another origin that logs out", "POST", "/api/logout", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		{"an image of another origin", "GET", "/api/test/shop/billing", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}, 403},
		{"an image of another port", "GET", "/api/me", map[string]string{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "image"}, 403},
		{"an event stream of another port", "GET", "/api/test/stream", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"a form of the page itself", "POST", "/api/test", map[string]string{"Content-Type": form}, 415},
		{"plain text", "POST", "/api/test", map[string]string{"Content-Type": "text/plain"}, 415},
		{"no content type", "POST", "/api/test", map[string]string{"Content-Type": ""}, 415},
		{"JSON with a charset", "POST", "/api/test", map[string]string{"Content-Type": "application/json; charset=utf-8"}, 200},
		{"a link from another site to a page", "GET", "/keys/shop/billing", map[string]string{"Sec-Fetch-Site": "cross-site"}, 200},
	} {
		answer := f.do(call{method: c.method, path: c.path, body: `{}`, session: session, headers: c.headers})
		if answer.StatusCode != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, answer.StatusCode, bodyOf(t, answer), c.want)
		}
		if c.want >= 400 {
			if got := read[wire.Failure](t, answer); got.Code != c.want || got.Message == "" {
				t.Errorf("%s: %+v", c.name, got)
			}
		}
	}
	if !f.meIs(session).SignedIn {
		t.Error("one of the requests ended the session")
	}
}

// TestHosts checks that the console answers only under its names, so that no name of an attacker leads a browser to it.
func TestHosts(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Hosts = []string{host, "localhost", "127.0.0.1:8443", "::1"} })
	for name, want := range map[string]int{
		host: 200, strings.ToUpper(host): 200, host + ":443": 200, "localhost:9000": 200, "127.0.0.1:8443": 200, "[::1]:8443": 200, "[::1]": 200,
		"127.0.0.1:8444": 421, "127.0.0.1": 421, "evil.example": 421, host + ".evil.example": 421, "x." + host: 421, host + ".": 421, host + "@evil.example": 421, "": 421,
	} {
		for _, path := range []string{"/", "/api/me", "/no/such/path"} {
			answer := f.do(call{method: http.MethodGet, path: path, headers: map[string]string{"Host": name}})
			if want == 200 && path == "/no/such/path" {
				if answer.StatusCode != http.StatusNotFound {
					t.Errorf("%s under %q: %d", path, name, answer.StatusCode)
				}
				continue
			}
			if answer.StatusCode != want {
				t.Errorf("%s under %q: %d, want %d", path, name, answer.StatusCode, want)
			}
		}
	}
}

// TestHeadersOfEveryAnswer checks the headers that protect a page, of all kinds of answers.
func TestHeadersOfEveryAnswer(t *testing.T) {
	f := newFixture(t)
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
			"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer", "Strict-Transport-Security": "max-age=31536000",
	}
	for _, c := range []call{
		{method: "GET", path: "/"}, {method: "GET", path: "/keys"}, {method: "GET", path: "/api/me"}, {method: "GET", path: "/api/test/shop/billing"},
		{method: "GET", path: "/no/such/path"}, {method: "PUT", path: "/api/me"}, {method: "POST", path: "/api/login", body: "{"},
		{method: "GET", path: "/", headers: map[string]string{"Host": "evil.example"}}, {method: "GET", path: "/api/../keys"},
		{method: "POST", path: "/api/test", headers: map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}},
	} {
		answer := f.do(c)
		for name, value := range want {
			if got := answer.Header.Values(name); len(got) != 1 || got[0] != value {
				t.Errorf("%s %s: %s is %q", c.method, c.path, name, got)
			}
		}
		if !strings.Contains(answer.Header.Get("Permissions-Policy"), "camera=()") {
			t.Errorf("%s %s: no Permissions-Policy", c.method, c.path)
		}
		if got := answer.Header.Get("Cache-Control"); strings.HasPrefix(c.path, "/api/") && got != "no-store" {
			t.Errorf("%s %s: Cache-Control is %q", c.method, c.path, got)
		}
		if answer.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s: other origins may read the answer", c.method, c.path)
		}
	}
}

// TestStrictTransportOnThisMachine checks that a port-forward does not make a browser use TLS for all of localhost.
func TestStrictTransportOnThisMachine(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Hosts = append(o.Hosts, "localhost", "127.0.0.1") })
	for _, name := range []string{"localhost:8443", "127.0.0.1:8443"} {
		if got := f.do(call{method: "GET", path: "/", headers: map[string]string{"Host": name}}).Header.Get("Strict-Transport-Security"); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestCookie checks the attributes of the cookie, at the root and under a base path.
func TestCookie(t *testing.T) {
	for base, want := range map[string]string{
		"/":         "__Host-rk=%s; Path=/; HttpOnly; Secure; SameSite=Strict",
		"/refresh/": "__Secure-rk=%s; Path=/refresh/; HttpOnly; Secure; SameSite=Strict",
	} {
		f := newFixture(t, func(o *Options) { o.BasePath = base })
		answer := f.try(wire.Login{Token: f.cluster.user("ada")}, "")
		id := cookieOf(t, answer).Value
		if got := answer.Header.Get("Set-Cookie"); len(id) != 43 || got != fmt.Sprintf(want, id) {
			t.Errorf("under %s: %q", base, got)
		}
		if got := f.meIs(id).User; got != "ada" {
			t.Errorf("under %s: the session is of %q", base, got)
		}
	}
}

// TestTwoCookiesOfOneName checks that a cookie that another page planted beside ours is not chosen.
func TestTwoCookiesOfOneName(t *testing.T) {
	f := newFixture(t)
	session := f.signedIn(f.cluster.user("ada"))
	answer := f.do(call{method: "GET", path: "/api/test/shop/billing", headers: map[string]string{
		"Cookie": f.cookie.name + "=" + session + "; " + f.cookie.name + "=" + strings.Repeat("A", 43),
	}})
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("%d", answer.StatusCode)
	}
}

// TestBodies checks which bodies a route reads.
func TestBodies(t *testing.T) {
	f := newFixture(t)
	session := f.signedIn(f.cluster.user("ada"))
	for _, c := range []struct {
		name, body string
		want       int
	}{
		{"its JSON", `{"text":"` + strings.Repeat("a", 60<<10) + `"}`, 200},
		{"its JSON with white space", " {}\n", 200},
		{"more than 64 KiB", `{"text":"` + strings.Repeat("a", 64<<10) + `"}`, 413},
		{"an unknown field", `{"test":""}`, 400},
		{"another type", `{"text":1}`, 400},
		{"two values", `{}{}`, 400},
		{"nothing", ``, 400},
		{"a part", `{"text":`, 400},
	} {
		if answer := f.do(call{method: "POST", path: "/api/test", body: c.body, session: session}); answer.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", c.name, answer.StatusCode, c.want)
		}
	}
}

// TestNoPathReachesTheAPIServer checks, for every parameter of every route, that a text that is no name is refused before the API
// server is asked.
func TestNoPathReachesTheAPIServer(t *testing.T) {
	f := newFixture(t)
	session := f.signedIn(f.cluster.user("ada"))
	before := len(f.cluster.requests())
	parameters := 0
	for _, pattern := range f.patterns {
		method, path, _ := strings.Cut(pattern, " ")
		if !strings.HasPrefix(path, "/api/") {
			continue
		}
		for _, parameter := range []string{"{ns}", "{name}"} {
			if !strings.Contains(path, parameter) {
				continue
			}
			parameters++
			for _, hostile := range []string{
				"..", ".", "../x", "%2e%2e", "..%2f..%2fsecrets", "a%2fb", "a%5cb", "%3f", "a%3fwatch=1", "%23", "a%23b", "a%00b", "a%0ab", "a%20b", "A", "a_b",
				"-a", "a..b", "%C3%A4", "a:b", "a;b", "a,b", "*", "%25", "%252e%252e", "a%26b", strings.Repeat("a", 254),
			} {
				target := strings.NewReplacer(parameter, hostile, "{ns}", "shop", "{name}", "billing").Replace(path)
				answer := f.do(call{method: method, path: target, body: "{}", session: session})
				if code := answer.StatusCode; code != http.StatusBadRequest && code != http.StatusNotFound && code != http.StatusMethodNotAllowed {
					t.Errorf("%s %s: %d %s", method, target, code, bodyOf(t, answer))
				}
			}
		}
	}
	for _, hostile := range []string{"..", "a/b", "%2f", "A", "a%23"} {
		if answer := f.do(call{method: "GET", path: "/api/test/stream?ns=" + hostile, session: session}); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("the stream of %s: %d", hostile, answer.StatusCode)
		}
	}
	if after := len(f.cluster.requests()); after != before || parameters < 2 {
		t.Errorf("%d requests reached the API server, for %d parameters", after-before, parameters)
	}
}

// TestAHandlerThatPanics checks that a fault of the console leaves its place in the log, and that the page gets an answer.
func TestAHandlerThatPanics(t *testing.T) {
	f := newFixture(t)
	session := f.signedIn(f.cluster.user("ada"))
	var missing map[string]int
	f.route("GET /api/broken", func(context.Context, *person, *http.Request) (any, error) {
		missing["a"] = 1
		return nil, nil
	})
	f.handle("GET /api/halves", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half of an answer"))
		missing["a"] = 1
	})
	answer := f.do(call{method: "GET", path: "/api/broken", session: session})
	if got := read[wire.Failure](t, answer); answer.StatusCode != http.StatusInternalServerError || got.Message != "the console failed; its log says more" {
		t.Errorf("the page gets %d %+v", answer.StatusCode, got)
	}
	thrown := func() (thrown any) {
		defer func() { thrown = recover() }()
		f.do(call{method: "GET", path: "/api/halves", session: session})
		return nil
	}()
	if err, is := thrown.(error); !is || !errors.Is(err, http.ErrAbortHandler) {
		t.Errorf("half of an answer is one to the page: the panic %v is passed on", thrown)
	}
	lines := f.logged()
	for _, want := range []string{"assignment to entry in nil map", "security_test.go", `"route":"GET /api/broken","status":500`, `"route":"GET /api/halves"`} {
		if !strings.Contains(lines, want) {
			t.Errorf("the log does not have %s:\n%s", want, lines)
		}
	}
}

// TestPathsWithoutARoute checks that a path that is written in another way has no route, and that refusals are JSON.
func TestPathsWithoutARoute(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.BasePath = "/refresh/" })
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/refresh/", 200}, {"GET", "/refresh/keys", 200}, {"HEAD", "/refresh/keys", 200}, {"GET", "/refresh", 308}, {"GET", "/", 404},
		{"GET", "/api/me", 404}, {"GET", "/refreshing/api/me", 404}, {"GET", "/refresh//api/me", 404}, {"GET", "/refresh/api//me", 404},
		{"GET", "/refresh/./api/me", 404}, {"GET", "/refresh/x/../api/me", 404}, {"GET", "/refresh/api/%6de", 404}, {"GET", "/refresh%2fapi/me", 404},
		{"GET", "/refresh/api/me/", 404}, {"GET", "/refresh/keys/", 404}, {"GET", "/refresh/api", 404}, {"GET", "/refresh/api/", 404},
		{"GET", "/refresh/index.html", 404}, {"GET", "/refresh/dist/index.html", 404}, {"GET", "/refresh/api/v1/secrets", 404},
		{"GET", "/refresh/apis/jwt.refreshkeys.dev/v1alpha1", 404}, {"GET", "/refresh/healthz", 404}, {"GET", "/refresh/metrics", 404},
		{"GET", "/refresh/debug/pprof", 404}, {"PUT", "/refresh/api/me", 405}, {"GET", "/refresh/api/login", 405}, {"DELETE", "/refresh/keys", 405},
		{"OPTIONS", "/refresh/api/me", 405}, {"TRACE", "/refresh/api/me", 405}, {"GET", "/refresh/auth/login", 404},
	} {
		answer := f.do(call{method: c.method, path: c.path})
		if answer.StatusCode != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, answer.StatusCode, c.want)
		}
		if c.want >= 400 {
			if got := read[wire.Failure](t, answer); got.Code != c.want {
				t.Errorf("%s %s: %+v", c.method, c.path, got)
			}
		}
		if c.want == 405 && answer.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, c.path)
		}
	}
}

// TestNothingSecretIsLogged checks that neither the log nor the metrics contain a token, an id, a query, a path or a body.
func TestNothingSecretIsLogged(t *testing.T) {
	f := newFixture(t)
	token := f.cluster.user("ada")
	session := f.signedIn(token)
	f.do(call{method: "GET", path: "/api/test/" + canary + "/billing?token=" + canary, session: session})
	f.do(call{method: "POST", path: "/api/test", body: `{"text":"` + canary + `"}`, session: session})
	f.do(call{method: "POST", path: "/api/test", body: `{"` + canary + `":1}`, session: session})
	f.do(call{method: "POST", path: "/api/login", body: `{"token":"bad-` + canary + `"}`})
	f.do(call{method: "GET", path: "/" + canary, headers: map[string]string{"Authorization": "Bearer " + canary}})
	f.cluster.Close()
	f.do(call{method: "POST", path: "/api/login", body: `{"token":"` + token + `"}`})
	f.do(call{method: "POST", path: "/api/logout", body: "{}", session: session})
	lines := f.logged()
	if strings.Count(lines, `"route":`) < 8 || !strings.Contains(lines, `"route":"GET /api/test/{ns}/{name}"`) || !strings.Contains(lines, `"user":"ada"`) {
		t.Errorf("the log lacks requests:\n%s", lines)
	}
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	metrics := fmt.Sprint(families)
	if !strings.Contains(metrics, "refreshkeys_console_requests_total") || !strings.Contains(metrics, "refreshkeys_api_calls_total") {
		t.Errorf("the metrics lack requests: %s", metrics)
	}
	for what, text := range map[string]string{"log": lines, "metrics": metrics} {
		for _, secret := range []string{canary, session} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s contains %q:\n%s", what, secret, text)
			}
		}
	}
}

package tokenserver_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// withEverything returns a replica with each way to sign in: passwords and a provider, an application and a device.
func withEverything(t *testing.T) (*replica.Replica, *upstreamProvider) {
	t.Helper()
	p := newUpstream(t)
	r := withDevices(t, func(issuer *v1alpha1.JWTIssuer) {
		issuer.Spec.Policy.Rules[0].Claims = []string{"mail"}
		issuer.Spec.Login.OIDC = []v1alpha1.OIDCProvider{p.entry()}
		issuer.Spec.Login.Clients[2].Scopes = []string{"openid", "orders.read"}
	})
	p.now = r.Clock.Now
	return r, p
}

// payloads break out of a page, a header or a URL in which they are not escaped.
var payloads = []string{
	`"><script>alert(1)</script>`, `' onmouseover='alert(1)`, `</style><img src=x onerror=alert(1)>`, `javascript:alert(1)`, `data:text/html,<script>alert(1)</script>`,
	"x\r\nSet-Cookie: evil=1\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>", "x\nLocation: https://evil.example.com", "x\x00<script>", "x\u2028<script>", "\xff<script>",
	`https://evil.example.com/`, `//evil.example.com`, `https://shop.example.com@evil.example.com`, `{{.Step}}<%= 1 %>${7*7}`, strings.Repeat("<", 5000),
}

// sender sends a request with one parameter that the attacker chooses. Parameters are those that the endpoint reads, and one that it does not.
type sender struct {
	name       string
	parameters []string
	send       func(parameter, value string) *httptest.ResponseRecorder
}

// attacker is a browser that always is at another address.
type attacker struct {
	*browser
	sent int
}

func (a *attacker) moves() *browser {
	a.sent++
	a.address = fmt.Sprintf("10.0.%d.%d:4711", a.sent/250, a.sent%250)
	return a.browser
}

// with returns a form with another value of one parameter.
func with(form url.Values, parameter, value string) url.Values {
	changed := maps.Clone(form)
	changed[parameter] = []string{value}
	return changed
}

// field returns a sender for a form of a page.
func (a *attacker) field(path string, page *httptest.ResponseRecorder, filled url.Values, parameters ...string) sender {
	step, _ := stepOf(a.t, page)
	return sender{path, append(parameters, "step", "other"), func(parameter, value string) *httptest.ResponseRecorder {
		form := url.Values{"step": {step}}
		maps.Copy(form, filled)
		return a.moves().send(http.MethodPost, "/tenant"+path, with(form, parameter, value))
	}}
}

// senders returns one for each endpoint of a sign-in.
func senders(a *attacker, p *upstreamProvider) []sender {
	r := a.at[0]
	device := startDevice(a.t, r)
	login, entry := a.begin(), a.password(a.send(http.MethodGet, "/tenant/device", nil))
	asked := []string{
		"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "prompt", "login_hint", "resource",
		"audience", "request", "request_uri", "dpop_jkt", "ui_locales", "other",
	}
	redeemed := url.Values{"grant_type": {oauth.GrantAuthorizationCode}, "code": {"x"}, "client_id": {"shop"}, "redirect_uri": {shopURI}, "code_verifier": {codeVerifier}}
	polled := url.Values{"grant_type": {oauth.GrantDeviceCode}, "device_code": {device.code}, "client_id": {"tv"}}
	post := func(path string, form url.Values) func(string, string) *httptest.ResponseRecorder {
		return func(parameter, value string) *httptest.ResponseRecorder {
			return a.moves().send(http.MethodPost, "/tenant"+path, with(form, parameter, value))
		}
	}
	get := func(path string, form url.Values) func(string, string) *httptest.ResponseRecorder {
		return func(parameter, value string) *httptest.ResponseRecorder {
			return a.moves().send(http.MethodGet, "/tenant"+path+"?"+with(form, parameter, value).Encode(), nil)
		}
	}
	question := a.submit(entry, "user_code", device.shown)
	return []sender{
		{"/authorize", asked, get("/authorize", wanted())},
		{"/authorize by POST", asked, post("/authorize", wanted())},
		{"/par", append(asked, "client_secret", "client_assertion"), post("/par", wanted())},
		{"/device_authorization", []string{"client_id", "scope", "client_secret", "other"}, post("/device_authorization", url.Values{"client_id": {"tv"}})},
		{"/device", []string{"user_code", "from", "other"}, get("/device", url.Values{"user_code": {device.shown}})},
		{"a redemption", []string{"grant_type", "code", "client_id", "redirect_uri", "code_verifier", "resource", "device_id", "client_secret"}, post("/token", redeemed)},
		{"a poll", []string{"device_code", "client_id", "resource", "device_id"}, post("/token", polled)},
		a.field("/authorize/password", login, url.Values{"username": {"bob"}, "password": {"wrong"}}, "username", "password"),
		a.field("/authorize/provider", login, url.Values{"provider": {"x"}}, "provider"),
		a.field("/authorize/consent", a.password(login), nil, "answer"),
		a.field("/device/code", entry, url.Values{"user_code": {"x"}}, "user_code"),
		a.field("/device/decision", question, nil, "answer"),
		{"the callback", []string{"code", "state", "iss", "error", "error_description", "error_uri", "other"}, func(parameter, value string) *httptest.ResponseRecorder {
			return a.moves().back(p, with(a.away(p), parameter, value))
		}},
	}
}

// TestInjection sends each payload in each parameter of each endpoint of a sign-in, and in headers. No answer has more markup than that to a
// harmless value, a header that the service did not make, or a way to another place.
func TestInjection(t *testing.T) {
	r, p := withEverything(t)
	a := &attacker{browser: open(t, r)}
	all := senders(a, p)
	for _, header := range []string{"Accept-Language", "User-Agent", "Origin", "Referer", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "DPoP", "Host"} {
		all = append(all, sender{"a header", []string{header}, func(name, value string) *httptest.ResponseRecorder {
			return a.moves().send(http.MethodGet, "/tenant/authorize?"+wanted().Encode(), nil, func(r *http.Request) {
				if r.Header[http.CanonicalHeaderKey(name)] = []string{value}; name == "Host" {
					r.Host = value
				}
			})
		}})
	}
	pages := 0
	for _, one := range all {
		for _, parameter := range one.parameters {
			harmless := one.send(parameter, "x")
			for _, payload := range payloads {
				what := fmt.Sprintf("%s, %s=%.60q", one.name, parameter, payload)
				got := one.send(parameter, payload)
				checkReply(t, what, got)
				if got.Code == harmless.Code && isPage(got) && titleOf(got) == titleOf(harmless) {
					pages++
					if a, b := marks(got), marks(harmless); a != b {
						t.Errorf("%s: the page has %v of %q, and %v with a harmless value: %s", what, a, markup, b, said(got))
					}
				}
				// Few codes can be tried.
				if one.name == "/device/code" {
					forward(r, 12*time.Second)
				}
			}
		}
	}
	if pages < 300 {
		t.Errorf("%d pages were compared, so that the test shows little", pages)
	}
}

func isPage(got *httptest.ResponseRecorder) bool {
	return strings.HasPrefix(got.Header().Get("Content-Type"), "text/html")
}

var title = regexp.MustCompile(`<title>([^<]*)</title>`)

func titleOf(page *httptest.ResponseRecorder) string {
	return fmt.Sprint(title.FindStringSubmatch(page.Body.String()))
}

// targets are where the elements of a page lead.
var targets = regexp.MustCompile(`(?:action|href|src|content)="([^"]*)"`)

// markup is what elements and attributes are made of.
const markup = `<>"`

// marks counts the characters of markup in a page.
func marks(page *httptest.ResponseRecorder) (n [len(markup)]int) {
	for i := range markup {
		n[i] = strings.Count(page.Body.String(), markup[i:i+1])
	}
	return n
}

// ownHeaders are those that answers of a sign-in have.
var ownHeaders = []string{
	"Cache-Control", "Content-Length", "Content-Security-Policy", "Content-Type", "Cross-Origin-Resource-Policy", "Dpop-Nonce", "Location", "Pragma", "Referrer-Policy",
	"Refresh", "Retry-After", "Set-Cookie", "Vary", "Www-Authenticate", "X-Content-Type-Options",
}

// checkReply checks that an answer has the headers of the service, leads to no other place, and is a page that cannot be framed or JSON.
func checkReply(t *testing.T, what string, got *httptest.ResponseRecorder) {
	t.Helper()
	header, body := got.Header(), got.Body.String()
	for name, values := range header {
		if !slices.Contains(ownHeaders, name) || strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
			t.Errorf("%s: the header %s is %q", what, name, values)
		}
	}
	for _, cookie := range header.Values("Set-Cookie") {
		if !strings.HasPrefix(cookie, "__Host-rk-") || len(header.Values("Set-Cookie")) > 1 {
			t.Errorf("%s: the cookies are %q", what, header.Values("Set-Cookie"))
		}
	}
	if to := header.Get("Location"); to != "" {
		at, err := url.Parse(to)
		if err != nil || at.User != nil || at.Scheme != "https" || (at.Host != "shop.example.com" && at.Host != "tokens.example.com") {
			t.Errorf("%s: the browser is led to %s", what, to)
		}
	}
	if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Cache-Control") != "no-store" || got.Code >= http.StatusInternalServerError {
		t.Errorf("%s: %d %v", what, got.Code, header)
	}
	switch {
	case isPage(got):
		for _, bad := range []string{"<script", "<img", "onmouseover='", "ZgotmplZ"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s: the page contains %s: %s", what, bad, said(got))
			}
		}
		for _, target := range targets.FindAllStringSubmatch(body, -1) {
			if to := target[1]; strings.Contains(to, "evil") || strings.HasPrefix(to, "javascript:") || (strings.HasPrefix(to, "data:") && to != "data:,") {
				t.Errorf("%s: the page leads to %s", what, to)
			}
		}
		checkPolicy(t, what, got)
	case body != "":
		var refusal map[string]any
		if err := json.Unmarshal([]byte(body), &refusal); err != nil || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v %s", what, header, body)
		}
		description, _ := refusal["error_description"].(string)
		if strings.ContainsFunc(description, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' || r == '<' }) || strings.Contains(description, "evil") {
			t.Errorf("%s: the description echoes: %s", what, body)
		}
	}
}

// checkPolicy checks what keeps a page from running scripts, from being framed, from sending its forms elsewhere and from leaking its URL.
func checkPolicy(t *testing.T, what string, page *httptest.ResponseRecorder) {
	t.Helper()
	header := page.Header()
	directives := map[string]string{}
	for directive := range strings.SplitSeq(header.Get("Content-Security-Policy"), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
		directives[name] = value
	}
	for name, want := range map[string]string{"default-src": "'none'", "frame-ancestors": "'none'", "base-uri": "'none'", "img-src": "data:"} {
		if directives[name] != want {
			t.Errorf("%s: %s is %q", what, name, directives[name])
		}
	}
	if to := directives["form-action"]; to != "'self'" && to != "'self' https:" {
		t.Errorf("%s: forms lead to %q", what, to)
	}
	if style := directives["style-src"]; !strings.HasPrefix(style, "'sha256-") || len(directives) != 6 {
		t.Errorf("%s: the policy is %v", what, directives)
	}
	if header.Get("Referrer-Policy") != "same-origin" || header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
		t.Errorf("%s: %v", what, header)
	}
}

package tokenserver_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// TestOpenRedirects checks that no redirect URI but a declared one gets an answer, or a page that leads there, by each way to begin a sign-in.
func TestOpenRedirects(t *testing.T) {
	r := withClients(t)
	for _, uri := range []string{
		"https://evil.example.com", "https://evil.example.com/callback", "//evil.example.com/callback", "///evil.example.com", "\\\\evil.example.com\\callback", "/callback", "?x",
		"#x", "javascript:alert(1)", "data:text/html,x", "vbscript:x", "about:blank", "file:///etc/passwd", "http://shop.example.com/callback", "HTTPS://shop.example.com/callback",
		"https://SHOP.example.com/callback", "https://shop.example.com:443/callback", "https://shop.example.com:8443/callback", "https://shop.example.com./callback",
		"https://shop.example.com%2eevil.example.com/callback", "https://shop.example.com.evil.example.com/callback", "https://shop.example.com@evil.example.com/callback",
		"https://evil.example.com\\@shop.example.com/callback", "https://evil.example.com?https://shop.example.com/callback", "https://evil.example.com#https://shop.example.com/callback",
		"https://shop.example.com/callback/../evil", "https://shop.example.com/callback/", "https://shop.example.com/callback?next=https://evil.example.com",
		"https://shop.example.com/callback#access_token=x", "https://shop.example.com/callback%0d%0aLocation:%20https://evil.example.com",
		"https://shop.example.com/callback\r\nLocation: https://evil.example.com", " https://shop.example.com/callback", "https://shop.example.com/callback ",
		"https://shop.example.com/callbac", "https://shop.example.com/", "https://office.example.com/cb", "http://127.0.0.1/callback", "com.example.shop:/callback",
	} {
		b := open(t, r)
		for _, broken := range [][]string{nil, {"response_type", "token"}, {"code_challenge", ""}, {"prompt", "none"}, {"state", strings.Repeat("s", 2000)}} {
			query := wanted(append([]string{"redirect_uri", uri}, broken...)...)
			page := b.send(http.MethodGet, "/tenant/authorize?"+query.Encode(), nil)
			if page.Code != http.StatusBadRequest || page.Header().Get("Location") != "" || page.Header().Get("Refresh") != "" || strings.Contains(page.Body.String(), "<form") {
				t.Errorf("%q, %v: %d %v %s", uri, broken, page.Code, page.Header(), said(page))
			}
			posted := b.send(http.MethodPost, "/tenant/authorize", query)
			if to := posted.Header().Get("Location"); !strings.HasPrefix(to, replica.URL+"/authorize?") {
				t.Errorf("%q, %v: by POST the browser is led to %q", uri, broken, to)
			}
			if page := b.send(http.MethodGet, posted.Header().Get("Location"), nil); page.Code != http.StatusBadRequest || page.Header().Get("Location") != "" {
				t.Errorf("%q, %v: by POST: %d %v", uri, broken, page.Code, page.Header())
			}
		}
		if got := push(r, "redirect_uri", uri); got.outcome() != "400 invalid_request" || got.header.Get("Location") != "" {
			t.Errorf("%q, pushed: %s", uri, got.raw)
		}
		if got := redeem(r, open(t, r).code(), "redirect_uri", uri); got.outcome() != "400 invalid_grant" {
			t.Errorf("%q, at the redemption: %s", uri, got.raw)
		}
		forward(r, time.Minute)
	}
}

// TestPKCEDowngrade checks that no request without S256 gets a code, and that no redemption does without the verifier of its request.
func TestPKCEDowngrade(t *testing.T) {
	r := withClients(t)
	b := open(t, r)
	for name, changes := range map[string][]string{
		"no challenge": {"code_challenge", "", "code_challenge_method", ""}, "a method without a challenge": {"code_challenge", ""},
		"a challenge without a method": {"code_challenge_method", ""}, "the method plain": {"code_challenge_method", "plain"}, "no method at all": {"code_challenge_method", "none"},
		"the verifier by the method plain": {"code_challenge", codeVerifier, "code_challenge_method", "plain"}, "an empty hash": {"code_challenge", strings.Repeat("A", 42)},
	} {
		if answer := returned(t, b.begin(changes...)); answer.Get("error") != "invalid_request" || answer.Has("code") {
			t.Errorf("%s: %v", name, answer)
		}
		if got := push(r, changes...); got.outcome() != "400 invalid_request" {
			t.Errorf("%s, pushed: %s", name, got.raw)
		}
	}
	twice := b.send(http.MethodGet, "/tenant/authorize?"+wanted().Encode()+"&code_challenge="+strings.Repeat("A", 43), nil)
	if twice.Code != http.StatusBadRequest || twice.Header().Get("Location") != "" {
		t.Errorf("two challenges: %d %v", twice.Code, twice.Header())
	}
	uri := push(r).text("request_uri")
	weaker := url.Values{"client_id": {"shop"}, "request_uri": {uri}, "code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"plain"}}
	pushed := returned(t, b.submit(b.password(b.send(http.MethodGet, "/tenant/authorize?"+weaker.Encode(), nil)), "answer", "allow")).Get("code")
	for name, code := range map[string]string{"a request": b.code(), "a pushed request, which the URL would weaken": pushed} {
		for _, c := range []struct{ name, verifier, want string }{
			{"none", "", "400 invalid_request"}, {"the challenge", codeChallenge, "400 invalid_grant"}, {"another one", strings.Repeat("A", 43), "400 invalid_grant"},
			{"a prefix", codeVerifier[:42], "400 invalid_grant"}, {"with a character more", codeVerifier + "A", "400 invalid_grant"}, {"the right one", codeVerifier, "200"},
		} {
			if got := redeem(r, code, "code_verifier", c.verifier); got.outcome() != c.want {
				t.Errorf("%s, verifier %s: %s, want %s", name, c.name, got.raw, c.want)
			}
		}
	}
}

// TestCodeInjection checks that the code of one sign-in is of no use in another one, at another client, or as another kind of credential.
func TestCodeInjection(t *testing.T) {
	const otherVerifier, otherChallenge = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ZtNPunH49FD35FWYhT5Tv8I7vRKQJ8uxMaL0_9eHjNA"
	r := withClients(t)
	stolen, own := open(t, r).code(), open(t, r).code("code_challenge", otherChallenge)
	refresh := url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {stolen}}
	exchange := url.Values{
		"grant_type": {oauth.GrantTokenExchange}, "subject_token": {stolen}, "subject_token_type": {oauth.TypeJWT}, "audience": {audience},
	}
	granted := url.Values{"grant_type": {oauth.GrantAuthorizationCode}}
	twice := url.Values{"grant_type": granted["grant_type"], "code": {stolen, "x"}}
	for _, c := range []struct {
		name string
		got  *answer
		want string
	}{
		{"the code of the victim with the attacker's verifier", redeem(r, stolen, "code_verifier", otherVerifier), "400 invalid_grant"},
		{"the code of the attacker with the victim's verifier", redeem(r, own), "400 invalid_grant"},
		{"the code as a refresh token", ask(r, http.MethodPost, "/tenant/token", refresh), "400 invalid_grant"},
		{"the code as a subject token", ask(r, http.MethodPost, "/tenant/token", exchange), "400 invalid_request"},
		{"the code as a token to revoke", ask(r, http.MethodPost, "/tenant/revoke", url.Values{"token": {stolen}}), "200"},
		{"the code as an access token", ask(r, http.MethodGet, "/tenant/userinfo", nil, "Authorization", "Bearer "+stolen), "401 invalid_token"},
		{"the code in the URL", ask(r, http.MethodPost, "/tenant/token?code="+url.QueryEscape(stolen), granted), "400 invalid_request"},
		{"the code twice", ask(r, http.MethodPost, "/tenant/token", twice), "400 invalid_request"},
		{"the code with a space", redeem(r, stolen+" "), "400 invalid_grant"},
		{"the victim", redeem(r, stolen), "200"},
		{"the attacker", redeem(r, own, "code_verifier", otherVerifier), "200"},
	} {
		if c.got.outcome() != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.got.raw, c.want)
		}
	}
}

// TestMixUp checks that each answer to an application names the issuer, and that a code is redeemed by no other issuer, also one with the same
// keys, client and people.
func TestMixUp(t *testing.T) {
	r, p := withEverything(t)
	b := open(t, r)
	refused := b.away(p)
	r.Issuer.Spec.Policy.Rules[0].Claims = nil
	r.PutIssuer(r.Issuer, r.Rings)
	for name, got := range map[string]*httptest.ResponseRecorder{
		"a refused request": b.begin("prompt", "none"), "too long a state": b.begin("state", strings.Repeat("s", 2000)), "a denial": b.submit(b.password(b.begin()), "answer", "deny"),
		"a person who is not granted": b.back(p, refused),
		"too long for a provider":     b.choose(b.begin("state", strings.Repeat("\x01", 1000)), endpoint.ProviderID(p.URL)),
		"a code":                      b.submit(b.password(b.begin()), "answer", "allow"),
	} {
		if answer := returned(t, got); answer.Get("iss") != replica.URL || len(answer["iss"]) != 1 || answer.Has("code") != (name == "a code") {
			t.Errorf("%s: %v", name, answer)
		}
	}
	forward(r, time.Minute)
	code := b.code()
	for name, change := range map[string]func(other *replica.Replica){
		"with the same keys": func(other *replica.Replica) { other.Rings, other.Issuer.UID = r.Rings, "another" },
		"with the same UID":  func(other *replica.Replica) { other.Issuer.UID = r.Issuer.UID },
	} {
		other, _ := withEverything(t)
		change(other)
		other.PutIssuer(other.Issuer, other.Rings)
		if got := redeem(other, code); got.status == http.StatusOK || strings.Contains(got.raw, "access_token") || len(other.All(replica.Name)) > 0 {
			t.Errorf("another issuer %s: %s", name, got.raw)
		}
	}
	if got := redeem(r, code); got.outcome() != "200" {
		t.Errorf("its issuer: %s", got.raw)
	}
}

// TestFormsOfOtherSites checks that no form of a page is taken from another site, from another browser, or without its cookie.
func TestFormsOfOtherSites(t *testing.T) {
	r, p := withEverything(t)
	b, other := open(t, r), open(t, r)
	other.begin()
	device := startDevice(t, r)
	login := b.begin()
	consent, entry := b.password(login), b.password(b.send(http.MethodGet, "/tenant/device", nil))
	question := b.submit(entry, "user_code", device.shown)
	header := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				if r.Header.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
					r.Header.Del(pairs[i])
				}
			}
		}
	}
	before := len(p.requests())
	for _, form := range []struct {
		path   string
		page   *httptest.ResponseRecorder
		fields url.Values
	}{
		{"/authorize/password", login, url.Values{"username": {"ada"}, "password": {"correct horse"}}},
		{"/authorize/provider", login, url.Values{"provider": {endpoint.ProviderID(p.URL)}}},
		{"/authorize/consent", consent, url.Values{"answer": {"allow"}}},
		{"/device/code", entry, url.Values{"user_code": {device.shown}}},
		{"/device/decision", question, url.Values{"answer": {"allow"}}},
	} {
		step, _ := stepOf(t, form.page)
		filled := with(form.fields, "step", step)
		for _, c := range []struct {
			name   string
			from   *browser
			change func(*http.Request)
			status int
		}{
			{"another site", b, header("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example.com"), 403},
			{"a sibling domain", b, header("Sec-Fetch-Site", "same-site", "Origin", "https://evil.tokens.example.com"), 403},
			{"another port of the host", b, header("Sec-Fetch-Site", "same-site", "Origin", "https://tokens.example.com:8443"), 403},
			{"a sandboxed frame", b, header("Sec-Fetch-Site", "cross-site", "Origin", "null"), 403},
			{"another site in an old browser", b, header("Sec-Fetch-Site", "", "Origin", "https://evil.example.com"), 403},
			{"another browser", other, header(), 400},
			{"no cookie", b, header("Cookie", ""), 400},
			{"two cookies", b, func(r *http.Request) { r.Header.Set("Cookie", r.Header.Get("Cookie")+"; "+r.Header.Get("Cookie")) }, 400},
			{"JSON", b, header("Content-Type", "application/json"), 400},
			{"text", b, header("Content-Type", "text/plain"), 400},
		} {
			got := c.from.send(http.MethodPost, "/tenant"+form.path, filled, c.change)
			if got.Code != c.status || got.Header().Get("Location") != "" || got.Header().Get("Refresh") != "" || strings.Contains(got.Body.String(), "<form") {
				t.Errorf("%s of %s: %d %v %s", form.path, c.name, got.Code, got.Header(), said(got))
			}
		}
		if got := b.send(http.MethodGet, "/tenant"+form.path+"?"+filled.Encode(), nil); got.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s by GET: %d", form.path, got.Code)
		}
		if got := b.send(http.MethodPost, "/tenant"+form.path+"?"+filled.Encode(), url.Values{}); got.Code != http.StatusBadRequest {
			t.Errorf("%s with the form in the URL: %d", form.path, got.Code)
		}
		forward(r, 12*time.Second)
	}
	if r.Stored(device.name()) != nil || len(r.All(replica.Name)) > 0 || len(p.requests()) != before {
		t.Error("a form of another site had an effect")
	}
}

// TestEveryPageForbidsFrames checks the policy of each kind of page, errors among them: no page can be framed.
func TestEveryPageForbidsFrames(t *testing.T) {
	r, p := withEverything(t)
	b := open(t, r)
	device := startDevice(t, r)
	login := b.begin()
	step, _ := stepOf(t, login)
	consent, entry := b.password(login), b.password(b.send(http.MethodGet, "/tenant/device", nil))
	question := b.submit(entry, "user_code", device.shown)
	answer := b.away(p)
	refused := b.back(p, with(answer, "error", "access_denied"))
	form := func(path string, fields url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
		return b.send(http.MethodPost, "/tenant"+path, with(fields, "step", step), change...)
	}
	pages := map[string]*httptest.ResponseRecorder{
		"login": login, "consent": consent, "code of a device": entry, "device": question, "away": b.choose(login, endpoint.ProviderID(p.URL)), "refused by the provider": refused,
		"a wrong password": form("/authorize/password", url.Values{"username": {"bob"}, "password": {"wrong"}}), "no password": form("/authorize/password", url.Values{}),
		"a wrong code":       b.submit(entry, "user_code", "x"),
		"an unknown client":  b.begin("client_id", "x"),
		"two clients":        b.send(http.MethodGet, "/tenant/authorize?client_id=a&client_id=b", nil),
		"another site":       form("/authorize/consent", url.Values{}, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }),
		"an expired step":    form("/authorize/consent", url.Values{}),
		"too large a form":   form("/authorize/password", url.Values{"username": {strings.Repeat("a", oauth.MaxBody)}}),
		"an encoded form":    form("/authorize/password", url.Values{}, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }),
		"an unknown request": b.send(http.MethodGet, "/tenant/authorize?client_id=shop&request_uri="+url.QueryEscape(oauth.RequestURIPrefix+"x"), nil),
		"denied":             b.submit(question, "answer", "deny"),
		"decided":            b.submit(question, "answer", "allow"),
	}
	for range 6 {
		pages["too many passwords"] = form("/authorize/password", url.Values{"username": {"carl"}, "password": {"wrong"}})
		pages["too many codes"] = b.submit(entry, "user_code", "x")
	}
	p.set(func(p *upstreamProvider) {
		p.answers["/token"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	})
	pages["a provider that is away"] = b.back(p, b.away(p))
	r.Stale(true)
	pages["a stale view"] = b.begin()
	r.Stale(false)
	statuses := map[int]bool{}
	for name, page := range pages {
		if !isPage(page) {
			t.Errorf("%s is no page: %d %v %s", name, page.Code, page.Header(), page.Body)
			continue
		}
		checkPolicy(t, name, page)
		statuses[page.Code] = true
	}
	for _, status := range []int{200, 400, 403, 413, 415, 422, 429, 503} {
		if !statuses[status] {
			t.Errorf("no page has the status %d", status)
		}
	}
}

package tokenserver_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/tokenserver"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// TestSignInAtAnUpstreamProvider checks a whole sign-in, whose steps go to two replicas in turn, and what the log and the audit log say.
func TestSignInAtAnUpstreamProvider(t *testing.T) {
	r, p := withProvider(t)
	var audit bytes.Buffer
	log, other := &logbook{}, r.Other()
	for _, one := range []*replica.Replica{r, other} {
		one.Server.Log = log.logger()
		one.Server.Observe = tokenserver.NewAudit(&audit, r.Clock, func(err error) { t.Error(err) }).Observe
	}
	b := open(t, r, other)
	page := b.begin()
	if found := buttons.FindStringSubmatch(page.Body.String()); found == nil || found[1] != endpoint.ProviderID(p.URL) || found[2] != "The &lt;office&gt;" {
		t.Fatalf("the button is %q in %s", found, said(page))
	}
	to := follow(t, b.choose(page, endpoint.ProviderID(p.URL)))
	at, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"tenant": "1", "response_type": "code", "client_id": "web", "scope": "openid profile email", "code_challenge_method": "S256",
		"redirect_uri": "https://tokens.example.com" + p.callback(),
	} {
		if got := at.Query().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if query := at.Query(); len(query.Get("nonce")) != 43 || len(query.Get("code_challenge")) != 43 || query.Get("state") == "s1" {
		t.Errorf("the provider gets %s", to)
	}
	answer := p.signIn(to)
	consent := b.back(p, answer)
	if consent.Code != http.StatusOK || !strings.Contains(consent.Body.String(), "idp:jane") {
		t.Fatalf("%d %s", consent.Code, said(consent))
	}
	got := redeem(r, returned(t, b.submit(consent, "answer", "allow")).Get("code"))
	if got.outcome() != "200" {
		t.Fatal(got.raw)
	}
	sessions, err := r.SessionsKnown(replica.Name, replica.Name, "idp:jane")
	if err != nil || len(sessions) != 1 {
		t.Fatalf("%d sessions, %v", len(sessions), err)
	}
	if status := sessions[0].Status.Session; status.Method != v1alpha1.LoginOIDC || status.Provider != p.URL || status.Client != "shop" ||
		string(sessions[0].Spec.Claims["mail"].Raw) != `"jane@example.com"` {
		t.Errorf("the session is %+v %+v", sessions[0].Spec, status)
	}
	if text := strings.Join(log.lines(), "\n") + audit.String(); strings.Contains(text, answer.Get("code")) || strings.Contains(text, answer.Get("state")) {
		t.Errorf("the log has the query: %s", text)
	}
	line := lineOf(t, &audit, "sign-in")
	if line["method"] != "OIDC" || line["result"] != "ok" || line["subject"] != "idp:jane" || line["address"] != "192.0.2.7" {
		t.Errorf("the audit log says %v", line)
	}
	if line := lineOf(t, &audit, "consent"); line["method"] != "OIDC" || line["result"] != "ok" || line["subject"] != "idp:jane" {
		t.Errorf("the audit log says of the consent %v", line)
	}
}

// lineOf returns the first line of an event.
func lineOf(t *testing.T, log *bytes.Buffer, event string) map[string]any {
	t.Helper()
	for text := range strings.Lines(log.String()) {
		var one map[string]any
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			t.Fatal(err)
		}
		if one["event"] == event {
			return one
		}
	}
	return nil
}

// providerRefused is what a page says after a failure at a provider.
const providerRefused = "The provider did not sign you in."

// TestStateOfAProvider checks that an answer counts only in the browser that began, in time, and at the path of its provider.
func TestStateOfAProvider(t *testing.T) {
	r, p := withProvider(t)
	second := newUpstream(t)
	r.Issuer.Spec.Login.OIDC = append(r.Issuer.Spec.Login.OIDC, second.entry())
	r.PutIssuer(r.Issuer, r.Rings)
	b, other := open(t, r), open(t, r)
	other.begin()
	step, _ := stepOf(t, b.begin())
	for _, c := range []struct {
		name   string
		send   func(answer url.Values) *httptest.ResponseRecorder
		status int
		says   string
	}{
		{"another browser", func(answer url.Values) *httptest.ResponseRecorder { return other.back(p, answer) }, 400, "expired"},
		{"a browser without a cookie", func(answer url.Values) *httptest.ResponseRecorder { return open(t, r).back(p, answer) }, 400, "expired"},
		{"the path of another provider", func(answer url.Values) *httptest.ResponseRecorder { return b.back(second, answer) }, 400, "expired"},
		{"the path of no provider", func(answer url.Values) *httptest.ResponseRecorder {
			return b.send(http.MethodGet, "/tenant/authorize/callback/0123456789abcdef?"+answer.Encode(), nil)
		}, 400, "expired"},
		{"no state", func(answer url.Values) *httptest.ResponseRecorder {
			return b.back(p, url.Values{"code": answer["code"]})
		}, 400, "expired"},
		{"the state of another step", func(answer url.Values) *httptest.ResponseRecorder {
			return b.back(p, url.Values{"code": answer["code"], "state": {step}})
		}, 400, "expired"},
		{"two states", func(answer url.Values) *httptest.ResponseRecorder {
			return b.back(p, url.Values{"code": answer["code"], "state": {answer.Get("state"), answer.Get("state")}})
		}, 400, "cannot sign you in"},
		{"a request by HEAD", func(answer url.Values) *httptest.ResponseRecorder {
			return b.send(http.MethodHead, p.callback()+"?"+answer.Encode(), nil)
		}, 405, ""},
		{"a code of another state", func(answer url.Values) *httptest.ResponseRecorder {
			answer.Set("state", b.away(p).Get("state"))
			return b.back(p, answer)
		}, 403, providerRefused},
		{"the same browser", func(answer url.Values) *httptest.ResponseRecorder { return b.back(p, answer) }, 200, "wants to use your account"},
	} {
		got := c.send(b.away(p))
		if got.Code != c.status || !strings.Contains(got.Body.String(), c.says) || got.Header().Get("Location") != "" {
			t.Errorf("%s: %d %v %s", c.name, got.Code, got.Header(), said(got))
		}
	}
	if got := b.send(http.MethodPost, "/tenant/authorize/provider", url.Values{"step": {step}, "provider": {"0123456789abcdef"}}); got.Code != 400 {
		t.Errorf("an unknown provider: %d %s", got.Code, said(got))
	}
	answer := b.away(p)
	clients := r.Issuer.Spec.Login.Clients
	r.Issuer.Spec.Login.Clients = clients[1:]
	r.PutIssuer(r.Issuer, r.Rings)
	if got := b.back(p, answer); got.Code != 400 || !strings.Contains(got.Body.String(), "expired") {
		t.Errorf("a client that is not declared any more: %d %s", got.Code, said(got))
	}
	r.Issuer.Spec.Login.Clients = clients
	r.PutIssuer(r.Issuer, r.Rings)
	sent := len(p.requests())
	r.Clock.SetTime(r.Clock.Now().Add(10 * time.Minute))
	if got := b.back(p, answer); got.Code != 400 || !strings.Contains(got.Body.String(), "expired") || len(p.requests()) != sent {
		t.Errorf("after ten minutes: %d %s", got.Code, said(got))
	}
}

// TestAnswerOfAProvider checks the id_token of a code, and `iss` of the answer, and that a page never shows what the provider says.
func TestAnswerOfAProvider(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(p *upstreamProvider)
		answer map[string]string
		fine   bool
	}{
		{name: "as it should be", change: func(*upstreamProvider) {}, fine: true},
		{name: "another nonce", change: func(p *upstreamProvider) { p.claims = map[string]any{"nonce": "n1"} }},
		{name: "no nonce", change: func(p *upstreamProvider) { p.claims = map[string]any{"nonce": nil} }},
		{name: "a nonce in another case", change: func(p *upstreamProvider) {
			p.answers["/token"] = func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				nonce := p.codes[r.PostForm.Get("code")].Get("nonce")
				p.claims = map[string]any{"nonce": nil, "Nonce": nonce}
				p.token(w, r)
			}
		}},
		{name: "for another client of the entry", change: func(p *upstreamProvider) { p.claims = map[string]any{"aud": "cli"} }},
		{name: "for another client", change: func(p *upstreamProvider) { p.claims = map[string]any{"aud": "bank"} }},
		{name: "for two clients, and the party is this one", change: func(p *upstreamProvider) {
			p.claims = map[string]any{"aud": []string{"web", "bank"}, "azp": "web"}
		}, fine: true},
		{name: "for two clients without a party", change: func(p *upstreamProvider) { p.claims = map[string]any{"aud": []string{"web", "bank"}} }},
		{name: "for two clients, and the party is another client of the entry", change: func(p *upstreamProvider) {
			p.claims = map[string]any{"aud": []string{"web", "cli"}, "azp": "cli"}
		}},
		{name: "the party is another client", change: func(p *upstreamProvider) { p.claims = map[string]any{"azp": "cli"} }},
		{name: "of another issuer", change: func(p *upstreamProvider) { p.claims = map[string]any{"iss": "https://evil.example.com"} }},
		{name: "expired", change: func(p *upstreamProvider) { p.claims = map[string]any{"exp": p.now().Add(-time.Hour).Unix()} }},
		{name: "an access token", change: func(p *upstreamProvider) { p.typ = "at+jwt" }},
		{name: "signed by another key", change: func(p *upstreamProvider) {
			other := newKey(p.t)
			p.answers["/keys"] = func(w http.ResponseWriter, _ *http.Request) { reply(w, jwksOf(other)) }
		}},
		{name: "a claim that the entry needs is missing", change: func(p *upstreamProvider) { p.claims = map[string]any{"email": nil} }},
		{name: "iss of the provider", change: func(*upstreamProvider) {}, answer: map[string]string{"iss": "itself"}, fine: true},
		{name: "iss of another provider", change: func(*upstreamProvider) {}, answer: map[string]string{"iss": "https://evil.example.com"}},
		{name: "no iss where the metadata promise it", change: func(p *upstreamProvider) {
			p.metadata = map[string]any{"authorization_response_iss_parameter_supported": true}
		}},
		{name: "iss where the metadata promise it", change: func(p *upstreamProvider) {
			p.metadata = map[string]any{"authorization_response_iss_parameter_supported": true}
		}, answer: map[string]string{"iss": "itself"}, fine: true},
		{name: "an error", change: func(*upstreamProvider) {}, answer: map[string]string{"error": "access_denied", "error_description": "secret words of the provider"}},
		{name: "no code", change: func(*upstreamProvider) {}, answer: map[string]string{"code": ""}},
		{name: "an unknown code", change: func(*upstreamProvider) {}, answer: map[string]string{"code": "x"}},
	} {
		r, p := withProvider(t)
		p.set(c.change)
		b := open(t, r)
		answer := b.away(p)
		for name, value := range c.answer {
			answer.Set(name, strings.Replace(value, "itself", p.URL, 1))
		}
		got := b.back(p, answer)
		if c.fine {
			if got.Code != http.StatusOK || !strings.Contains(got.Body.String(), "wants to use your account") {
				t.Errorf("%s: %d %s", c.name, got.Code, said(got))
			}
			continue
		}
		if got.Code != http.StatusForbidden || !strings.Contains(got.Body.String(), providerRefused) || got.Header().Get("Location") != "" ||
			strings.Contains(got.Body.String(), "secret words") {
			t.Errorf("%s: %d %v %s", c.name, got.Code, got.Header(), said(got))
		}
		p.set(func(p *upstreamProvider) { p.claims, p.typ, p.answers = nil, "", map[string]http.HandlerFunc{} })
		if again := b.password(got); again.Code != http.StatusOK {
			t.Errorf("%s: afterwards: %d %s", c.name, again.Code, said(again))
		}
	}
}

// TestErrorOfAProviderInEachLanguage checks the texts of the catalogue.
func TestErrorOfAProviderInEachLanguage(t *testing.T) {
	r, p := withProvider(t)
	b := open(t, r)
	for language, want := range map[string]string{
		"en": providerRefused, "de": "Der Anbieter hat Sie nicht angemeldet.", "fr": "Le fournisseur ne vous a pas connecté.", "ja": providerRefused,
	} {
		answer := b.away(p)
		answer.Set("error", "access_denied")
		got := b.back(p, answer, func(r *http.Request) { r.Header.Set("Accept-Language", language) })
		if got.Code != http.StatusForbidden || !strings.Contains(got.Body.String(), want) {
			t.Errorf("%s: %d %s", language, got.Code, said(got))
		}
	}
	if len(p.requests()) != 0 {
		t.Errorf("%d codes of refused sign-ins were redeemed", len(p.requests()))
	}
}

// TestProviderThatIsAway checks that a provider which cannot answer is no refusal, and that the person can try again.
func TestProviderThatIsAway(t *testing.T) {
	elsewhere := newUpstream(t)
	fails := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"an error of the server":           fails(500, "broken"),
		"invalid_grant with 503":           fails(503, `{"error": "invalid_grant"}`),
		"a client that it does not accept": fails(401, `{"error": "invalid_client", "error_description": "eyJsecret"}`),
		"no id_token":                      fails(200, `{"access_token": "x", "token_type": "Bearer"}`),
		"no JSON":                          fails(200, `<html>`),
		"too long an answer":               fails(200, `{"access_token": "`+strings.Repeat("x", 1<<20)+`"}`),
		"a redirect to another host": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/token", http.StatusTemporaryRedirect)
		},
	} {
		r, p := withProvider(t)
		log := &logbook{}
		r.Server.Log = log.logger()
		b := open(t, r)
		p.set(func(p *upstreamProvider) { p.answers["/token"] = answer })
		got := b.back(p, b.away(p))
		if got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" || !strings.Contains(got.Body.String(), "The provider is not available now.") {
			t.Errorf("%s: %d %v %s", name, got.Code, got.Header(), said(got))
		}
		if text := strings.Join(log.lines(), "\n"); !strings.Contains(text, p.URL) || strings.Contains(text, "eyJsecret") {
			t.Errorf("%s: the log says %s", name, text)
		}
		p.set(func(p *upstreamProvider) { delete(p.answers, "/token") })
		again := b.back(p, p.signIn(follow(t, b.choose(got, endpoint.ProviderID(p.URL)))))
		if again.Code != http.StatusOK || !strings.Contains(again.Body.String(), "wants to use your account") {
			t.Errorf("%s: afterwards: %d %s", name, again.Code, said(again))
		}
	}
	if len(elsewhere.requests()) != 0 {
		t.Error("a redirect to another host was followed")
	}
}

// TestProviderWithoutMetadata checks the choice of a provider whose document cannot be read.
func TestProviderWithoutMetadata(t *testing.T) {
	for name, metadata := range map[string]map[string]any{
		"no document":                                {"issuer": nil},
		"an authorization endpoint without TLS":      {"authorization_endpoint": "http://127.0.0.1/auth"},
		"no authorization endpoint":                  {"authorization_endpoint": nil},
		"an authorization endpoint with a script":    {"authorization_endpoint": "javascript:alert(1)"},
		"a token endpoint without TLS":               {"token_endpoint": "http://127.0.0.1/token"},
		"an authorization endpoint with a user name": {"authorization_endpoint": "https://me@127.0.0.1/auth"},
	} {
		r, p := withProvider(t)
		p.set(func(p *upstreamProvider) { p.metadata = metadata })
		b := open(t, r)
		got := b.choose(b.begin(), endpoint.ProviderID(p.URL))
		if got.Code != http.StatusServiceUnavailable || !strings.Contains(got.Body.String(), "The provider is not available now.") || got.Header().Get("Refresh") != "" {
			t.Errorf("%s: %d %v %s", name, got.Code, got.Header(), said(got))
		}
		if other := b.password(got); other.Code != http.StatusOK {
			t.Errorf("%s: the password: %d %s", name, other.Code, said(other))
		}
	}
}

// TestAPersonWithoutAGrant checks that the application learns why a person whose claims the policy does not grant cannot sign in.
func TestAPersonWithoutAGrant(t *testing.T) {
	r, p := withProvider(t)
	r.Issuer.Spec.Policy.Rules[0].Claims = nil
	r.PutIssuer(r.Issuer, r.Rings)
	var audit bytes.Buffer
	r.Server.Observe = tokenserver.NewAudit(&audit, r.Clock, func(err error) { t.Error(err) }).Observe
	b := open(t, r)
	answer := returned(t, b.back(p, b.away(p)))
	if answer.Get("error") != "unauthorized_client" || answer.Has("code") || answer.Get("state") != "s1" || answer.Get("iss") != replica.URL {
		t.Errorf("the application gets %v", answer)
	}
	if line := lineOf(t, &audit, "sign-in"); line["result"] != "unauthorized_client" || line["subject"] != "idp:jane" {
		t.Errorf("the audit log says %v", line)
	}
}

// TestRefusalsOfAProviderAreCounted checks that one address cannot make the service ask a provider again and again.
func TestRefusalsOfAProviderAreCounted(t *testing.T) {
	r, p := withProvider(t)
	b := open(t, r)
	answer := b.away(p)
	answer.Set("code", "guessed")
	for range 20 {
		if got := b.back(p, answer); got.Code != http.StatusForbidden {
			t.Fatalf("%d %s", got.Code, said(got))
		}
	}
	if got := b.back(p, answer); got.Code != http.StatusTooManyRequests || got.Header().Get("Retry-After") == "" || len(p.requests()) != 20 {
		t.Errorf("%d %v, %d requests", got.Code, got.Header(), len(p.requests()))
	}
	b.address = "198.51.100.1:4711"
	if got := b.back(p, b.away(p)); got.Code != http.StatusOK {
		t.Errorf("another address: %d %s", got.Code, said(got))
	}
}

// TestARequestThatIsTooLongForAProvider checks that a request which makes too long a state is refused, and other ways stay open.
func TestARequestThatIsTooLongForAProvider(t *testing.T) {
	r, p := withProvider(t)
	b := open(t, r)
	// Each character is six in JSON.
	state := strings.Repeat("\x01", 1000)
	page := b.begin("state", state)
	answer := returned(t, b.choose(page, endpoint.ProviderID(p.URL)))
	if answer.Get("error") != "invalid_request" || answer.Get("state") != state || answer.Get("iss") != replica.URL {
		t.Errorf("the application gets %v", answer)
	}
}

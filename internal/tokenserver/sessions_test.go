package tokenserver_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

const (
	sessionsPath = "/" + replica.Name + "/sessions"
	endPath      = sessionsPath + "/end"
)

// sessionOf signs a ServiceAccount in, and returns the answer to a refresh for an access token for sessions. proof
// returns further headers of each request.
func sessionOf(t *testing.T, r *replica.Replica, proof func() []string) *answer {
	t.Helper()
	begun := ask(r, http.MethodPost, "/"+replica.Name+"/token", url.Values{
		"grant_type": {oauth.GrantTokenExchange}, "subject_token": {r.Account("till", replica.URL)}, "subject_token_type": {oauth.TypeJWT}, "audience": {audience},
	}, proof()...)
	got := ask(r, http.MethodPost, "/"+replica.Name+"/token", url.Values{
		"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {begun.text("refresh_token")}, "resource": {replica.URL}, "scope": {oauth.ScopeSessions},
	}, proof()...)
	if got.outcome() != "200" {
		t.Fatalf("no access token for sessions: %s, %s", begun.raw, got.raw)
	}
	return got
}

func noProof() []string { return nil }

// TestSessionsOverHTTP checks the two endpoints from the list to the end of the session that asks.
func TestSessionsOverHTTP(t *testing.T) {
	r := replica.New(t)
	issued := sessionOf(t, r, noProof)
	authorization := []string{"Authorization", "Bearer " + issued.text("access_token")}
	listed := sendTo(r, http.MethodGet, sessionsPath, "", authorization...)
	all, _ := listed.body["sessions"].([]any)
	if listed.outcome() != "200" || len(all) != 1 || listed.header.Get("Cache-Control") != "no-store" || listed.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s, %v", listed.status, listed.raw, listed.header)
	}
	one, _ := all[0].(map[string]any)
	for name, want := range map[string]any{
		"current": true, "subject": "system:serviceaccount:" + replica.Name + ":till", "method": "ServiceAccount", "audience": audience, "status": "Active",
		"startedAt": "2026-05-01T12:00:00Z", "expiresAt": "2026-05-31T12:00:00Z",
	} {
		if one[name] != want {
			t.Errorf("%s is %v, want %v", name, one[name], want)
		}
	}
	end := func() *answer {
		return sendTo(r, http.MethodPost, endPath, fmt.Sprintf(`{"ids":[%q]}`, one["id"]), append(authorization, "Content-Type", "application/json")...)
	}
	if got := end(); got.raw != `{"ended":1}` || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the end: %d %s", got.status, got.raw)
	}
	if got := end(); got.outcome() != "401 invalid_token" {
		t.Errorf("after its end: %s", got.raw)
	}
	refresh := url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {issued.text("refresh_token")}}
	if got := ask(r, http.MethodPost, "/"+replica.Name+"/token", refresh); got.outcome() != "400 invalid_grant" {
		t.Errorf("its client gets %s", got.raw)
	}
}

// TestRequestsForSessions checks how requests are read, and that refusals follow RFC 6750 §3. No answer is readable by
// pages of other origins.
func TestRequestsForSessions(t *testing.T) {
	r := replica.New(t)
	issued := sessionOf(t, r, noProof)
	good := "Bearer " + issued.text("access_token")
	const (
		bearer = `Bearer realm="refreshkeys"`
		proof  = `DPoP realm="refreshkeys", algs="`
		body   = `{"others":true}`
		bad    = "400 invalid_request"
	)
	inJSON := func(header ...string) []string { return append(header, "Content-Type", "application/json") }
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		want                     string
		// challenge begins the challenge for Bearer; empty if there is none.
		challenge string
	}{
		{"no credentials", "GET", sessionsPath, "", nil, "401", bearer},
		{"no credentials, to end", "POST", endPath, body, inJSON(), "401", bearer},
		{"another scheme", "GET", sessionsPath, "", []string{"Authorization", "Basic eDo="}, "401", bearer},
		{"no token", "GET", sessionsPath, "", []string{"Authorization", "Bearer"}, "401 invalid_token", bearer + `, error="invalid_token"`},
		{"nonsense", "GET", sessionsPath, "", []string{"Authorization", "Bearer x"}, "401 invalid_token", bearer + `, error="invalid_token"`},
		{"the refresh token", "GET", sessionsPath, "", []string{"Authorization", "Bearer " + issued.text("refresh_token")}, "401 invalid_token", bearer + `, error="invalid_token"`},
		{"two headers", "GET", sessionsPath, "", []string{"Authorization", good, "Authorization", good}, bad, ""},
		{"a query", "GET", sessionsPath + "?access_token=x", "", []string{"Authorization", good}, bad, ""},
		{"an empty query", "GET", sessionsPath + "?", "", []string{"Authorization", good}, bad, ""},
		{"by the scheme DPoP", "GET", sessionsPath, "", []string{"Authorization", "DPoP " + issued.text("access_token")}, "401 invalid_token", bearer},
		{"with a proof that is not valid", "GET", sessionsPath, "", []string{"Authorization", good, "DPoP", "x"}, "401 invalid_dpop_proof", bearer + `, error="invalid_dpop_proof"`},
		{"POST", "POST", sessionsPath, "", []string{"Authorization", good}, "405 invalid_request", ""},
		{"GET, to end", "GET", endPath, "", []string{"Authorization", good}, "405 invalid_request", ""},
		{"OPTIONS of a page", "OPTIONS", sessionsPath, "", []string{"Origin", "https://console.example.com", "Access-Control-Request-Method", "GET"}, "405 invalid_request", ""},
		{"a page of another origin", "GET", sessionsPath, "", []string{"Authorization", good, "Origin", "https://console.example.com"}, "200", ""},
		{"a form", "POST", endPath, "others=true", []string{"Authorization", good, "Content-Type", "application/x-www-form-urlencoded"}, bad, ""},
		{"no type", "POST", endPath, body, []string{"Authorization", good}, bad, ""},
		{"an encoded body", "POST", endPath, body, inJSON("Authorization", good, "Content-Encoding", "gzip"), "415 invalid_request", ""},
		{"a large body", "POST", endPath, `{"ids":["` + strings.Repeat("x", oauth.MaxBody) + `"]}`, inJSON("Authorization", good), "413 invalid_request", ""},
		{"with a charset", "POST", endPath, body, []string{"Authorization", good, "Content-Type", "application/json; charset=utf-8"}, "200", ""},
	} {
		got := sendTo(r, c.method, c.path, c.body, c.header...)
		outcome := got.outcome()
		if got.raw == "" {
			outcome = fmt.Sprint(got.status)
		}
		if outcome != c.want {
			t.Errorf("%s: %s, want %s", c.name, outcome, c.want)
		}
		challenges := got.header.Values("WWW-Authenticate")
		if (c.challenge == "") != (len(challenges) == 0) || (c.challenge != "" && (len(challenges) != 2 || challenges[0] != c.challenge || !strings.HasPrefix(challenges[1], proof))) {
			t.Errorf("%s: the challenges are %q", c.name, challenges)
		}
		for name := range got.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: the answer has %s", c.name, name)
			}
		}
	}
}

// TestBodiesOfAnEnd checks that a body names sessions in exactly one way.
func TestBodiesOfAnEnd(t *testing.T) {
	r := replica.New(t)
	header := []string{"Authorization", "Bearer " + sessionOf(t, r, noProof).text("access_token"), "Content-Type", "application/json"}
	for body, want := range map[string]string{
		`{"others":true}`: `{"ended":0}`, `{"ids":["x"]}`: `{"ended":0}`, "\t{\"ids\":[\"x\",\"x\"]}\n": `{"ended":0}`,
		``: "", `{}`: "", `[]`: "", `null`: "", `true`: "", `{"all":false}`: "", `{"others":false}`: "", `{"all":"true"}`: "", `{"all":1}`: "",
		`{"ids":[]}`: "", `{"ids":"x"}`: "", `{"ids":[1]}`: "", `{"ids":[null]}`: "", `{"ids":["x",["y"]]}`: "", `{"ids":{"x":true}}`: "",
		`{"ids":["x"],"all":true}`: "", `{"all":true,"others":true}`: "", `{"ids":["x"],"ids":["y"]}`: "", `{"ids":["x"],"note":1}`: "",
		`{"ALL":true}`: "", `{"Ids":["x"]}`: "", `{"all":true}{}`: "", `{"all":true`: "", "{\"ids\":[\"\xff\"]}": "", `{"note":true}`: "",
	} {
		got := sendTo(r, http.MethodPost, endPath, body, header...)
		if (want == "" && got.outcome() != "400 invalid_request") || (want != "" && got.raw != want) {
			t.Errorf("%s: %d %s", body, got.status, got.raw)
		}
	}
	if got := sendTo(r, http.MethodGet, sessionsPath, "", header...); got.outcome() != "200" {
		t.Errorf("a refused request ended the session: %s", got.raw)
	}
}

// TestBoundSessionsOverHTTP checks that an access token of a bound session needs the scheme DPoP, and a proof for this
// request, this token and this key, which is used once (RFC 9449 §7).
func TestBoundSessionsOverHTTP(t *testing.T) {
	r := replica.New(t)
	till, thief := newDevice(t, r), newDevice(t, r)
	learned := ask(r, http.MethodPost, "/"+replica.Name+"/token", url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {r.Issue("orders")}}, "DPoP", till.proof(0))
	till.nonce = learned.header.Get("DPoP-Nonce")
	thief.nonce = till.nonce
	issued := sessionOf(t, r, func() []string { return []string{"DPoP", till.proof(0)} })
	access := issued.text("access_token")
	of := func(d *device, method, path, token string) string {
		sum := sha256.Sum256([]byte(token))
		return d.proofFor(map[string]any{"htm": method, "htu": "https://tokens.example.com" + path, "ath": base64.RawURLEncoding.EncodeToString(sum[:])})
	}
	used := of(till, "GET", sessionsPath, access)
	unknowing := *till
	unknowing.nonce = ""
	for _, c := range []struct{ name, scheme, proof, want string }{
		{"a good proof", "DPoP", used, "200"},
		{"the same proof again", "DPoP", used, "401 invalid_dpop_proof"},
		{"as a bearer token", "Bearer", "", "401 invalid_token"},
		{"as a bearer token, with a proof", "Bearer", of(till, "GET", sessionsPath, access), "401 invalid_token"},
		{"no proof", "DPoP", "", "401 invalid_dpop_proof"},
		{"another key's proof", "DPoP", of(thief, "GET", sessionsPath, access), "401 invalid_dpop_proof"},
		{"for another method", "DPoP", of(till, "POST", sessionsPath, access), "401 invalid_dpop_proof"},
		{"for the other endpoint", "DPoP", of(till, "GET", endPath, access), "401 invalid_dpop_proof"},
		{"for the token endpoint", "DPoP", till.proof(0), "401 invalid_dpop_proof"},
		{"for another token", "DPoP", of(till, "GET", sessionsPath, access+"x"), "401 invalid_dpop_proof"},
		{"for no token", "DPoP", till.proofFor(map[string]any{"htm": "GET", "htu": replica.URL + "/sessions"}), "401 invalid_dpop_proof"},
		{"without the nonce", "DPoP", of(&unknowing, "GET", sessionsPath, access), "401 use_dpop_nonce"},
	} {
		header := []string{"Authorization", c.scheme + " " + access}
		if c.proof != "" {
			header = append(header, "DPoP", c.proof)
		}
		got := sendTo(r, http.MethodGet, sessionsPath, "", header...)
		if got.outcome() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got.raw, c.want)
		}
		if wantsNonce := c.want == "200" || strings.HasSuffix(c.want, "nonce"); wantsNonce != (got.header.Get("DPoP-Nonce") != "") {
			t.Errorf("%s: the next nonce is %q", c.name, got.header.Get("DPoP-Nonce"))
		}
		if got.status == http.StatusUnauthorized {
			at := slices.Index([]string{"Bearer", "DPoP"}, c.scheme)
			if challenges := got.header.Values("WWW-Authenticate"); len(challenges) != 2 || !strings.Contains(challenges[at], `error="`+got.text("error")+`"`) || strings.Contains(challenges[1-at], "error") {
				t.Errorf("%s: the challenges are %q", c.name, challenges)
			}
		}
	}
	ended := sendTo(r, http.MethodPost, endPath, `{"all":true}`, "Authorization", "DPoP "+access, "Content-Type", "application/json", "DPoP", of(till, "POST", endPath, access))
	if ended.raw != `{"ended":1}` {
		t.Errorf("the end: %s", ended.raw)
	}
}

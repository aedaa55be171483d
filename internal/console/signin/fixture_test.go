package signin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-logr/logr/funcr"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/console"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

const (
	consoleHost = "console.example.com"
	consoleID   = "console"
	browser     = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
	canary      = "c4n4ry"
)

// asked is one request that a fake received.
type asked struct {
	path, agent, authorization, body string
	form                             url.Values
}

// answer is what a fake answers with.
type answer struct {
	code int
	body any
	// location makes it a redirect.
	location string
	// lost ends the connection in the place of the answer, and held lets the answer wait until it is closed.
	lost bool
	held chan struct{}
}

// fake is a provider or a token service at the level of HTTP.
type fake struct {
	*httptest.Server
	t    *testing.T
	key  *ecdsa.PrivateKey
	file string

	mu      sync.Mutex
	seen    []asked
	answers map[string][]answer
	more    map[string]any
}

func newFake(t *testing.T) *fake {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, key: key, answers: map[string][]answer{}, more: map[string]any{}}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	f.file = filepath.Join(t.TempDir(), "ca.crt")
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	if err := os.WriteFile(f.file, bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	said := f.answerTo(r)
	if said.held != nil {
		<-said.held
	}
	if said.lost {
		panic(http.ErrAbortHandler)
	}
	if said.location != "" {
		http.Redirect(w, r, said.location, said.code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(said.code)
	_ = json.NewEncoder(w).Encode(said.body)
}

// answerTo returns what a request is answered with.
func (f *fake) answerTo(r *http.Request) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		document := map[string]any{
			"issuer": f.URL, "authorization_endpoint": f.URL + "/authorize", "token_endpoint": f.URL + "/token", "jwks_uri": f.URL + "/keys",
			"revocation_endpoint": f.URL + "/revoke", "end_session_endpoint": f.URL + "/leave?tenant=1", "id_token_signing_alg_values_supported": []string{"ES256"},
		}
		maps.Copy(document, f.more)
		return answer{code: http.StatusOK, body: document}
	case "/keys":
		return answer{code: http.StatusOK, body: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: f.key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}}}
	default:
		return f.record(r)
	}
}

// record remembers a request, and returns the next answer for its path.
func (f *fake) record(r *http.Request) answer {
	var body strings.Builder
	one := asked{path: r.URL.Path, agent: r.UserAgent(), authorization: r.Header.Get("Authorization")}
	if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		if err := r.ParseForm(); err != nil {
			f.t.Error(err)
		}
		one.form = r.PostForm
	} else {
		buffer := make([]byte, 4096)
		n, _ := r.Body.Read(buffer)
		body.Write(buffer[:n])
		one.body = body.String()
	}
	f.seen = append(f.seen, one)
	queue := f.answers[r.URL.Path]
	if len(queue) == 0 {
		return answer{code: http.StatusNotFound, body: map[string]any{"error": "not_found"}}
	}
	f.answers[r.URL.Path] = queue[1:]
	return queue[0]
}

// will queues answers for a path.
func (f *fake) will(path string, answers ...answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[path] = append(f.answers[path], answers...)
}

// last returns the latest request of a path.
func (f *fake) last(path string) asked {
	f.t.Helper()
	all := f.all(path)
	if len(all) == 0 {
		f.t.Fatalf("%s was not asked", path)
	}
	return all[len(all)-1]
}

func (f *fake) all(path string) []asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.seen), func(one asked) bool { return one.path != path })
}

// sign returns a JWT with claims.
func (f *fake) sign(claims map[string]any) string {
	f.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: f.key, KeyID: "k"}}, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		f.t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		f.t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		f.t.Fatal(err)
	}
	return compact
}

// fixture is a console's sign-in with its provider and token service.
type fixture struct {
	*OIDC
	t        *testing.T
	fake     *clocktesting.FakePassiveClock
	provider *fake
	service  *fake
	log      *strings.Builder
}

func newFixture(t *testing.T, change ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, fake: clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second)), provider: newFake(t), service: newFake(t), log: &strings.Builder{}}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret-"+canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &Config{IssuerURL: f.provider.URL, ClientID: consoleID, ClientSecretFile: secret, CAFile: f.provider.file}
	for _, each := range change {
		each(c)
	}
	if c.Forward == Exchange {
		c.TokenService = &TokenService{IssuerURL: f.service.URL, Audience: "https://kubernetes.example.com", CAFile: f.service.file}
	}
	c.setDefaults(c.Forward == Impersonation)
	f.OIDC = f.start(c, "/")
	return f
}

// start returns a sign-in of another process of the console.
func (f *fixture) start(c *Config, base string) *OIDC {
	f.t.Helper()
	made, err := New(Options{
		Config: c, BasePath: base, Clock: f.fake, Random: rand.Reader,
		API: &rest.Config{Host: "https://api.example.com", BearerToken: "own"},
		Log: funcr.New(func(_, line string) { f.log.WriteString(line + "\n") }, funcr.Options{}),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return made
}

// claims are those of an id_token for a sign-in.
func (f *fixture) claims(nonce string) map[string]any {
	now := f.fake.Now()
	return map[string]any{
		"iss": f.provider.URL, "sub": "jane", "aud": consoleID, "nonce": nonce, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		"groups": []string{"dev"}, "canary": canary,
	}
}

// tokens is an answer of a token endpoint.
func tokens(members map[string]any) answer {
	body := map[string]any{"access_token": "access-" + canary, "token_type": "Bearer", "expires_in": 900}
	maps.Copy(body, members)
	return answer{code: http.StatusOK, body: body}
}

func refusing(code string) answer {
	return answer{code: http.StatusBadRequest, body: map[string]any{"error": code, "error_description": "<b>" + canary + "</b>"}}
}

// begun is a sign-in that a browser began.
type begun struct {
	// to is where the browser went.
	to      *url.URL
	cookies []*http.Cookie
	// back is what the provider sends the browser back with.
	back url.Values
}

// begin begins a sign-in with a browser that has cookies.
func (f *fixture) begin(query string, cookies ...*http.Cookie) *begun {
	f.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://"+consoleHost+"/auth/login"+query, http.NoBody)
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	f.Login(w, r, "session")
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusSeeOther {
		f.t.Fatalf("auth/login answers %d: %v", w.Code, err)
	}
	return &begun{to: to, cookies: cookiesOf(w), back: url.Values{"state": {to.Query().Get("state")}, "code": {"code-" + canary}}}
}

// arrive is the browser's return.
func (f *fixture) arrive(b *begun) (*console.Credential, string, []*http.Cookie, error) {
	r := httptest.NewRequest(http.MethodGet, "https://"+consoleHost+"/auth/callback?"+b.back.Encode(), http.NoBody)
	r.Header.Set("User-Agent", browser)
	for _, cookie := range b.cookies {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	arrived, err := f.Callback(w, r)
	if err == nil && arrived.Session != "session" {
		f.t.Errorf("the browser had the session %q", arrived.Session)
	}
	return arrived.Credential, arrived.Path, cookiesOf(w), err
}

// cookiesOf returns the cookies that an answer sets.
func cookiesOf(w http.ResponseWriter) []*http.Cookie {
	return (&http.Response{Header: w.Header()}).Cookies()
}

// signedIn signs a person in. more are members of the provider's answer.
func (f *fixture) signedIn(more map[string]any) *console.Credential {
	f.t.Helper()
	b := f.begin("?return=/keys")
	members := map[string]any{"id_token": f.provider.sign(f.claims(b.to.Query().Get("nonce")))}
	maps.Copy(members, more)
	f.provider.will("/token", tokens(members))
	credential, path, _, err := f.arrive(b)
	if err != nil || path != "/keys" {
		f.t.Fatalf("the sign-in fails: %v, and returns to %q", err, path)
	}
	return credential
}

// reasonOf returns the failure of a sign-in; empty for none.
func reasonOf(t *testing.T, err error) wire.SignInFailure {
	t.Helper()
	if err == nil {
		return ""
	}
	status, known := err.(interface{ Unwrap() error })
	f, ours := err.(*failure) //nolint:errorlint // the console gets it as it is
	if !known || !ours || status.Unwrap() == nil {
		t.Fatalf("the error is not a failure of a sign-in: %v", err)
	}
	return f.reason
}

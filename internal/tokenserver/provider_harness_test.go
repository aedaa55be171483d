package tokenserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// upstreamProvider is an OpenID Connect provider over TLS, with a private authority. Its people sign in without a page.
type upstreamProvider struct {
	*httptest.Server
	t   *testing.T
	key *ecdsa.PrivateKey
	now func() time.Time

	// mu guards the rest.
	mu sync.Mutex
	// codes are the queries of the sign-ins that were not redeemed.
	codes map[string]url.Values
	// redeemed are the requests at the token endpoint, with their forms.
	redeemed []*http.Request
	// claims and metadata change those of the provider; nil removes one. typ is the type of its id_tokens.
	claims, metadata map[string]any
	typ              string
	// answers overrides the answers of paths.
	answers map[string]http.HandlerFunc
}

func newUpstream(t *testing.T) *upstreamProvider {
	t.Helper()
	p := &upstreamProvider{t: t, key: newKey(t), codes: map[string]url.Values{}, answers: map[string]http.HandlerFunc{}}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// entry returns the entry of an issuer for the provider.
func (p *upstreamProvider) entry() v1alpha1.OIDCProvider {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	return v1alpha1.OIDCProvider{
		IssuerURL: p.URL, CABundle: string(ca), Audiences: []string{"cli", "web"}, SubjectPrefix: "idp:", Claims: map[string]v1alpha1.ClaimName{"mail": "email"},
		DisplayName: "The <office>", Client: &v1alpha1.ProviderClient{ID: "web"},
	}
}

func (p *upstreamProvider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if answer := p.answers[r.URL.Path]; answer != nil {
		answer(w, r)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		reply(w, changedClaims(map[string]any{
			"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/auth?tenant=1", "token_endpoint": p.URL + "/token",
			"id_token_signing_alg_values_supported": []string{"ES256"},
		}, p.metadata))
	case "/keys":
		reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	case "/token":
		p.token(w, r)
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// changedClaims returns claims with changes; nil removes one.
func changedClaims(claims, changes map[string]any) map[string]any {
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// token redeems a code as RFC 6749 §4.1.3 and RFC 7636 §4.6 say.
func (p *upstreamProvider) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.redeemed = append(p.redeemed, r)
	asked, known := p.codes[r.PostForm.Get("code")]
	delete(p.codes, r.PostForm.Get("code"))
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !known || r.PostForm.Get("grant_type") != "authorization_code" || r.PostForm.Get("redirect_uri") != asked.Get("redirect_uri") ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		reply(w, map[string]any{"error": "invalid_grant", "error_description": "secret words of the provider"})
		return
	}
	claims := changedClaims(map[string]any{
		"iss": p.URL, "sub": "jane", "aud": asked.Get("client_id"), "nonce": asked.Get("nonce"), "iat": p.now().Unix(), "exp": p.now().Add(time.Hour).Unix(),
		"email": "jane@example.com", "email_verified": true,
	}, p.claims)
	reply(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": p.sign(p.key, claims)})
}

func (p *upstreamProvider) sign(key *ecdsa.PrivateKey, claims map[string]any) string {
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(p.typ))
	if p.typ == "" {
		options = nil
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, options)
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	object, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	compact, err := object.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return compact
}

// set changes the provider.
func (p *upstreamProvider) set(change func(*upstreamProvider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// requests returns the requests at the token endpoint.
func (p *upstreamProvider) requests() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.redeemed
}

// signIn signs a person in, whose browser came with a URL, and returns the answer that the browser brings back.
func (p *upstreamProvider) signIn(to string) url.Values {
	p.t.Helper()
	at, err := url.Parse(to)
	if err != nil || !strings.HasPrefix(to, p.URL+"/auth?tenant=1&") {
		p.t.Fatalf("the browser goes to %s", to)
	}
	code := rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.codes[code] = at.Query()
	return url.Values{"code": {code}, "state": {at.Query().Get("state")}, "session_state": {"of the provider"}}
}

// callback is the path to which the provider sends browsers back.
func (p *upstreamProvider) callback() string {
	return endpoint.CallbackURL("/tenant", endpoint.ProviderID(p.URL))
}

// withProvider returns a replica with passwords and clients whose issuer has a provider.
func withProvider(t *testing.T, changes ...func(*v1alpha1.OIDCProvider)) (*replica.Replica, *upstreamProvider) {
	t.Helper()
	r, p := withClients(t), newUpstream(t)
	p.now = r.Clock.Now
	entry := p.entry()
	for _, change := range changes {
		change(&entry)
	}
	r.Issuer.Spec.Login.OIDC = []v1alpha1.OIDCProvider{entry}
	r.Issuer.Spec.Policy.Rules[0].Claims = []string{"mail"}
	r.PutIssuer(r.Issuer, r.Rings)
	return r, p
}

var (
	chooseForm = regexp.MustCompile(`<form method="post" action="([^"]+/provider)">\s*<input type="hidden" name="step" value="([^"]+)">`)
	buttons    = regexp.MustCompile(`<button name="provider" value="([0-9a-f]{16})">([^<]*)</button>`)
	link       = regexp.MustCompile(`<a href="([^"]+)"`)
)

// choose chooses a provider on the login page.
func (b *browser) choose(page *httptest.ResponseRecorder, id string) *httptest.ResponseRecorder {
	b.t.Helper()
	form := chooseForm.FindStringSubmatch(page.Body.String())
	if form == nil {
		b.t.Fatalf("the page has no providers: %d %s", page.Code, said(page))
	}
	return b.send(http.MethodPost, html.UnescapeString(form[1]), url.Values{"step": {html.UnescapeString(form[2])}, "provider": {id}})
}

// follow returns where a page leads: by its link, and at once.
func follow(t *testing.T, page *httptest.ResponseRecorder) string {
	t.Helper()
	found := link.FindStringSubmatch(page.Body.String())
	if page.Code != http.StatusOK || found == nil || page.Header().Get("Refresh") != "0; url="+html.UnescapeString(found[1]) {
		t.Fatalf("the page leads nowhere: %d %v %s", page.Code, page.Header(), said(page))
	}
	return html.UnescapeString(found[1])
}

// away leads the browser to the provider, and returns the answer that it brings back.
func (b *browser) away(p *upstreamProvider, changes ...string) url.Values {
	b.t.Helper()
	return p.signIn(follow(b.t, b.choose(b.begin(changes...), endpoint.ProviderID(p.URL))))
}

// back brings an answer of the provider back.
func (b *browser) back(p *upstreamProvider, answer url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.send(http.MethodGet, p.callback()+"?"+answer.Encode(), nil, change...)
}

// said returns the content of a page, for a message.
func said(page *httptest.ResponseRecorder) string {
	_, content, _ := strings.Cut(page.Body.String(), "</svg>")
	return content
}

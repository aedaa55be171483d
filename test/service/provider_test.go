package service

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
)

// provider is an OpenID Connect provider with a private authority, at which people sign in without a page. internal/tokenserver has one
// that breaks the rules; this one keeps them.
type provider struct {
	*httptest.Server
	t   *testing.T
	key *ecdsa.PrivateKey

	// mu guards claims: those of the id_token of each code.
	mu     sync.Mutex
	claims map[string]map[string]any
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, key: key, claims: map[string]map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.reply(w, map[string]any{
			"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token",
			"id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		p.reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("/token", p.token)
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// token redeems a code once.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	claims := p.claims[r.PostFormValue("code")]
	delete(p.claims, r.PostFormValue("code"))
	p.mu.Unlock()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: "k1"}}, nil)
	if claims == nil || err != nil {
		w.WriteHeader(http.StatusBadRequest)
		p.reply(w, map[string]any{"error": "invalid_grant"})
		return
	}
	idToken, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		p.t.Error(err)
	}
	p.reply(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": idToken})
}

// entry returns the entry of an issuer for the provider.
func (p *provider) entry() v1alpha1.OIDCProvider {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	return v1alpha1.OIDCProvider{
		IssuerURL: p.URL, CABundle: string(ca), Audiences: []string{"web"}, SubjectPrefix: "idp:", Client: &v1alpha1.ProviderClient{ID: "web"},
	}
}

var linkAway = regexp.MustCompile(`<a href="([^"]+)"`)

// signIn signs a user in, whose browser has the page that leads to the provider, and returns the query that the browser brings back.
func (p *provider) signIn(page, user string) url.Values {
	p.t.Helper()
	link := linkAway.FindStringSubmatch(page)
	if link == nil {
		p.t.Fatalf("the page does not lead to the provider: %s", page)
	}
	to, err := url.Parse(html.UnescapeString(link[1]))
	if err != nil {
		p.t.Fatal(err)
	}
	asked, code, now := to.Query(), rand.Text(), time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims[code] = map[string]any{
		"iss": p.URL, "sub": user, "aud": asked.Get("client_id"), "nonce": asked.Get("nonce"), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	return url.Values{"code": {code}, "state": {asked.Get("state")}}
}

// callback is the path, below the issuer's URL, at which browsers come back.
func (p *provider) callback() string { return endpoint.CallbackURL("", endpoint.ProviderID(p.URL)) }

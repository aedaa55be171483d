package commands

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// fakeTokens plays the token endpoint of an issuer: it answers by what the request asks for.
type fakeTokens struct {
	*httptest.Server
	signer *ecdsa.PrivateKey
	// revoked makes the service refuse every refresh token; unavailable makes it answer 503.
	revoked, unavailable bool
	// next is the refresh token in the answers, if it is set.
	next string
	// sessions are those of the subject, and ended what a request ended of them, as it was sent.
	sessions []oauth.Session
	ended    string
	// ahead is how far the clock is ahead of the plugin's.
	ahead time.Duration
	// forms are the requests.
	forms []map[string][]string
}

func newFakeTokens(t *testing.T) *fakeTokens {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeTokens{signer: signer}
	f.Server = quietServer(t, f)
	return f
}

// ServeHTTP implements http.Handler.
func (f *fakeTokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		panic(err)
	}
	f.forms = append(f.forms, maps.Clone(r.PostForm))
	status, answer := f.answer(r)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Date", noon.Add(f.ahead).Format(http.TimeFormat))
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func (f *fakeTokens) answer(r *http.Request) (status int, answer any) {
	refuse := func(status int, code oauth.Code, description string) (int, any) {
		return status, oauth.ErrorAnswer{Error: code, Description: description}
	}
	form := r.PostForm
	switch {
	case f.unavailable:
		return refuse(http.StatusServiceUnavailable, oauth.TemporarilyUnavailable, "Not known now.")
	case r.URL.Path == "/jwks.json":
		return http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: f.signer.Public(), KeyID: "access", Algorithm: "ES256", Use: "sig"}}}
	case r.URL.Path == "/revoke":
		return http.StatusOK, struct{}{}
	case r.URL.Path == "/introspect":
		return http.StatusOK, oauth.IntrospectionAnswer{Active: !f.revoked}
	case strings.HasPrefix(r.URL.Path, "/sessions") && r.Header.Get("Authorization") != "Bearer an-access-token":
		return refuse(http.StatusUnauthorized, oauth.InvalidToken, "The access token is not accepted.")
	case r.URL.Path == "/sessions" && r.Method == http.MethodGet:
		return http.StatusOK, oauth.SessionsAnswer{Sessions: f.sessions}
	case r.URL.Path == "/sessions/end":
		return f.end(r)
	case r.URL.Path != "/token":
		return http.StatusNotFound, "no such page"
	case f.revoked:
		return refuse(http.StatusBadRequest, oauth.InvalidGrant, "The refresh token is not accepted.")
	case strings.HasPrefix(form.Get(oauth.ParamResource), "urn:refreshkeys:probe:"):
		return refuse(http.StatusBadRequest, oauth.InvalidTarget, "The token does not cover the resource.")
	case form.Get(oauth.ParamScope) == "billing:read":
		return refuse(http.StatusBadRequest, oauth.InvalidScope, "The scope is not granted.")
	case form.Get(oauth.ParamAudience) == "https://orders.example.org":
		return refuse(http.StatusBadRequest, oauth.InvalidTarget, "The audience is not granted.")
	}
	return http.StatusOK, oauth.TokenAnswer{AccessToken: "an-access-token", TokenType: "Bearer", ExpiresIn: 900, Scope: form.Get(oauth.ParamScope), RefreshToken: f.next}
}

// end answers a request that ends sessions.
func (f *fakeTokens) end(r *http.Request) (status int, answer any) {
	raw, err := io.ReadAll(r.Body)
	var which struct {
		IDs         []string
		All, Others bool
	}
	if err = errors.Join(err, json.Unmarshal(raw, &which)); err != nil {
		panic(err)
	}
	f.ended = string(raw)
	count := 0
	for i := range f.sessions {
		if one := &f.sessions[i]; which.All || which.Others && !one.Current || slices.Contains(which.IDs, one.ID) {
			count++
		}
	}
	return http.StatusOK, oauth.EndAnswer{Ended: count}
}

// refresh returns the refresh token of a revision of the key shop/orders. The signing keys of refresh tokens are not
// published, so the plugin does not verify the signature, which is none.
func (f *fakeTokens) refresh(revision int64, more ...func(claims map[string]any)) string {
	encode := func(what any) string {
		raw, err := json.Marshal(what)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	header := map[string]any{"typ": string(token.Refresh), "alg": "ES256", "kid": "refresh"}
	return encode(header) + "." + encode(f.claims(revision, more...)) + ".AAAA"
}

// access returns an access token that was issued from a revision of the key shop/orders.
func (f *fakeTokens) access(t *testing.T, revision int64) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithHeader("kid", "access").WithHeader("typ", string(token.Access))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: f.signer}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(f.claims(revision))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func (f *fakeTokens) claims(revision int64, more ...func(claims map[string]any)) map[string]any {
	claims := map[string]any{
		"iss": f.URL, "sub": "refreshkey:shop:orders", "aud": "https://orders.example.com", "client_id": "refreshkey:shop:orders",
		"jti": map[int64]string{1: "one", 2: "two"}[revision], "scope": "orders:read",
		"iat": noon.Add(-day).Unix(), "nbf": noon.Add(-day - token.Skew).Unix(), "exp": noon.Add(29 * day).Unix(),
		"refreshkeys.dev": map[string]any{"namespace": "shop", "name": "orders", "uid": "uid", "revision": revision},
	}
	for _, change := range more {
		change(claims)
	}
	return claims
}

// issuer returns the issuer of the tokens.
func (f *fakeTokens) issuer() *v1alpha1.JWTIssuer {
	issuer := &v1alpha1.JWTIssuer{Spec: v1alpha1.JWTIssuerSpec{URL: f.URL}}
	issuer.Name, issuer.CreationTimestamp = "default", *at(-20 * day)
	for _, ring := range []v1alpha1.KeyUse{"access", "refresh"} {
		issuer.Status.Keys = append(issuer.Status.Keys,
			v1alpha1.SigningKeyStatus{KID: "next-" + string(ring), Use: ring, Algorithm: v1alpha1.ES256, State: "Pending", CreatedAt: *at(-20 * day), ActiveAt: at(70 * day)},
			v1alpha1.SigningKeyStatus{KID: string(ring), Use: ring, Algorithm: v1alpha1.ES256, State: "Active", CreatedAt: *at(-20 * day), ActiveAt: at(-20 * day)})
	}
	return issuer
}

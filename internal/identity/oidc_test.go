package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// idp is an OpenID Connect provider with one key.
type idp struct {
	*httptest.Server
	key *ecdsa.PrivateKey

	// mu guards what the server reads and writes.
	mu      sync.Mutex
	fetches map[string]int
	// answer overrides the answer of a path.
	answer map[string]http.HandlerFunc
	asked  []*http.Request
}

const (
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/keys"
)

// count returns how often a path was requested.
func (p *idp) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetches[path]
}

// respond sets the answer of a path; nil restores the usual one.
func (p *idp) respond(path string, answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer[path] = answer
}

// requests returns the requests that were received.
func (p *idp) requests() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// publish replaces the provider's keys with one key.
func (p *idp) publish(kid string, key any) {
	p.respond(keysPath, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: kid, Algorithm: "ES256"}}})
	})
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &idp{key: key, fetches: map[string]int{}, answer: map[string]http.HandlerFunc{}}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

func (p *idp) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.fetches[r.URL.Path]++
	p.asked = append(p.asked, r)
	answer := p.answer[r.URL.Path]
	p.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	var body any
	switch r.URL.Path {
	case discoveryPath:
		body = map[string]any{
			"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token",
			"id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"},
		}
	case keysPath:
		body = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func (p *idp) entry() *v1alpha1.OIDCProvider {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	return &v1alpha1.OIDCProvider{IssuerURL: p.URL, CABundle: string(ca), Audiences: []string{"cli", "web"}}
}

func (p *idp) sign(t *testing.T, kid string, claims map[string]any) string {
	t.Helper()
	return signed(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: kid}}, claims)
}

func signed(t *testing.T, key jose.SigningKey, claims map[string]any) string {
	t.Helper()
	return signedAs(t, key, nil, claims)
}

func signedAs(t *testing.T, key jose.SigningKey, options *jose.SignerOptions, claims any) string {
	t.Helper()
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func (p *idp) claims(change map[string]any) map[string]any {
	claims := map[string]any{"iss": p.URL, "sub": "jane", "aud": "cli", "iat": noon.Unix(), "exp": noon.Add(time.Hour).Unix()}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

func TestProviders(t *testing.T) {
	p := newIDP(t)
	providers := NewProviders(clocktesting.NewFakePassiveClock(noon))
	for _, c := range []struct {
		name  string
		claim map[string]any
		entry func(*v1alpha1.OIDCProvider)
		// want is the subject, empty where the token is refused.
		want string
	}{
		{name: "plain", want: "jane"},
		{name: "another audience of the issuer's entry", claim: map[string]any{"aud": "web"}, want: "jane"},
		{name: "two audiences and the party", claim: map[string]any{"aud": []string{"cli", "api"}, "azp": "cli"}, want: "jane"},
		{name: "two audiences and no party", claim: map[string]any{"aud": []string{"cli", "api"}}},
		{name: "issued to another party", claim: map[string]any{"aud": []string{"cli", "api"}, "azp": "api"}},
		{name: "another audience", claim: map[string]any{"aud": "other"}},
		{name: "no audience", claim: map[string]any{"aud": nil}},
		{name: "another issuer", claim: map[string]any{"iss": p.URL + "/"}},
		{name: "expired", claim: map[string]any{"exp": noon.Add(-time.Second).Unix()}},
		{name: "without an end", claim: map[string]any{"exp": nil}},
		{name: "made a minute ahead", claim: map[string]any{"iat": noon.Add(time.Minute).Unix()}, want: "jane"},
		{name: "made later than a minute ahead", claim: map[string]any{"iat": noon.Add(time.Minute + time.Second).Unix()}},
		{name: "without iat", claim: map[string]any{"iat": nil}},
		{name: "not yet", claim: map[string]any{"nbf": noon.Add(time.Hour).Unix()}},
		{name: "no subject", claim: map[string]any{"sub": nil}},
		{name: "an empty subject", claim: map[string]any{"sub": ""}},
		{name: "a number for a subject", claim: map[string]any{"sub": 7}},
		{name: "a prefix", entry: func(e *v1alpha1.OIDCProvider) { e.SubjectPrefix = "idp:" }, want: "idp:jane"},
		{
			name: "another claim for the subject", claim: map[string]any{"login": "j.d"}, want: "j.d",
			entry: func(e *v1alpha1.OIDCProvider) { e.SubjectClaim = "login" },
		},
		{name: "which is missing", entry: func(e *v1alpha1.OIDCProvider) { e.SubjectClaim = "login" }},
		{
			name: "an address that was verified", claim: map[string]any{"email": "j@example.com", "email_verified": true}, want: "j@example.com",
			entry: func(e *v1alpha1.OIDCProvider) { e.SubjectClaim = "email" },
		},
		{
			name: "an address that was verified, as text", claim: map[string]any{"email": "j@example.com", "email_verified": "true"}, want: "j@example.com",
			entry: func(e *v1alpha1.OIDCProvider) { e.SubjectClaim = "email" },
		},
		{
			name: "an address with false as text", claim: map[string]any{"email": "j@example.com", "email_verified": "false"},
			entry: func(e *v1alpha1.OIDCProvider) { e.SubjectClaim = "email" },
		},
		{
			name: "an address with another text", claim: map[string]any{"email": "j@example.com", "email_verified": "True"},
			entry: func(e *v1alpha1.OIDCProvider) { e.SubjectClaim = "email" },
		},
		{
			name: "an address with a number", claim: map[string]any{"email": "j@example.com", "email_verified": 1},
			entry: func(e *v1alpha1.OIDCProvider) { e.SubjectClaim = "email" },
		},
		{
			name: "an address that is not verified", claim: map[string]any{"email": "j@example.com", "email_verified": false},
			entry: func(e *v1alpha1.OIDCProvider) { e.SubjectClaim = "email" },
		},
		{
			name: "an address without email_verified", claim: map[string]any{"email": "j@example.com"},
			entry: func(e *v1alpha1.OIDCProvider) { e.SubjectClaim = "email" },
		},
		{
			name: "an address for a claim, verified", claim: map[string]any{"email": "j@example.com", "email_verified": true}, want: "jane",
			entry: func(e *v1alpha1.OIDCProvider) { e.Claims = map[string]v1alpha1.ClaimName{"email": "email"} },
		},
		{
			name: "an address for a claim, not verified", claim: map[string]any{"email": "j@example.com", "email_verified": false},
			entry: func(e *v1alpha1.OIDCProvider) { e.Claims = map[string]v1alpha1.ClaimName{"mail": "email"} },
		},
		{
			name: "an allowed address that is not verified", claim: map[string]any{"email": "j@example.com"},
			entry: func(e *v1alpha1.OIDCProvider) { allow(e, "email", "j@example.com") },
		},
		{name: "an address that the entry does not use", claim: map[string]any{"email": "j@example.com", "email_verified": false}, want: "jane"},
		{
			name: "an allowed value", claim: map[string]any{"hd": "example.com"}, want: "jane",
			entry: func(e *v1alpha1.OIDCProvider) { allow(e, "hd", "example.com", "example.org") },
		},
		{
			name: "another value", claim: map[string]any{"hd": "example.net"},
			entry: func(e *v1alpha1.OIDCProvider) { allow(e, "hd", "example.com") },
		},
		{name: "no value", entry: func(e *v1alpha1.OIDCProvider) { allow(e, "hd", "example.com") }},
		{
			name: "one allowed group of several", claim: map[string]any{"groups": []string{"a", "b"}}, want: "jane",
			entry: func(e *v1alpha1.OIDCProvider) { allow(e, "groups", "b") },
		},
		{
			name: "a yes that has to be one", claim: map[string]any{"email_verified": true}, want: "jane",
			entry: func(e *v1alpha1.OIDCProvider) { allow(e, "email_verified", "true") },
		},
		{
			name: "a mapped claim that is empty", claim: map[string]any{"mail": ""},
			entry: func(e *v1alpha1.OIDCProvider) { e.Claims = map[string]v1alpha1.ClaimName{"email": "mail"} },
		},
		{name: "a mapped claim that is missing", entry: func(e *v1alpha1.OIDCProvider) { e.Claims = map[string]v1alpha1.ClaimName{"email": "mail"} }},
		{
			name: "a mapped claim that is an object", claim: map[string]any{"mail": map[string]any{"a": "b"}},
			entry: func(e *v1alpha1.OIDCProvider) { e.Claims = map[string]v1alpha1.ClaimName{"email": "mail"} },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			entry := p.entry()
			if c.entry != nil {
				c.entry(entry)
			}
			person, err := providers.Verify(context.Background(), entry, p.sign(t, "k1", p.claims(c.claim)))
			switch {
			case c.want == "" && !errors.Is(err, ErrRefused):
				t.Errorf("accepted: %+v, %v", person, err)
			case c.want != "" && (err != nil || person.Subject != c.want):
				t.Errorf("%+v, %v; want %s", person, err, c.want)
			}
		})
	}
}

func allow(entry *v1alpha1.OIDCProvider, claim string, values ...string) {
	entry.Allowed = append(entry.Allowed, v1alpha1.AllowedValues{Claim: claim, Values: values})
}

func TestProviderMapsClaims(t *testing.T) {
	p := newIDP(t)
	entry := p.entry()
	entry.Claims = map[string]v1alpha1.ClaimName{"email": "mail", "groups": "roles"}
	person, err := NewProviders(clocktesting.NewFakePassiveClock(noon)).Verify(context.Background(), entry,
		p.sign(t, "k1", p.claims(map[string]any{"mail": "j@example.com", "roles": []string{"a", "b"}, "other": "x"})))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, value := range person.Claims {
		got[name] = string(value.Raw)
	}
	if diff := cmp.Diff(map[string]string{"email": `"j@example.com"`, "groups": `["a","b"]`}, got); diff != "" {
		t.Error(diff)
	}
}

// TestOtherTokensOfAProvider checks that tokens of another type, signed for the same client, are refused as
// id_tokens.
func TestOtherTokensOfAProvider(t *testing.T) {
	p := newIDP(t)
	providers := NewProviders(clocktesting.NewFakePassiveClock(noon))
	for typ, want := range map[jose.ContentType]bool{
		"": true, "JWT": true, "jwt": true, "at+jwt": false, "application/at+jwt": false, "logout+jwt": false, "secevent+jwt": false, "dpop+jwt": false,
	} {
		options := &jose.SignerOptions{}
		if typ != "" {
			options = options.WithType(typ)
		}
		compact := signedAs(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: "k1"}}, options, p.claims(nil))
		_, err := providers.Verify(context.Background(), p.entry(), compact)
		if good := err == nil; good != want || (!good && !errors.Is(err, ErrRefused)) {
			t.Errorf("typ %q: %v", typ, err)
		}
	}
}

// TestClaimsInTwoCases checks that two claim names that differ only in case are refused: only the later one would
// count.
func TestClaimsInTwoCases(t *testing.T) {
	p := newIDP(t)
	providers := NewProviders(clocktesting.NewFakePassiveClock(noon))
	for name, late := range map[string]string{
		"none": "", "an audience": `,"aud":"other","Aud":"cli"`, "an end": fmt.Sprintf(`,"exp":1,"EXP":%d`, noon.Unix()+60),
	} {
		claims, err := json.Marshal(p.claims(nil))
		if err != nil {
			t.Fatal(err)
		}
		raw := json.RawMessage(strings.TrimSuffix(string(claims), "}") + late + "}")
		compact := signedAs(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: "k1"}}, nil, raw)
		if _, err := providers.Verify(context.Background(), p.entry(), compact); (err == nil) != (late == "") {
			t.Errorf("%s twice: %v", name, err)
		}
	}
}

// TestACanceledLogin checks that a client that cancels its login does not cancel the provider request of
// others.
func TestACanceledLogin(t *testing.T) {
	p := newIDP(t)
	providers := NewProviders(clocktesting.NewFakePassiveClock(noon))
	compact := p.sign(t, "k1", p.claims(nil))
	gone, leave := context.WithCancel(context.Background())
	leave()
	_, _ = providers.Verify(gone, p.entry(), compact)
	if _, err := providers.Verify(context.Background(), p.entry(), compact); err != nil {
		t.Errorf("the other client gets: %v", err)
	}
}

// TestProviderForgeries checks that tokens that the provider did not sign are refused.
func TestProviderForgeries(t *testing.T) {
	p, other := newIDP(t), newIDP(t)
	providers := NewProviders(clocktesting.NewFakePassiveClock(noon))
	good := p.sign(t, "k1", p.claims(nil))
	parts := strings.Split(good, ".")
	for name, compact := range map[string]string{
		"another's key":             signed(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: other.key, KeyID: "k1"}}, p.claims(nil)),
		"an unknown key":            signed(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: other.key, KeyID: "k9"}}, p.claims(nil)),
		"a secret for a key":        signed(t, jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 32))}, p.claims(nil)),
		"no signature":              "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"a signature of another":    parts[0] + "." + parts[1] + "." + strings.Split(p.sign(t, "k1", p.claims(map[string]any{"sub": "john"})), ".")[2],
		"nothing":                   "",
		"words behind it":           good + " trailing words",
		"a blank before it":         " " + good,
		"a blank within it":         good[:40] + " " + good[40:],
		"a line break behind it":    good + "\n",
		"in the JSON serialisation": `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
		"longer than any id_token":  strings.Repeat("a", longestToken+1),
	} {
		if person, err := providers.Verify(context.Background(), p.entry(), compact); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %+v, %v", name, person, err)
		}
	}
	if fetched := p.count(keysPath); fetched > 1 {
		t.Errorf("unknown keys caused %d fetches of the provider's keys at once", fetched)
	}
	for _, r := range p.requests() {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
			t.Error("a request to the provider contains credentials")
		}
	}
}

package commands

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

const issuerURL = "https://tokens.example.com"

// fixture is a valid token with the evidence for it.
type fixture struct {
	header map[string]any
	claims map[string]any
	signer *ecdsa.PrivateKey
	*evidence
}

func newFixture(t *testing.T, typ token.Type) *fixture {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	object := map[string]any{"namespace": "shop", "name": "orders", "uid": "uid", "revision": 2}
	use := v1alpha1.KeyUse("access")
	if typ == token.Refresh {
		use = "refresh"
	}
	s := &fixture{
		header: map[string]any{"typ": string(typ), "alg": "ES256", "kid": "kid"},
		claims: map[string]any{
			"iss": issuerURL, "sub": "refreshkey:shop:orders", "aud": "https://orders.example.com", "client_id": "refreshkey:shop:orders", "jti": "two",
			"iat": noon.Add(-day).Unix(), "nbf": noon.Add(-day - token.Skew).Unix(), "exp": noon.Add(29 * day).Unix(), "refreshkeys.dev": object,
		},
		signer: signer,
		evidence: &evidence{
			now: noon, key: issued(),
			issuer: &v1alpha1.JWTIssuer{
				Spec:   v1alpha1.JWTIssuerSpec{URL: issuerURL},
				Status: v1alpha1.JWTIssuerStatus{Keys: []v1alpha1.SigningKeyStatus{{KID: "kid", Use: use, Algorithm: v1alpha1.ES256, State: "Active"}}},
			},
			jwks: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: signer.Public(), KeyID: "kid", Algorithm: "ES256", Use: "sig"}}},
		},
	}
	s.issuer.Name = "default"
	return s
}

// sign signs the token and records its hash in the key.
func (s *fixture) sign(t *testing.T) {
	t.Helper()
	payload, err := json.Marshal(s.claims)
	if err != nil {
		t.Fatal(err)
	}
	options := &jose.SignerOptions{}
	options.WithHeader("kid", s.header["kid"]).WithHeader("typ", s.header["typ"])
	for name, value := range s.header {
		if name != "typ" && name != "alg" && name != "kid" {
			options.WithHeader(jose.HeaderKey(name), value)
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.signer}, options)
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
	s.present(t, compact)
	if s.key != nil {
		s.key.Status.TokenHash = token.Hash(compact)
	}
}

func (s *fixture) present(t *testing.T, compact string) {
	t.Helper()
	p, err := parse(compact)
	if err != nil {
		t.Fatal(err)
	}
	s.token = p
}

func (s *fixture) object() map[string]any {
	object, _ := s.claims["refreshkeys.dev"].(map[string]any)
	return object
}

// TestExamine checks that a defect of a valid token fails exactly the checks that concern it.
func TestExamine(t *testing.T) {
	errUnavailable := errors.New("unavailable")
	for _, c := range []struct {
		name string
		typ  token.Type
		// before changes the token before it is signed, and after changes the evidence.
		before, after func(*fixture)
		failed        string
		unknown       string
		want          verdict
	}{
		{name: "a refresh token", typ: token.Refresh, want: passed},
		{name: "an access token", typ: token.Access, want: passed},
		{name: "an access token of a superseded revision", typ: token.Access, before: func(s *fixture) { s.object()["revision"] = 1 }, want: passed},
		{name: "an access token of an earlier release", typ: token.Access, before: func(s *fixture) { delete(s.object(), "revision") }, want: passed},
		{name: "an access token from before the line was ended", typ: token.Access, before: func(s *fixture) { s.object()["revision"] = 1 },
			after: func(s *fixture) { s.key.Status.FirstRevision = 2 }, failed: "standing", want: failed},
		{name: "an access token of an earlier release, and the line was ended", typ: token.Access, before: func(s *fixture) { delete(s.object(), "revision") },
			after: func(s *fixture) { s.key.Status.FirstRevision = 2 }, failed: "standing", want: failed},
		{name: "an access token of a revision that is not on record", typ: token.Access, before: func(s *fixture) { s.object()["revision"] = 3 }, failed: "standing", want: failed},
		{name: "a refresh token that says no revision", typ: token.Refresh, before: func(s *fixture) { delete(s.object(), "revision") }, failed: "type, standing", want: failed},
		{name: "superseded, and the line was ended", typ: token.Refresh, before: func(s *fixture) { s.claims["jti"], s.object()["revision"] = "one", 1 },
			after: func(s *fixture) {
				s.key.Status.Previous[0].TokenHash, s.key.Status.FirstRevision = token.Hash(s.token.compact), 2
			}, failed: "standing", want: failed},
		{name: "used once, and the line was ended", typ: token.Refresh, before: func(s *fixture) {
			s.claims["jti"], s.object()["revision"] = "zero", 1
			s.key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
			s.key.Status.FirstRevision = 2
		}, failed: "standing", unknown: "signature", want: failed},
		{name: "superseded", typ: token.Refresh, before: func(s *fixture) { s.claims["jti"], s.object()["revision"] = "one", 1 },
			after: func(s *fixture) { s.key.Status.Previous[0].TokenHash = token.Hash(s.token.compact) }, want: passed},
		{name: "retired", typ: token.Refresh, before: func(s *fixture) { s.claims["jti"], s.object()["revision"] = "zero", 1 }, failed: "standing", unknown: "signature", want: failed},
		{name: "used once before", typ: token.Refresh, before: func(s *fixture) {
			s.claims["jti"], s.object()["revision"] = "zero", 1
			s.key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
		}, failed: "standing", unknown: "signature", want: failed},
		{name: "another typ", typ: "JWT", failed: "type", want: failed, before: func(s *fixture) { s.issuer.Status.Keys[0].Use = "access" }},
		{name: "a refresh token that says it is an access token", typ: token.Refresh, before: func(s *fixture) {
			s.header["typ"], s.issuer.Status.Keys[0].Use = "at+jwt", "access"
			s.claims["cnf"] = map[string]any{"refreshkeys.dev/service-account": "till"}
		}, failed: "type", want: failed},
		{name: "a header with more in it", typ: token.Refresh, before: func(s *fixture) { s.header["zip"] = "DEF" }, failed: "form", want: failed},
		{name: "another issuer", typ: token.Refresh, after: func(s *fixture) { s.issuer = nil }, failed: "issuer", unknown: "signing key", want: failed},
		{name: "issuers cannot be read", typ: token.Refresh, after: func(s *fixture) { s.issuer, s.issuerErr = nil, errUnavailable }, unknown: "issuer, signing key", want: unknown},
		{name: "the signing key is gone", typ: token.Refresh, after: func(s *fixture) { s.issuer.Status.Keys = nil }, failed: "signing key", want: failed},
		{name: "the signing key is of the other ring", typ: token.Refresh, after: func(s *fixture) { s.issuer.Status.Keys[0].Use = "access" }, failed: "signing key", want: failed},
		{name: "the signing key signs otherwise", typ: token.Access, after: func(s *fixture) { s.issuer.Status.Keys[0].Algorithm = v1alpha1.RS256 }, failed: "signing key", want: failed},
		{name: "signed by another key", typ: token.Access, after: func(s *fixture) {
			other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			s.jwks.Keys[0].Key = other.Public()
		}, failed: "signature", want: failed},
		{name: "not published", typ: token.Access, after: func(s *fixture) { s.jwks.Keys = nil }, failed: "signature", want: failed},
		{name: "the published keys are unavailable", typ: token.Access, after: func(s *fixture) { s.jwks, s.jwksErr = nil, errUnavailable }, unknown: "signature", want: unknown},
		{name: "another text than the one on record", typ: token.Refresh, after: func(s *fixture) { s.key.Status.TokenHash = "sha256:other" }, failed: "signature", want: failed},
		{name: "expired to the second", typ: token.Refresh, before: func(s *fixture) { s.claims["exp"] = noon.Unix() }, failed: "time", want: failed},
		{name: "its last second", typ: token.Refresh, before: func(s *fixture) { s.claims["exp"] = noon.Unix() + 1 }, want: passed},
		{name: "from the future, within the skew", typ: token.Refresh, before: func(s *fixture) { s.made(2 * time.Minute) }, want: passed},
		{name: "from the future", typ: token.Refresh, before: func(s *fixture) { s.made(2*time.Minute + time.Second) }, failed: "time", want: failed},
		{name: "no such key", typ: token.Refresh, after: func(s *fixture) { s.key = nil }, failed: "key", unknown: "signature, alive, standing, policy", want: failed},
		{name: "no such key, of an access token", typ: token.Access, after: func(s *fixture) { s.key = nil }, failed: "key", unknown: "alive, standing", want: failed},
		{name: "keys cannot be read", typ: token.Refresh, after: func(s *fixture) { s.key, s.keyErr = nil, errUnavailable }, unknown: "signature, key, alive, standing, policy", want: unknown},
		{name: "the key was deleted and created again", typ: token.Refresh, after: func(s *fixture) { s.key.UID = types.UID("other") }, failed: "key, standing", want: failed},
		{name: "revoked", typ: token.Refresh, after: func(s *fixture) { s.key.Status.RevokedAt = at(-time.Hour) }, failed: "alive, standing", want: failed},
		{name: "revoked by its spec, not yet recorded", typ: token.Access, after: func(s *fixture) { s.key.Spec.Revoked = true }, failed: "alive, standing", want: failed},
		{name: "the key ended", typ: token.Access, after: func(s *fixture) { s.key.Spec.ExpiresAt = at(0) }, failed: "alive, standing", want: failed},
		{name: "being deleted", typ: token.Access, after: func(s *fixture) { s.key.DeletionTimestamp = at(0) }, failed: "alive, standing", want: failed},
		{name: "the policy denies", typ: token.Refresh, after: func(s *fixture) { stalled(s.key, v1alpha1.ReasonPolicyDenied) }, failed: "policy", want: failed},
		{name: "bound", typ: token.Refresh, before: func(s *fixture) { s.claims["cnf"] = map[string]any{"jkt": "thumb"} }, want: passed},
		{name: "bound since", typ: token.Refresh, after: func(s *fixture) { s.key.Spec.Binding = &v1alpha1.BindingSpec{ServiceAccountName: "till"} }, failed: "binding", want: failed},
		{name: "a claim is missing", typ: token.Refresh, before: func(s *fixture) { delete(s.claims, "jti") }, failed: "form", want: failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newFixture(t, c.typ)
			if c.before != nil {
				c.before(s)
			}
			s.sign(t)
			if c.after != nil {
				c.after(s)
			}
			checks := examine(s.evidence)
			found := map[verdict][]string{}
			for _, one := range checks {
				found[one.Verdict] = append(found[one.Verdict], one.Name)
				if one.Reason == "" || strings.Contains(one.Reason, "eyJ") {
					t.Errorf("%s gives no reason, or a token: %q", one.Name, one.Reason)
				}
			}
			if diff := cmp.Diff([]string{c.failed, c.unknown}, []string{strings.Join(found[failed], ", "), strings.Join(found[unknown], ", ")}); diff != "" {
				t.Errorf("failed and unknown: %s", diff)
			}
			if got := accepted(checks); got != c.want {
				t.Errorf("accepted: %s, want %s", got, c.want)
			}
		})
	}
}

// made sets the time at which the token was made, relative to now.
func (s *fixture) made(from time.Duration) {
	s.claims["iat"], s.claims["nbf"] = noon.Add(from).Unix(), noon.Add(from-token.Skew).Unix()
}

func TestParse(t *testing.T) {
	b64 := base64.RawURLEncoding.EncodeToString
	for _, c := range []struct {
		name, compact string
		bad           bool
	}{
		{"three parts", b64([]byte("{}")) + "." + b64([]byte("{}")) + "." + b64([]byte("x")), false},
		{"a header that is no JSON", b64([]byte("x")) + "." + b64([]byte("{}")) + "." + b64([]byte("x")), false},
		{"a payload that is no JSON", b64([]byte("{}")) + "." + b64([]byte("x")) + "." + b64([]byte("x")), false},
		{"two parts", "e30.e30", true},
		{"five parts", "a.b.c.d.e", true},
		{"an empty part", "e30.e30.", true},
		{"padded", "e30=.e30.e30", true},
		{"not of base64url", "e30.e+0.e30", true},
		{"with white space", "e30.e30.e30\n", true},
		{"too long", "e30." + strings.Repeat("e30a", token.MaxLength/4) + ".e30", true},
		{"nothing", "", true},
	} {
		p, err := parse(c.compact)
		if (err != nil) != c.bad {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && accepted(examine(&evidence{token: p, now: noon})) != failed {
			t.Errorf("%s is accepted", c.name)
		}
	}
}

package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
)

// t0 is when the tests' tokens are made.
var t0 = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

const issuer = "https://tokens.example.com"

var algorithms = []keyring.Algorithm{keyring.ES256, keyring.ES384, keyring.RS256, keyring.EdDSA}

// ringsOf are the rings of an issuer, made once for all tests. Only those of RS256 differ from run to run.
var ringsOf = func() map[keyring.Algorithm]func() *keyring.Rings {
	all := map[keyring.Algorithm]func() *keyring.Rings{}
	for _, algorithm := range algorithms {
		all[algorithm] = sync.OnceValue(func() *keyring.Rings { return newRings(algorithm, "issuer") })
	}
	return all
}()

// otherRings are another issuer's.
var otherRings = sync.OnceValue(func() *keyring.Rings { return newRings(keyring.ES256, "another issuer") })

func newRings(algorithm keyring.Algorithm, name string) *keyring.Rings {
	made := 0
	generate := func(a keyring.Algorithm) (crypto.Signer, error) {
		made++
		seed := sha512.Sum512(fmt.Appendf(nil, "%s, key %d", name, made))
		switch a {
		case keyring.ES256:
			return ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:32])
		case keyring.ES384:
			return ecdsa.ParseRawPrivateKey(elliptic.P384(), seed[:48])
		case keyring.EdDSA:
			return ed25519.NewKeyFromSeed(seed[:32]), nil
		default:
			return rsa.GenerateKey(rand.Reader, 2048)
		}
	}
	schedule := keyring.Schedule{Algorithm: algorithm, RotateAfter: 2160 * time.Hour, Prepublish: time.Hour, RefreshKeep: time.Hour, AccessKeep: time.Hour}
	rings, err := keyring.Advance(nil, schedule, nil, nil, t0.Add(-time.Hour), generate)
	if err != nil {
		panic(err)
	}
	return rings
}

func signer(tb testing.TB, rings *keyring.Rings, typ Type) *keyring.Key {
	tb.Helper()
	key, err := rings.Signer(ringOf(typ))
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// claims are those of a refresh token with everything in it.
func claims() *Claims {
	return &Claims{
		Issuer:         issuer,
		Subject:        "refreshkey:shop:orders",
		Audience:       "https://orders.example.com",
		IssuedAt:       t0,
		ExpiresAt:      t0.Add(720 * time.Hour),
		JTI:            "0197e9c2-7c3a-7000-8000-000000000001",
		ClientID:       "refreshkey:shop:orders",
		Scope:          "orders:read orders:write",
		JWKThumbprint:  "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
		ServiceAccount: "orders",
		Extra:          map[string]string{"email": `"ops@example.com"`, "tier": `3`, "groups": `["a","b"]`, "beta": `true`},
		Object:         Object{Namespace: "shop", Name: "orders", UID: "5b0e2c1a-0000-4000-8000-000000000001", Revision: 4},
	}
}

// accessClaims are those of an access token of the same key.
func accessClaims() *Claims {
	c := claims()
	c.ExpiresAt = t0.Add(15 * time.Minute)
	c.ServiceAccount = ""
	return c
}

// earlierAccessClaims are those of an access token that a release made which left the revision out.
func earlierAccessClaims() *Claims {
	c := accessClaims()
	c.Object.Revision = 0
	return c
}

func payloadOf(tb testing.TB, c *Claims) string {
	tb.Helper()
	payload, err := c.Payload()
	if err != nil {
		tb.Fatal(err)
	}
	return string(payload)
}

func mint(tb testing.TB, key *keyring.Key, typ Type, payload string) string {
	tb.Helper()
	compact, err := Mint(key, typ, []byte(payload))
	if err != nil {
		tb.Fatal(err)
	}
	return compact
}

func headerOf(key *keyring.Key, typ Type) string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":%q}`, key.Algorithm, key.ID, typ)
}

// signAny signs any header and payload with the signing key: a refusal then depends only on the
// content.
func signAny(tb testing.TB, key *keyring.Key, header, payload string) string {
	tb.Helper()
	input := forge.B64(header) + "." + forge.B64(payload)
	signature, err := key.Sign([]byte(input))
	if err != nil {
		tb.Fatal(err)
	}
	return input + "." + forge.B64(string(signature))
}

// split is what is signed of a token, and the signature.
func split(tb testing.TB, compact string) (signed, signature []byte) {
	tb.Helper()
	end := strings.LastIndexByte(compact, '.')
	signature, err := base64.RawURLEncoding.DecodeString(compact[end+1:])
	if err != nil {
		tb.Fatal(err)
	}
	return []byte(compact[:end]), signature
}

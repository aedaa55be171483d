package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/base64"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

const issuer = "https://tokens.example.com"

// t0 is when the tests' proofs are made.
var t0 = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

var schedule = keyring.Schedule{Algorithm: keyring.ES256, RotateAfter: 24 * time.Hour, Prepublish: time.Hour, RefreshKeep: 24 * time.Hour, AccessKeep: time.Hour}

func advance(t *testing.T, rings *keyring.Rings, now time.Time) *keyring.Rings {
	t.Helper()
	next, err := keyring.Advance(rings, schedule, nil, nil, now, keyring.Generate)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// methods sign for a client.
var methods = map[string]jwt.SigningMethod{
	"ES256": jwt.SigningMethodES256, "ES384": jwt.SigningMethodES384, "RS256": jwt.SigningMethodRS256, "PS256": jwt.SigningMethodPS256,
	"EdDSA": jwt.SigningMethodEdDSA, "Ed25519": jwt.SigningMethodEdDSA,
}

// tokenPayload returns the payload of a token of the type with everything in it.
func tokenPayload(tb testing.TB, typ token.Type) string {
	tb.Helper()
	claims := &token.Claims{
		Issuer: issuer, Subject: "refreshkey:shop:orders", Audience: "https://orders.example.com", IssuedAt: t0, ExpiresAt: t0.Add(15 * time.Minute),
		JTI: "0197e9c2-7c3a-7000-8000-000000000001", ClientID: "refreshkey:shop:orders", Scope: "orders:read orders:write",
		JWKThumbprint: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", Extra: map[string]string{"email": `"ops@example.com"`, "tier": `3`},
		Object: token.Object{Namespace: "shop", Name: "orders", UID: "5b0e2c1a-0000-4000-8000-000000000001", Revision: 4},
	}
	if typ == token.Refresh {
		claims.ServiceAccount = "orders"
	}
	payload, err := claims.Payload()
	if err != nil {
		tb.Fatal(err)
	}
	return string(payload)
}

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// replace fails where there is nothing to replace, so that no case tests less than it says.
func replace(tb testing.TB, text, old, new string) string {
	tb.Helper()
	if strings.Count(text, old) != 1 {
		tb.Fatalf("%q stands %d times in %s", old, strings.Count(text, old), text)
	}
	return strings.Replace(text, old, new, 1)
}

// part changes one of the three parts of a proof.
func part(compact string, n int, change func(string) string) string {
	parts := strings.Split(compact, ".")
	parts[n] = change(parts[n])
	return strings.Join(parts, ".")
}

// trailingBits sets a bit that the encoding does not use, so that another text decodes to the same bytes.
func trailingBits(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, text[len(text)-1])
	return text[:len(text)-1] + alphabet[last|1:last|1+1]
}

// prover is a client with a key of its own, and the parts that a good proof of its consists of.
type prover struct {
	testing.TB
	algorithm string
	key       crypto.Signer
	jwk       string
	header    string
	payload   string
	good      string
}

const goodProof = `{"jti":"0197e9c2-7c3a-7000-8000-000000000002","htm":"POST","htu":"` + issuer + `/token","iat":1777636800,"nonce":"n"}`

var (
	rsa2048 = sync.OnceValue(func() crypto.Signer { return newRSA(2048) })
	rsa1024 = sync.OnceValue(func() crypto.Signer { return newRSA(1024) })
)

func newRSA(bits int) crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

// curveKey is the same in every run, as what a fuzzer has found must be.
func curveKey(tb testing.TB, curve elliptic.Curve, name string) crypto.Signer {
	tb.Helper()
	seed := sha512.Sum512([]byte(name))
	key, err := ecdsa.ParseRawPrivateKey(curve, seed[:curve.Params().BitSize/8])
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func proofSigner(tb testing.TB, algorithm string) crypto.Signer {
	tb.Helper()
	switch algorithm {
	case "ES256":
		return curveKey(tb, elliptic.P256(), "client")
	case "ES384":
		return curveKey(tb, elliptic.P384(), "client")
	case "RS256", "PS256":
		return rsa2048()
	default:
		seed := sha512.Sum512([]byte("client"))
		return ed25519.NewKeyFromSeed(seed[:32])
	}
}

func newProver(tb testing.TB, algorithm string) *prover {
	tb.Helper()
	return proverOf(tb, algorithm, proofSigner(tb, algorithm))
}

func proverOf(tb testing.TB, algorithm string, key crypto.Signer) *prover {
	tb.Helper()
	raw, err := (&jose.JSONWebKey{Key: key.Public()}).MarshalJSON()
	if err != nil {
		tb.Fatal(err)
	}
	p := &prover{TB: tb, algorithm: algorithm, key: key, jwk: string(raw), payload: goodProof}
	p.header = `{"typ":"dpop+jwt","alg":"` + algorithm + `","jwk":` + p.jwk + `}`
	p.good = p.sign(p.header, p.payload)
	return p
}

// sign signs any header and payload with the client key.
func (p *prover) sign(header, payload string) string {
	input := b64(header) + "." + b64(payload)
	signature, err := methods[p.algorithm].Sign(input, p.key)
	if err != nil {
		p.Fatal(err)
	}
	return input + "." + b64(string(signature))
}

func (p *prover) withHeader(old, new string) string {
	return p.sign(replace(p, p.header, old, new), p.payload)
}

// jwkWith adds members to the key.
func (p *prover) jwkWith(members string) string {
	return p.withHeader(p.jwk, p.jwk[:len(p.jwk)-1]+","+members+"}")
}

func (p *prover) withJWK(jwk string) string { return p.withHeader(p.jwk, jwk) }

func (p *prover) withPayload(old, new string) string {
	return p.sign(p.header, replace(p, p.payload, old, new))
}

func (p *prover) payloadWith(member string) string {
	return p.withPayload(`"iat"`, member+`,"iat"`)
}

// coordinate is a number as a JWK has it.
func coordinate(n *big.Int, size int) string {
	return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, size)))
}

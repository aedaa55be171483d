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
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
)

const issuer = "https://tokens.example.com"

// t0 is when the tests' proofs are made.
var t0 = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

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
	input := forge.B64(header) + "." + forge.B64(payload)
	signature, err := methods[p.algorithm].Sign(input, p.key)
	if err != nil {
		p.Fatal(err)
	}
	return input + "." + forge.B64(string(signature))
}

func (p *prover) withHeader(old, new string) string {
	return p.sign(forge.Replace(p, p.header, old, new), p.payload)
}

// jwkWith adds members to the key.
func (p *prover) jwkWith(members string) string {
	return p.withHeader(p.jwk, p.jwk[:len(p.jwk)-1]+","+members+"}")
}

func (p *prover) withJWK(jwk string) string { return p.withHeader(p.jwk, jwk) }

func (p *prover) withPayload(old, new string) string {
	return p.sign(p.header, forge.Replace(p, p.payload, old, new))
}

func (p *prover) payloadWith(member string) string {
	return p.withPayload(`"iat"`, member+`,"iat"`)
}

// coordinate is a number as a JWK has it.
func coordinate(n *big.Int, size int) string {
	return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, size)))
}

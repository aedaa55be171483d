package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// proofAlgorithm is how the signature of a proof is verified, and the keys that it goes with.
type proofAlgorithm struct {
	method jwt.SigningMethod
	fits   func(public any) bool
}

// proofAlgorithms are asymmetric, all of them (RFC 9449 §4.3, 5). Ed25519 is the name that
// RFC 9864 gave to what EdDSA is with such a key; clients send the one or the other.
var proofAlgorithms = map[string]proofAlgorithm{
	"ES256":   {jwt.SigningMethodES256, onCurve(elliptic.P256())},
	"ES384":   {jwt.SigningMethodES384, onCurve(elliptic.P384())},
	"RS256":   {jwt.SigningMethodRS256, isRSA},
	"PS256":   {saltOfHash(jwt.SigningMethodPS256), isRSA},
	"EdDSA":   {jwt.SigningMethodEdDSA, isEd25519},
	"Ed25519": {jwt.SigningMethodEdDSA, isEd25519},
}

// saltOfHash is an RSASSA-PSS method whose salt is as long as its hash, as RFC 7518 §3.5 wants it.
// golang-jwt alone verifies a salt of any length.
func saltOfHash(method *jwt.SigningMethodRSAPSS) jwt.SigningMethod {
	strict := *method
	strict.VerifyOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	return &strict
}

// ProofAlgorithms are those that the proof of a client may be signed with.
func ProofAlgorithms() []string { return slices.Sorted(maps.Keys(proofAlgorithms)) }

// publicMembers are what a public key consists of, by its kty: what its thumbprint is of as
// well (RFC 7638 §3.2, RFC 8037 §2).
var publicMembers = map[string][]string{
	"EC":  {"crv", "kty", "x", "y"},
	"OKP": {"crv", "kty", "x"},
	"RSA": {"e", "kty", "n"},
}

// privateMembers are of a private or a symmetric key (RFC 7518 §6): whoever sends one has
// given it away (RFC 9449 §4.3, 7).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// proofKey reads the public key of a proof. Members that say where another key or certificate
// is to be had are not looked at.
func proofKey(algorithm string, jwk map[string]any) (public any, thumbprint string, err error) {
	wanted, known := proofAlgorithms[algorithm]
	if !known {
		return nil, "", ErrProofAlgorithm
	}
	for name := range jwk {
		if slices.Contains(privateMembers, strings.ToLower(name)) {
			return nil, "", ErrProofKey
		}
	}
	key, ok := publicKey(jwk)
	if !ok {
		return nil, "", ErrProofKey
	}
	if said, given := jwk["alg"]; !wanted.fits(key.Key) || (given && said != algorithm) {
		return nil, "", ErrProofAlgorithm
	}
	if !verifies(jwk) {
		return nil, "", ErrProofKey
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, "", ErrProofKey
	}
	return key.Key, base64.RawURLEncoding.EncodeToString(sum), nil
}

// verifies tells whether a key may be used to verify signatures, by what it says of its use and its
// operations (RFC 7517 §4.2 and §4.3). One that says neither may.
func verifies(jwk map[string]any) bool {
	if use, given := jwk["use"]; given && use != "sig" {
		return false
	}
	said, given := jwk["key_ops"]
	if !given {
		return true
	}
	operations, _ := said.([]any)
	return slices.Contains(operations, any("verify"))
}

// publicKey reads the members of a public key alone. It must be written as it would be
// again: of a number with zeros before it, another has another thumbprint.
func publicKey(jwk map[string]any) (*jose.JSONWebKey, bool) {
	kty, _ := jwk["kty"].(string)
	members := map[string]string{}
	for _, name := range publicMembers[kty] {
		members[name], _ = jwk[name].(string)
	}
	raw, err := json.Marshal(members)
	if err != nil || len(members) == 0 {
		return nil, false
	}
	key := &jose.JSONWebKey{}
	if err := key.UnmarshalJSON(raw); err != nil || !sound(key.Key) {
		return nil, false
	}
	again, err := key.MarshalJSON()
	written := map[string]string{}
	if err != nil || json.Unmarshal(again, &written) != nil {
		return nil, false
	}
	return key, maps.Equal(members, written)
}

// Sizes of RSA keys: those that an issuer's own may have. A longer one keeps a replica busy,
// and with a smaller exponent signatures were forged before.
const (
	minRSABits     = 2048
	maxRSABits     = 8192
	minRSAExponent = 65537
)

// sound is what go-jose does not ask of a key: it has seen that points are on their curves.
func sound(public any) bool {
	key, ok := public.(*rsa.PublicKey)
	return !ok || (minRSABits <= key.N.BitLen() && key.N.BitLen() <= maxRSABits && key.N.Bit(0) == 1 && key.E >= minRSAExponent && key.E%2 == 1)
}

func onCurve(curve elliptic.Curve) func(any) bool {
	return func(public any) bool {
		key, ok := public.(*ecdsa.PublicKey)
		return ok && key.Curve == curve
	}
}

func isRSA(public any) bool {
	_, ok := public.(*rsa.PublicKey)
	return ok
}

func isEd25519(public any) bool {
	_, ok := public.(ed25519.PublicKey)
	return ok
}

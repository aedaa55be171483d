package dpop

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
)

// algorithms are the accepted signature algorithms of proofs, with the type of key of each. All are asymmetric (RFC
// 9449 §4.3, 5), and token.VerifySignature knows them. Ed25519 is the name in RFC 9864 for EdDSA with an Ed25519 key;
// clients send either name.
var algorithms = map[string]func(public any) bool{
	"ES256":   onCurve(elliptic.P256()),
	"ES384":   onCurve(elliptic.P384()),
	"RS256":   isRSA,
	"PS256":   isRSA,
	"EdDSA":   isEd25519,
	"Ed25519": isEd25519,
}

// Algorithms returns the accepted signature algorithms of proofs, sorted.
func Algorithms() []string { return slices.Sorted(maps.Keys(algorithms)) }

// publicMembers are the members of a public key, by its kty. The thumbprint consists of the same
// members (RFC 7638 §3.2, RFC 8037 §2).
var publicMembers = map[string][]string{
	"EC":  {"crv", "kty", "x", "y"},
	"OKP": {"crv", "kty", "x"},
	"RSA": {"e", "kty", "n"},
}

// privateMembers are the members of a private or symmetric key (RFC 7518 §6): a client that sends one
// has disclosed it (RFC 9449 §4.3, 7).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// clientKey returns the public key of a proof. It ignores members that refer to another key or
// certificate.
func clientKey(algorithm string, jwk map[string]any) (public any, thumbprint string, err error) {
	fits, known := algorithms[algorithm]
	if !known {
		return nil, "", ErrAlgorithm
	}
	for name := range jwk {
		if slices.Contains(privateMembers, strings.ToLower(name)) {
			return nil, "", ErrKey
		}
	}
	key, ok := publicKey(jwk)
	if !ok {
		return nil, "", ErrKey
	}
	if said, given := jwk["alg"]; !fits(key.Key) || (given && said != algorithm) {
		return nil, "", ErrAlgorithm
	}
	if !verifies(jwk) {
		return nil, "", ErrKey
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, "", ErrKey
	}
	return key.Key, base64.RawURLEncoding.EncodeToString(sum), nil
}

// verifies reports whether a key can verify signatures, by its use and its operations (RFC 7517 §4.2
// and §4.3). A key without these members can.
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

// publicKey returns the key of the public members. Their encoding must be canonical: a number with
// leading zeros has another thumbprint.
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

// Sizes of RSA keys, as for an issuer's signing keys. A longer key takes too much CPU time,
// and with a smaller exponent signatures have been forged.
const (
	minRSABits     = 2048
	maxRSABits     = 8192
	minRSAExponent = 65537
)

// sound makes the checks that go-jose does not: go-jose only checks that points are on their curves.
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

package token

import (
	"crypto/rsa"

	"github.com/golang-jwt/jwt/v5"
)

// clientMethods are the signature algorithms of clients, by alg. Ed25519 is the name in RFC 9864 for EdDSA with an
// Ed25519 key.
var clientMethods = map[string]jwt.SigningMethod{
	"ES256":   jwt.SigningMethodES256,
	"ES384":   jwt.SigningMethodES384,
	"RS256":   jwt.SigningMethodRS256,
	"PS256":   saltOfHash(jwt.SigningMethodPS256),
	"EdDSA":   jwt.SigningMethodEdDSA,
	"Ed25519": jwt.SigningMethodEdDSA,
}

// saltOfHash returns an RSASSA-PSS method with a salt as long as the hash, as RFC 7518 §3.5 requires.
// The methods of golang-jwt accept a salt of any length.
func saltOfHash(method *jwt.SigningMethodRSAPSS) jwt.SigningMethod {
	strict := *method
	strict.VerifyOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	return &strict
}

// VerifySignature verifies a signature by a key that a client brought, as in a DPoP proof. It returns ErrSignature if
// the signature is not by the key, or if the algorithm is unknown or not one for the key. The caller decides which
// keys it accepts.
func VerifySignature(algorithm string, public any, signed string, signature []byte) error {
	method, known := clientMethods[algorithm]
	if !known || method.Verify(signed, signature, public) != nil {
		return ErrSignature
	}
	return nil
}

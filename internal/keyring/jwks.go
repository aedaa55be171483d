package keyring

import (
	"crypto"
	"encoding/base64"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"
)

// PublicJWKS returns the JWK Set (RFC 7517 §5) of the access ring, for publication: the public keys of
// all states with kid, alg and use "sig", in the order of Keys. It contains Pending keys, so that verifiers
// have them before they sign, and Retiring keys, so that their tokens stay verifiable. It does not contain the
// refresh ring, so that no verifier of access tokens can accept a refresh token.
func (r *Rings) PublicJWKS() jose.JSONWebKeySet {
	keys := []jose.JSONWebKey{}
	for _, key := range r.of(Access) {
		keys = append(keys, jose.JSONWebKey{
			Key:       key.public,
			KeyID:     key.ID,
			Algorithm: string(key.Algorithm),
			Use:       "sig",
		})
	}
	return jose.JSONWebKeySet{Keys: keys}
}

// thumbprint is the SHA-256 JWK thumbprint of a public key (RFC 7638 §3) in base64url without padding.
func thumbprint(public crypto.PublicKey) (string, error) {
	key := jose.JSONWebKey{Key: public}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("keyring: thumbprint of a %T: %w", public, err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

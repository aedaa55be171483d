package keyring

import (
	"crypto"
	"encoding/base64"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"
)

// PublicJWKS returns the JWK Set (RFC 7517 §5) of the access ring, for anybody to fetch: the public keys of
// all states with kid, alg and use "sig", in the order of Keys. Pending keys are in it so that verifiers
// know them before they sign, Retiring ones so that what they signed stays verifiable. The refresh ring
// is not, so that no verifier of access tokens can ever accept a refresh token.
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

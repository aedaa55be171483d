package keyring

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
)

// derivedInfo is the prefix of the info of every derived secret (RFC 5869 §3.2). It separates these
// secrets from those that another use of the same key derives.
const derivedInfo = "refreshkeys.dev/derived/"

// Derive returns a secret of 32 bytes that depends only on the private key and the purpose
// (HKDF with SHA-256, RFC 5869). Every replica with the ring derives the same secret, so it is not
// stored. It reveals neither the key nor the secret of another purpose. Cache the result: it is
// expensive for RSA keys.
func (k *Key) Derive(purpose string) ([]byte, error) {
	if k == nil || k.private == nil {
		return nil, errNoPrivateKey
	}
	// PKCS #8 supports all kinds of key, and its encoding of a key is deterministic.
	der, err := x509.MarshalPKCS8PrivateKey(k.private())
	if err != nil {
		return nil, fmt.Errorf("keyring: derive: %w", err)
	}
	return hkdf.Key(sha256.New, der, nil, derivedInfo+purpose, sha256.Size)
}

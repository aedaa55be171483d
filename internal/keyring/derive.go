package keyring

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
)

// derivedInfo begins the info of every derived secret (RFC 5869 §3.2), so that none is what
// another use of the same key would derive.
const derivedInfo = "refreshkeys.dev/derived/"

// Derive returns a secret of 32 bytes that follows from the private key and the purpose alone
// (HKDF with SHA-256, RFC 5869): whoever has the ring has the secret, and nothing has to be
// stored or shared for it. Neither the key nor the secret of another purpose can be told from
// it. Keep what it returns rather than asking again: it is not cheap for RSA keys.
func (k *Key) Derive(purpose string) ([]byte, error) {
	if k == nil || k.private == nil {
		return nil, errNoPrivateKey
	}
	// PKCS #8 is one form for all kinds of key, and always the same for one key.
	der, err := x509.MarshalPKCS8PrivateKey(k.private())
	if err != nil {
		return nil, fmt.Errorf("keyring: derive: %w", err)
	}
	return hkdf.Key(sha256.New, der, nil, derivedInfo+purpose, sha256.Size)
}

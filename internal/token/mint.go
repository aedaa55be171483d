package token

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// ErrNotReproducible says that signing the content again does not give the token on record.
var ErrNotReproducible = errors.New("the content on record does not give the token on record")

// HashPrefix begins the hash of a token and names how it is made.
const HashPrefix = "sha256:"

// Hash is the hash by which a token is known where its text must not be: of the compact
// form, in lower-case hex.
func Hash(compact string) string {
	sum := sha256.Sum256([]byte(compact))
	return HashPrefix + hex.EncodeToString(sum[:])
}

// Mint signs a payload. The same payload and key give the same token, always.
func Mint(key *keyring.Key, typ Type, payload []byte) (string, error) {
	if key.Use != ringOf(typ) {
		return "", fmt.Errorf("key %s is of the %s ring, which does not sign %s", key.ID, key.Use, typ)
	}
	unsigned := &jwt.Token{
		Header: map[string]any{"typ": string(typ), "alg": string(key.Algorithm), "kid": key.ID},
		Claims: canonicalClaims{payload: payload},
		Method: method{key.Algorithm},
	}
	return unsigned.SignedString(key)
}

// Remake signs a refresh token's payload again, and returns the token only if it is the
// one on record. Callers have checked already that the payload names the right object.
func Remake(key *keyring.Key, payload []byte, hash string) (string, error) {
	compact, err := Mint(key, Refresh, payload)
	if err != nil {
		return "", err
	}
	if Hash(compact) != hash {
		return "", ErrNotReproducible
	}
	return compact, nil
}

func ringOf(typ Type) keyring.Use {
	if typ == Access {
		return keyring.Access
	}
	return keyring.Refresh
}

// canonicalClaims hands golang-jwt a payload as it is.
type canonicalClaims struct {
	jwt.Claims
	payload []byte
}

func (c canonicalClaims) MarshalJSON() ([]byte, error) { return c.payload, nil }

// method is a jwt.SigningMethod over our keys: golang-jwt's own ECDSA is randomised, and
// the signatures here must be reproducible (RFC 6979).
type method struct{ algorithm keyring.Algorithm }

func (m method) Alg() string { return string(m.algorithm) }

func (m method) Sign(signed string, key any) ([]byte, error) {
	k, ok := key.(*keyring.Key)
	if !ok || k.Algorithm != m.algorithm {
		return nil, jwt.ErrInvalidKeyType
	}
	return k.Sign([]byte(signed))
}

func (m method) Verify(signed string, signature []byte, key any) error {
	k, ok := key.(*keyring.Key)
	if !ok || k.Algorithm != m.algorithm {
		return jwt.ErrInvalidKeyType
	}
	return k.Verify([]byte(signed), signature)
}

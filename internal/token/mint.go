package token

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/refreshkeys/refreshkeys/internal/canonical"
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
	header := &canonical.Object{}
	header.Text("alg", string(key.Algorithm))
	header.Text("kid", key.ID)
	header.Text("typ", string(typ))
	// The compact serialisation (RFC 7515 §7.1). golang-jwt's would sign at random, where signatures
	// here must be reproducible (RFC 6979), and would encode and check again what is canonical already.
	compact := base64.RawURLEncoding.AppendEncode(make([]byte, 0, compactLength(len(payload))), header.JSON())
	compact = base64.RawURLEncoding.AppendEncode(append(compact, '.'), payload)
	signature, err := key.Sign(compact)
	if err != nil {
		return "", err
	}
	compact = base64.RawURLEncoding.AppendEncode(append(compact, '.'), signature)
	return string(compact), nil
}

// compactLength is about how long a token is that holds a payload.
func compactLength(payload int) int {
	// The header and the signature of ES256.
	const rest = 256
	return base64.RawURLEncoding.EncodedLen(payload) + rest
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

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

// ErrNotReproducible is returned if signing the content again does not give the token on record.
var ErrNotReproducible = errors.New("the content on record does not give the token on record")

// HashPrefix is the prefix of the hash of a token and names the algorithm.
const HashPrefix = "sha256:"

// Hash returns the hash of a token's compact form, in lower-case hex. It identifies a token where the
// token itself must not be stored.
func Hash(compact string) string {
	sum := sha256.Sum256([]byte(compact))
	return HashPrefix + hex.EncodeToString(sum[:])
}

// Mint signs a payload. The same payload and key always give the same token.
func Mint(key *keyring.Key, typ Type, payload []byte) (string, error) {
	if key.Use != ringOf(typ) {
		return "", fmt.Errorf("key %s is of the %s ring, which does not sign %s", key.ID, key.Use, typ)
	}
	return sign(key, typ, payload)
}

func sign(key *keyring.Key, typ Type, payload []byte) (string, error) {
	header := &canonical.Object{}
	header.Text("alg", string(key.Algorithm))
	header.Text("kid", key.ID)
	header.Text("typ", string(typ))
	// The compact serialisation (RFC 7515 §7.1). The one of golang-jwt signs with random values, but
	// signatures must be reproducible here (RFC 6979). It also encodes the canonical payload again.
	compact := base64.RawURLEncoding.AppendEncode(make([]byte, 0, compactLength(len(payload))), header.JSON())
	compact = base64.RawURLEncoding.AppendEncode(append(compact, '.'), payload)
	signature, err := key.Sign(compact)
	if err != nil {
		return "", err
	}
	compact = base64.RawURLEncoding.AppendEncode(append(compact, '.'), signature)
	return string(compact), nil
}

// compactLength returns the approximate length of a token with a payload.
func compactLength(payload int) int {
	// The header and the signature of ES256.
	const rest = 256
	return base64.RawURLEncoding.EncodedLen(payload) + rest
}

// Remake signs a refresh token's payload again, and returns the token only if it is the
// one on record. Callers must first check that the payload names the right object.
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

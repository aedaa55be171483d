package token

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/canonical"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// ID is the typ of an id_token (OpenID Connect Core §2). Parse accepts none: an id_token is for the client, and no endpoint of the
// service takes one of its own.
const ID Type = "JWT"

// IDClaims are the claims of an id_token. Times are whole seconds.
type IDClaims struct {
	Issuer  string
	Subject string
	// Audience is the client_id.
	Audience  string
	IssuedAt  time.Time
	ExpiresAt time.Time
	// AuthTime is when the person signed in.
	AuthTime time.Time
	// Nonce is that of the request; empty for none.
	Nonce string
	// Access is the access token of the same answer, of which at_hash is made.
	Access string
	// Extra are the claims of the login by name, each as canonical JSON.
	Extra map[string]string
}

// idRegistered are the claims of an id_token that no claim of a login replaces.
var idRegistered = []string{"iss", "sub", "aud", "exp", "iat", "nbf", "auth_time", "nonce", "at_hash", "acr", "amr", "azp", "jti", "sid", "cnf", "scope", "client_id"}

// MintID signs an id_token with a key of the access ring.
func MintID(key *keyring.Key, c *IDClaims) (string, error) {
	if key.Use != keyring.Access {
		return "", fmt.Errorf("key %s is of the %s ring, which does not sign %s", key.ID, key.Use, ID)
	}
	payload := canonical.NewObject(payloadMembers+len(c.Extra), payloadLength)
	payload.Text("iss", c.Issuer)
	payload.Text("sub", c.Subject)
	payload.Text("aud", c.Audience)
	payload.Number("iat", c.IssuedAt.Unix())
	payload.Number("exp", c.ExpiresAt.Unix())
	payload.Number("auth_time", c.AuthTime.Unix())
	if c.Nonce != "" {
		payload.Text("nonce", c.Nonce)
	}
	payload.Text("at_hash", accessHash(key.Algorithm, c.Access))
	for name, value := range c.Extra {
		if isOneOf(idRegistered, name) {
			continue
		}
		if err := payload.Raw(name, value); err != nil {
			return "", fmt.Errorf("claim %q: %w", name, err)
		}
	}
	return sign(key, ID, payload.JSON())
}

// accessHash returns at_hash: the left half of the hash of an access token, by the hash function of the algorithm (OpenID Connect
// Core §3.1.3.6); that of Ed25519 is SHA-512.
func accessHash(algorithm keyring.Algorithm, access string) string {
	var sum []byte
	switch algorithm {
	case keyring.ES384:
		full := sha512.Sum384([]byte(access))
		sum = full[:]
	case keyring.EdDSA:
		full := sha512.Sum512([]byte(access))
		sum = full[:]
	default:
		full := sha256.Sum256([]byte(access))
		sum = full[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

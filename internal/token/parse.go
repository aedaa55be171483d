package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/refreshkeys/refreshkeys/internal/canonical"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// MaxLength is the largest accepted length of a token, in bytes.
const MaxLength = 8 << 10

// Errors of Parse, matched with errors.Is. None contains any part of the token.
var (
	// ErrMalformed: it is not a token of the expected type in the form of this package.
	ErrMalformed = errors.New("the token is malformed")
	// ErrUnknownKey: the ring does not contain the signing key that the token names. If the ring can be
	// stale, read it again.
	ErrUnknownKey = errors.New("the token names a signing key that is not in the ring")
	// ErrSignature: the signature is not by the signing key that the token names.
	ErrSignature = errors.New("the token's signature is not valid")
	// ErrExpired: the token has expired, or is not valid yet.
	ErrExpired = errors.New("the token is not valid at this time")
	// ErrIssuer: another issuer issued the token.
	ErrIssuer = errors.New("the token is of another issuer")
)

// Parse verifies a token and returns its claims: of the given type, signed by a key of the
// ring for that type, of this issuer (compared byte for byte, RFC 8414 §3.3) and within its
// time, allowing for Skew. The token selects only the kid: the algorithm is the key's own
// (RFC 8725 §3.1), and a header with members other than typ, alg and kid is refused, so
// that jwk, jku, x5u, x5c and crit have no effect.
func Parse(compact string, typ Type, rings *keyring.Rings, issuer string, now time.Time) (*Claims, error) {
	key, err := keyFor(compact, typ, rings)
	if err != nil {
		return nil, err
	}
	claims := &verifiedClaims{}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{string(key.Algorithm)}),
		jwt.WithStrictDecoding(),
		jwt.WithExpirationRequired(),
		jwt.WithIssuer(issuer),
		jwt.WithLeeway(Skew),
		jwt.WithTimeFunc(func() time.Time { return now }),
	)
	_, err = parser.ParseWithClaims(compact, claims, func(*jwt.Token) (any, error) { return key.Public(), nil })
	if err != nil {
		return nil, translate(err)
	}
	if !ofType(&claims.Claims, typ) {
		return nil, ErrMalformed
	}
	claims.KeyID = key.ID
	return &claims.Claims, nil
}

// ofType reports whether claims can be those of a token of the type. A refresh token contains its revision, which
// access tokens of earlier releases lack. No access token contains the ServiceAccount that it is bound to.
func ofType(claims *Claims, typ Type) bool {
	if typ == Refresh {
		return claims.Object.Revision != 0
	}
	return claims.ServiceAccount == ""
}

// keyFor checks the structure of a token before it decodes any part (see CVE-2025-30204), then its
// header, and returns the signing key that the header names.
func keyFor(compact string, typ Type, rings *keyring.Rings) (*keyring.Key, error) {
	if !ThreeParts(compact) {
		return nil, ErrMalformed
	}
	encoded, _, _ := strings.Cut(compact, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, ErrMalformed
	}
	value, err := canonical.Decode(raw)
	header, ok := value.(map[string]any)
	if err != nil || !ok || len(header) != 3 {
		return nil, ErrMalformed
	}
	kid, ok := header["kid"].(string)
	if !ok || header["typ"] != string(typ) {
		return nil, ErrMalformed
	}
	key, found := rings.Lookup(ringOf(typ), kid)
	if !found {
		return nil, ErrUnknownKey
	}
	if header["alg"] != string(key.Algorithm) {
		return nil, ErrMalformed
	}
	return key, nil
}

// Named returns the object that a token names. It does not verify the token.
func Named(compact string) (Object, bool) {
	parts := strings.Split(compact, ".")
	if len(compact) > MaxLength || len(parts) != 3 {
		return Object{}, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return Object{}, false
	}
	claims, err := ParsePayload(raw)
	if err != nil {
		return Object{}, false
	}
	return claims.Object, true
}

func translate(err error) error {
	switch {
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return ErrSignature
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet):
		return ErrExpired
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return ErrIssuer
	default:
		return ErrMalformed
	}
}

// verifiedClaims adapts Claims for golang-jwt; only ParsePayload parses them.
type verifiedClaims struct{ Claims }

var _ json.Unmarshaler = (*verifiedClaims)(nil)

func (c *verifiedClaims) UnmarshalJSON(raw []byte) error {
	parsed, err := ParsePayload(raw)
	if err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	c.Claims = *parsed
	return nil
}

func (c *verifiedClaims) GetExpirationTime() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(c.ExpiresAt), nil
}

func (c *verifiedClaims) GetIssuedAt() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(c.IssuedAt), nil
}

func (c *verifiedClaims) GetNotBefore() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(c.IssuedAt.Add(-Skew)), nil
}

func (c *verifiedClaims) GetIssuer() (string, error)  { return c.Issuer, nil }
func (c *verifiedClaims) GetSubject() (string, error) { return c.Subject, nil }

func (c *verifiedClaims) GetAudience() (jwt.ClaimStrings, error) {
	return jwt.ClaimStrings{c.Audience}, nil
}

// Made returns the claims of a token that this process signed. It does not verify the token.
func Made(compact string) (*Claims, error) {
	_, rest, _ := strings.Cut(compact, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil, ErrMalformed
	}
	return ParsePayload(raw)
}

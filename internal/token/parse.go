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

// MaxLength is the longest token that is looked at, in bytes.
const MaxLength = 8 << 10

// Errors of Parse, matched with errors.Is. None holds any part of the token.
var (
	// ErrMalformed says that it is not a token of the wanted type as this package makes them.
	ErrMalformed = errors.New("the token is malformed")
	// ErrUnknownKey says that the ring does not hold the key that the token names. A ring that may be
	// out of date is worth reading again.
	ErrUnknownKey = errors.New("the token names a signing key that is not in the ring")
	// ErrSignature says that the signature is not by the key that the token names.
	ErrSignature = errors.New("the token's signature is not valid")
	// ErrExpired says that the token's time is over, or has not begun.
	ErrExpired = errors.New("the token is not valid at this time")
	// ErrIssuer says that the token is another issuer's.
	ErrIssuer = errors.New("the token is of another issuer")
)

// Parse verifies a token and returns its claims: of the given type, signed by a key of the
// ring for that type, of this issuer (compared byte for byte, RFC 8414 §3.3) and within its
// time, allowing for Skew. What a token says of itself chooses nothing but the kid: the
// algorithm is the key's own (RFC 8725 §3.1), and a header with anything beyond typ, alg
// and kid is refused, so that jwk, jku, x5u, x5c and crit are never followed.
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

// ofType tells whether claims are such as a token of the type has. A refresh token says its revision, which
// access tokens of earlier releases do not. No access token says which ServiceAccount it is bound to.
func ofType(claims *Claims, typ Type) bool {
	if typ == Refresh {
		return claims.Object.Revision != 0
	}
	return claims.ServiceAccount == ""
}

// keyFor checks the shape of a token before any of it is decoded at length (the lesson of
// CVE-2025-30204), then its header, and returns the key that it names.
func keyFor(compact string, typ Type, rings *keyring.Rings) (*keyring.Key, error) {
	if len(compact) > MaxLength || strings.Count(compact, ".") != 2 || strings.ContainsFunc(compact, outsideAlphabet) {
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

// Named returns the object that a token names, without verifying the token. It proves nothing.
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

func outsideAlphabet(r rune) bool {
	switch {
	case 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-', r == '_', r == '.':
		return false
	default:
		return true
	}
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

// verifiedClaims lets golang-jwt validate Claims, which are read by ParsePayload alone.
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

// Made reads the claims of a token that this process has just made. It verifies nothing.
func Made(compact string) (*Claims, error) {
	_, rest, _ := strings.Cut(compact, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil, ErrMalformed
	}
	return ParsePayload(raw)
}

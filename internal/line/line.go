// Package line recreates the current token of a refresh key's line from its status, and signs the
// next one. The controllers and the token service share it, so that both recreate the same
// token.
package line

import (
	"errors"
	"fmt"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/canonical"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// Recorded returns the claims in status.content. It returns an error unless they name this object and this
// line, so that no other content is signed again.
func Recorded(key *v1alpha1.JWTRefreshKey) (*token.Claims, error) {
	status := &key.Status
	if status.Content == nil || status.CreatedAt == nil || status.ExpiresAt == nil {
		return nil, errors.New("the line in status is incomplete")
	}
	claims, err := token.ParsePayload(status.Content.Raw)
	if err != nil {
		return nil, fmt.Errorf("status.content cannot be read: %w", err)
	}
	if !Names(claims, key) || claims.Object.Revision != status.Revision || claims.JTI != status.JTI ||
		!claims.ExpiresAt.Equal(status.ExpiresAt.Time) || !claims.IssuedAt.Equal(status.CreatedAt.Time) {
		return nil, errors.New("status.content is not that of this key's current token")
	}
	return claims, nil
}

// Names reports whether claims are of this refresh key.
func Names(claims *token.Claims, key *v1alpha1.JWTRefreshKey) bool {
	return claims.Object.Namespace == key.Namespace && claims.Object.Name == key.Name &&
		claims.Object.UID == string(key.UID) && claims.ClientID == lifecycle.DefaultSubject(key.Namespace, key.Name)
}

// Remake signs the current token again, from the result of Recorded, and returns it only if
// it is the one on record.
func Remake(key *v1alpha1.JWTRefreshKey, signer *keyring.Key) (string, error) {
	payload, err := canonical.JSON(key.Status.Content.Raw)
	if err != nil {
		return "", err
	}
	return token.Remake(signer, payload, key.Status.TokenHash)
}

// Held returns the content of a token, for a decision on its refresh key.
func Held(claims *token.Claims) *lifecycle.Held {
	return &lifecycle.Held{
		Terms: lifecycle.Terms{
			Issuer:         claims.Issuer,
			Audience:       claims.Audience,
			Subject:        claims.Subject,
			Scope:          claims.Scope,
			Claims:         claims.Extra,
			JWKThumbprint:  claims.JWKThumbprint,
			ServiceAccount: claims.ServiceAccount,
		},
		IssuedAt:  claims.IssuedAt,
		ExpiresAt: claims.ExpiresAt,
	}
}

// Claims returns the claims of a token of the refresh key, without its identity and its times.
func Claims(key *v1alpha1.JWTRefreshKey, terms lifecycle.Terms) *token.Claims {
	return &token.Claims{
		Issuer:         terms.Issuer,
		Audience:       terms.Audience,
		Subject:        terms.Subject,
		Scope:          terms.Scope,
		Extra:          terms.Claims,
		JWKThumbprint:  terms.JWKThumbprint,
		ServiceAccount: terms.ServiceAccount,
		ClientID:       lifecycle.DefaultSubject(key.Namespace, key.Name),
		Object:         token.Object{Namespace: key.Namespace, Name: key.Name, UID: string(key.UID)},
	}
}

// Mint returns a new refresh token for a plan, and its record for status.
func Mint(key *v1alpha1.JWTRefreshKey, mint *lifecycle.Mint, jti string, signer *keyring.Key) (string, lifecycle.Token, error) {
	claims := Claims(key, mint.Terms)
	claims.JTI, claims.KeyID = jti, signer.ID
	claims.IssuedAt, claims.ExpiresAt = mint.CreatedAt, mint.ExpiresAt
	claims.Object.Revision = mint.Revision
	payload, err := claims.Payload()
	if err != nil {
		return "", lifecycle.Token{}, err
	}
	compact, err := token.Mint(signer, token.Refresh, payload)
	return compact, Record(claims, payload, compact), err
}

// Record returns the fields of a token that the line stores.
func Record(claims *token.Claims, payload []byte, compact string) lifecycle.Token {
	return lifecycle.Token{
		Revision:  claims.Object.Revision,
		JTI:       claims.JTI,
		Hash:      token.Hash(compact),
		KeyID:     claims.KeyID,
		CreatedAt: claims.IssuedAt,
		ExpiresAt: claims.ExpiresAt,
		Content:   payload,
	}
}

// MintAccess returns a new access token for a refresh key; it never expires after the refresh token. It has the claims
// and the revision of the refresh token that it is issued from. It does not contain a binding to a ServiceAccount,
// which only the token endpoint checks.
func MintAccess(claims token.Claims, jti string, now time.Time, lifetime time.Duration, end time.Time, signer *keyring.Key) (string, time.Time, error) {
	claims.JTI, claims.KeyID = jti, signer.ID
	claims.ServiceAccount = ""
	claims.IssuedAt = now.UTC().Truncate(time.Second)
	claims.ExpiresAt = claims.IssuedAt.Add(lifetime).Truncate(time.Second)
	if end.Before(claims.ExpiresAt) {
		claims.ExpiresAt = end.UTC().Truncate(time.Second)
	}
	payload, err := claims.Payload()
	if err != nil {
		return "", time.Time{}, err
	}
	compact, err := token.Mint(signer, token.Access, payload)
	return compact, claims.ExpiresAt, err
}

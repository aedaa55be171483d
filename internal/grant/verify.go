package grant

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// errGrant returns invalid_grant, on which a client discards its token. It has no details, so that the holder of
// an invalid token learns nothing about the refresh key.
func errGrant() *oauth.Error {
	return oauth.Refuse(oauth.InvalidGrant, "The refresh token is expired, revoked, retired or not from this issuer.")
}

// verifyRefresh verifies a refresh token, and reads the signing keys again for an unknown kid.
func (s *Fresh) verifyRefresh(ctx context.Context, issuer *registry.Issuer, compact string) (*token.Claims, *registry.Issuer, error) {
	sum := sha256.Sum256([]byte(compact))
	if claims, ok := s.verified.Get(sum); ok && s.stillGood(claims, issuer) {
		s.hits.Add(1)
		return claims, issuer, nil
	}
	s.misses.Add(1)
	claims, issuer, err := s.parse(ctx, issuer, compact, token.Refresh)
	if err == nil {
		s.verified.Add(sum, claims)
	}
	return claims, issuer, err
}

// stillGood reports whether a token with a verified signature is still acceptable.
func (s *Service) stillGood(claims *token.Claims, issuer *registry.Issuer) bool {
	now := s.clock.Now()
	_, known := issuer.Rings.Lookup(keyring.Refresh, claims.KeyID)
	return known && claims.Issuer == issuer.URL && now.Before(claims.ExpiresAt) && !now.Before(claims.IssuedAt)
}

// parse verifies a token of the given type. If the signing keys are unknown, it returns ErrUnavailable.
func (s *Fresh) parse(ctx context.Context, issuer *registry.Issuer, compact string, typ token.Type) (*token.Claims, *registry.Issuer, error) {
	claims, err := token.Parse(compact, typ, issuer.Rings, issuer.URL, s.clock.Now())
	if errors.Is(err, token.ErrUnknownKey) {
		_, kid := token.Claimed(compact)
		if issuer, err = s.registry.IssuerReread(ctx, issuer, kid); err != nil {
			return nil, nil, err
		}
		claims, err = token.Parse(compact, typ, issuer.Rings, issuer.URL, s.clock.Now())
	}
	if issuer.Rings == nil {
		return nil, nil, fmt.Errorf("%w: the signing keys of %s are not known", upstream.ErrUnavailable, issuer.Name)
	}
	if err == nil && !namesOneKey(claims) {
		return nil, issuer, token.ErrMalformed
	}
	return claims, issuer, err
}

// namesOneKey reports whether a token names the same refresh key in client_id and in its own claim, with names
// that are valid in a URL of the API server.
func namesOneKey(claims *token.Claims) bool {
	object := &claims.Object
	return claims.ClientID == lifecycle.DefaultSubject(object.Namespace, object.Name) &&
		len(content.IsPathSegmentName(object.Namespace)) == 0 && len(content.IsPathSegmentName(object.Name)) == 0
}

// keyName returns the name of a token's refresh key.
func keyName(claims *token.Claims) types.NamespacedName {
	return types.NamespacedName{Namespace: claims.Object.Namespace, Name: claims.Object.Name}
}

func presented(claims *token.Claims) lifecycle.Presented {
	return lifecycle.Presented{UID: claims.Object.UID, JTI: claims.JTI, Revision: claims.Object.Revision}
}

// standing returns the refresh key of a token and the token's standing. The view may be outdated, so the API
// server is read before a correctly signed token is refused. Only a final refusal is taken from the view.
func (s *Fresh) standing(ctx context.Context, claims *token.Claims) (*v1alpha1.JWTRefreshKey, lifecycle.Standing, error) {
	name, now := keyName(claims), s.clock.Now()
	if key := s.registry.Key(name); key != nil {
		standing := lifecycle.StandingOf(key, presented(claims), now)
		if standing.Accepted() || refusedForGood(key, claims) {
			return key, standing, nil
		}
	}
	key, err := s.registry.KeyLive(ctx, name, claims.JTI)
	if err != nil || key == nil {
		return nil, lifecycle.StandingRefused, err
	}
	return key, lifecycle.StandingOf(key, presented(claims), now), nil
}

// refusedForGood reports whether the refusal of a token is final: its refresh key is being deleted, was revoked
// after the token was issued, or its line has ended since. Any other refusal can be undone: a revoked refresh key
// may be active again with later revisions, and an end may have been moved.
func refusedForGood(key *v1alpha1.JWTRefreshKey, claims *token.Claims) bool {
	revoked := key.Spec.Revoked || key.Status.RevokedAt != nil
	known := 0 < claims.Object.Revision && claims.Object.Revision <= key.Status.Revision
	ended := lifecycle.BelowFirst(key, claims.Object.Revision)
	return string(key.UID) == claims.Object.UID && (key.DeletionTimestamp != nil || (revoked && known) || ended)
}

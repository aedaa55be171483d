package grant

import (
	"context"
	"errors"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// Revoke is the logout of RFC 7009: after it returns, the line of the token has ended. A token that is malformed,
// unknown or no longer accepted revokes nothing and is not an error (RFC 7009 §2.2). An access token cannot be
// revoked. A logout requires no proof; an assertion that is sent with a valid token must be valid, too.
func (s *Service) Revoke(ctx context.Context, issuer *registry.Issuer, compact, assertion string, outcome *Outcome) error {
	if compact == "" {
		return oauth.Refuse(oauth.InvalidRequest, "token is missing.")
	}
	from, err := s.fresh()
	if err != nil {
		return err
	}
	return from.revoke(ctx, issuer, compact, assertion, outcome)
}

func (s *Fresh) revoke(ctx context.Context, issuer *registry.Issuer, compact, assertion string, outcome *Outcome) error {
	claims, issuer, err := s.verifyRefresh(ctx, issuer, compact)
	if errors.Is(err, upstream.ErrUnavailable) {
		return err
	}
	if err != nil {
		if _, _, err := s.parse(ctx, issuer, compact, token.Access); err == nil {
			return oauth.Refuse(oauth.UnsupportedTokenType, "An access token cannot be revoked; revoke the refresh token that it was issued from.")
		}
		return nil
	}
	outcome.of(claims)
	if assertion != "" {
		if _, err := s.clients.Account(ctx, issuer, assertion); err != nil {
			return err
		}
	}
	// A token that revokes nothing costs at most a rate-limited read at the API server.
	if accepted, err := s.revokes(ctx, issuer, claims); err != nil || !accepted {
		return err
	}
	err = s.registry.Revoke(ctx, keyName(claims), v1alpha1.RevokedLogout, func(key *v1alpha1.JWTRefreshKey) bool {
		return s.endedBy(issuer, claims, key)
	})
	if errors.Is(err, registry.ErrLost) {
		return upstream.Unavailable("the refresh key changes too often")
	}
	return err
}

// revokes reports whether a logout with the token ends its line, by the view and at most a rate-limited read.
func (s *Fresh) revokes(ctx context.Context, issuer *registry.Issuer, claims *token.Claims) (bool, error) {
	key, standing, err := s.standing(ctx, claims)
	if err != nil || key == nil {
		return false, err
	}
	return standing.Accepted() || s.endedBy(issuer, claims, key), nil
}

// endedBy reports whether a logout with the token ends the line of the refresh key: it does if the token is
// accepted, or if its holder can exchange it. That includes a bound one-time token that is no longer in status,
// although a logout requires no proof.
func (s *Fresh) endedBy(issuer *registry.Issuer, claims *token.Claims, key *v1alpha1.JWTRefreshKey) bool {
	now := s.clock.Now()
	if lifecycle.StandingOf(key, presented(claims), now).Accepted() {
		return true
	}
	if !lifecycle.OneTime(key) || !lifecycle.Lives(key, claims.Object.UID, now) {
		return false
	}
	answer, err := s.decideOnce(&exchange{issuer: issuer, claims: claims, proven: proven(claims.JWKThumbprint)}, key, true)
	return err == nil && answer.Good()
}

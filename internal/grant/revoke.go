package grant

import (
	"context"
	"errors"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// Revoke is the logout of RFC 7009: the line of the token is over once it returns. A token
// that its key does not stand for any more revokes nothing, and neither does one that is
// malformed or unknown: there is no harm in it (RFC 7009 §2.2). An access token cannot be
// revoked by itself. Whoever gives up a token need not prove anything; an assertion that comes
// along with one that is good must be good too.
func (s *Service) Revoke(ctx context.Context, issuer *registry.Issuer, compact, assertion string, outcome *Outcome) error {
	if compact == "" {
		return oauth.Refuse(oauth.InvalidRequest, "token is missing.")
	}
	if err := s.registry.Fresh(); err != nil {
		return err
	}
	claims, issuer, err := s.verifyRefresh(ctx, issuer, compact)
	if errors.Is(err, registry.ErrUnavailable) {
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
		if _, err := s.account(ctx, issuer, assertion); err != nil {
			return err
		}
	}
	// A token that revokes nothing costs the API server a bounded read at the most, however often it is sent.
	if accepted, err := s.revokes(ctx, issuer, claims); err != nil || !accepted {
		return err
	}
	err = s.registry.Revoke(ctx, keyName(claims), v1alpha1.RevokedLogout, func(key *v1alpha1.JWTRefreshKey) bool {
		return s.endedBy(issuer, claims, key)
	})
	if errors.Is(err, registry.ErrLost) {
		return unavailable("the refresh key changes too often")
	}
	return err
}

// revokes tells whether a token ends its line at a logout, before the API server is asked to record it.
func (s *Service) revokes(ctx context.Context, issuer *registry.Issuer, claims *token.Claims) (bool, error) {
	key, standing, err := s.standing(ctx, claims)
	if err != nil || key == nil {
		return false, err
	}
	return standing.Accepted() || s.endedBy(issuer, claims, key), nil
}

// endedBy tells whether a logout with the token ends the line of the key: where its key stands for it, or where its holder
// can exchange it. That is also so of a one-time token that is bound and no longer on record, by a proof that a logout
// does not ask for.
func (s *Service) endedBy(issuer *registry.Issuer, claims *token.Claims, key *v1alpha1.JWTRefreshKey) bool {
	now := s.clock.Now()
	if registry.StandingOf(key, presented(claims), now).Accepted() {
		return true
	}
	if !lifecycle.OneTime(key) || !registry.Lives(key, claims.Object.UID, now) {
		return false
	}
	answer, err := s.decideOnce(&exchange{issuer: issuer, claims: claims, proven: proven{thumbprint: claims.JWKThumbprint}}, key, true)
	return err == nil && answer.Good()
}

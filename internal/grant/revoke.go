package grant

import (
	"context"
	"errors"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
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
			return oauth.Refuse(oauth.UnsupportedTokenType, "An access token ends by itself; revoke the refresh token it came from.")
		}
		return nil
	}
	outcome.of(claims)
	if assertion != "" {
		if _, err := s.account(ctx, issuer, assertion); err != nil {
			return err
		}
	}
	err = s.registry.Revoke(ctx, keyName(claims), v1alpha1.RevokedLogout, func(key *v1alpha1.JWTRefreshKey) bool {
		return registry.StandingOf(key, presented(claims), s.clock.Now()).Accepted()
	})
	if errors.Is(err, registry.ErrLost) {
		return unavailable("the key was changed again and again")
	}
	return err
}

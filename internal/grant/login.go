package grant

import (
	"context"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/session"
)

// LoginRequest is a request to begin a session, by either login grant.
type LoginRequest struct{ session.Login }

// Answer implements Request: it signs the subject in, begins the session, and returns its first tokens.
func (r *LoginRequest) Answer(ctx context.Context, s *Fresh, issuer *registry.Issuer, outcome *Outcome) (*oauth.TokenAnswer, error) {
	signedIn, err := s.sessions.Authenticate(ctx, issuer, r.Login)
	if err != nil {
		return nil, err
	}
	outcome.Subject = signedIn.Subject
	result, err := s.sessions.Begin(ctx, s.registry, issuer, signedIn, r.Login)
	if err != nil {
		return nil, err
	}
	outcome.of(result.Claims)
	e := &exchange{issuer: issuer, presented: result.Token, claims: result.Claims, key: result.Key, proven: result.Client}
	answer, err := s.accessToken(e, target{result.Claims.Audience, result.Claims.Scope, result.Claims.Extra}, result.Access, outcome)
	if err != nil {
		return nil, err
	}
	answer.IssuedTokenType = r.IssuedTokenType()
	return answer, e.handOut(answer, result.Token, s.clock.Now())
}

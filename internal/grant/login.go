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
	answer, err := s.firstTokens(issuer, result, outcome)
	if err != nil {
		return nil, err
	}
	answer.IssuedTokenType = r.IssuedTokenType()
	return answer, nil
}

// firstTokens returns the tokens of a session that has begun.
func (s *Fresh) firstTokens(issuer *registry.Issuer, begun *session.Result, outcome *Outcome) (*oauth.TokenAnswer, error) {
	e := &exchange{issuer: issuer, presented: begun.Token, claims: begun.Claims, key: begun.Key, proven: begun.Client}
	answer, err := s.accessToken(e, target{begun.Claims.Audience, begun.Claims.Scope, begun.Claims.Extra}, begun.Access, outcome)
	if err != nil {
		return nil, err
	}
	return answer, e.handOut(answer, begun.Token, s.clock.Now())
}

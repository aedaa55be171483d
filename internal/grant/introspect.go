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

// Introspect says whether a token is active (RFC 7662). A refresh token is only where the
// caller says that it means one: a resource server that asks about what it was presented
// with must never be told that a refresh token is good. allowed is asked for the namespace of
// the token's key; a caller that may not ask about it gets the answer for a token that is not
// active, and nothing else (§2.2).
func (s *Service) Introspect(
	ctx context.Context, issuer *registry.Issuer, compact, hint string, allowed func(ctx context.Context, namespace string) error, outcome *Outcome,
) (*oauth.IntrospectionAnswer, error) {
	if compact == "" {
		return nil, oauth.Refuse(oauth.InvalidRequest, "token is missing.")
	}
	if err := s.registry.Fresh(); err != nil {
		return nil, err
	}
	typ := token.Access
	if hint == oauth.HintRefreshToken {
		typ = token.Refresh
	}
	claims, issuer, err := s.parse(ctx, issuer, compact, typ)
	if errors.Is(err, registry.ErrUnavailable) {
		return nil, err
	}
	if err != nil {
		return &oauth.IntrospectionAnswer{}, nil //nolint:nilerr // that it is not good is the answer
	}
	outcome.of(claims)
	if err := allowed(ctx, claims.Object.Namespace); err != nil {
		return withhold(err, outcome)
	}
	active, err := s.active(ctx, issuer, claims, typ)
	if err != nil || !active {
		return &oauth.IntrospectionAnswer{}, err
	}
	answer := &oauth.IntrospectionAnswer{
		Active: true, Scope: claims.Scope, ClientID: claims.ClientID, Subject: claims.Subject, Audience: claims.Audience,
		Issuer: claims.Issuer, JTI: claims.JTI, ExpiresAt: claims.ExpiresAt.Unix(), IssuedAt: claims.IssuedAt.Unix(),
		NotBefore: claims.IssuedAt.Add(-token.Skew).Unix(),
	}
	if typ == token.Access {
		answer.TokenType = oauth.TokenTypeBearer
	}
	if claims.JWKThumbprint != "" {
		answer.Confirmation = &oauth.Confirmation{JWKThumbprint: claims.JWKThumbprint}
		if typ == token.Access {
			answer.TokenType = oauth.TokenTypeDPoP
		}
	}
	return answer, nil
}

// withhold answers a caller that may not ask about the token as if the token were not active, and
// notes the refusal for the logs. Any other error is returned.
func withhold(err error, outcome *Outcome) (*oauth.IntrospectionAnswer, error) {
	var refusal *oauth.Error
	if !errors.As(err, &refusal) || refusal.Code != oauth.InsufficientScope {
		return nil, err
	}
	outcome.Withheld = refusal.Code
	return &oauth.IntrospectionAnswer{}, nil
}

// active tells whether a token is good now. A refresh token is while its key stands for it: a one-time token that
// was used is not, once its retryGrace is over. An access token is while its key stands for the refresh token that
// it was issued from, or has superseded that in the ordinary way.
func (s *Service) active(ctx context.Context, issuer *registry.Issuer, claims *token.Claims, typ token.Type) (bool, error) {
	// The skew that verification allows for is the asker's to grant: here exp is known to be over.
	if !s.clock.Now().Before(claims.ExpiresAt) {
		return false, nil
	}
	if typ == token.Refresh {
		key, standing, err := s.standing(ctx, claims)
		if err == nil && key != nil && lifecycle.OneTime(key) {
			return s.oneTimeExchangeable(ctx, issuer, claims, key)
		}
		return standing.Accepted(), err
	}
	honours := func(key *v1alpha1.JWTRefreshKey) bool {
		return key != nil && registry.Honours(key, claims.Object.UID, claims.Object.Revision, s.clock.Now())
	}
	key := s.registry.Key(keyName(claims))
	if honours(key) || (key != nil && refusedForGood(key, claims)) {
		return honours(key), nil
	}
	// The replica may not know yet that the key has a new token or a later revision.
	key, err := s.registry.KeyLive(ctx, keyName(claims), claims.JTI)
	return honours(key), err
}

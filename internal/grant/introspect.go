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

// Introspect returns whether a token is active (RFC 7662). A refresh token is active only if hint says that the
// token is one. A resource server asks about presented tokens without it, and must never accept a refresh token.
// allowed is called with the namespace of the token's refresh key. A caller without the right to ask gets only the
// answer for an inactive token (§2.2).
func (s *Service) Introspect(
	ctx context.Context, issuer *registry.Issuer, compact, hint string, allowed func(ctx context.Context, namespace string) error, outcome *Outcome,
) (*oauth.IntrospectionAnswer, error) {
	if compact == "" {
		return nil, oauth.Refuse(oauth.InvalidRequest, "token is missing.")
	}
	from, err := s.fresh()
	if err != nil {
		return nil, err
	}
	typ := token.Access
	if hint == oauth.HintRefreshToken {
		typ = token.Refresh
	}
	return from.introspect(ctx, issuer, compact, typ, allowed, outcome)
}

func (s *Fresh) introspect(
	ctx context.Context, issuer *registry.Issuer, compact string, typ token.Type, allowed func(ctx context.Context, namespace string) error, outcome *Outcome,
) (*oauth.IntrospectionAnswer, error) {
	claims, issuer, err := s.parse(ctx, issuer, compact, typ)
	if errors.Is(err, upstream.ErrUnavailable) {
		return nil, err
	}
	if err != nil {
		return &oauth.IntrospectionAnswer{}, nil //nolint:nilerr // the answer is that the token is inactive
	}
	if typ == token.Access && forSessions(claims, issuer) {
		// Only the sessions endpoints accept it, and they do not ask here. No caller may take it for a token of its own.
		return &oauth.IntrospectionAnswer{}, nil
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

// withhold answers a caller without the right to ask as for an inactive token, and records the refusal in outcome
// for the logs. It returns any other error.
func withhold(err error, outcome *Outcome) (*oauth.IntrospectionAnswer, error) {
	var refusal *oauth.Error
	if !errors.As(err, &refusal) || refusal.Code != oauth.InsufficientScope {
		return nil, err
	}
	outcome.Withheld = refusal.Code
	return &oauth.IntrospectionAnswer{}, nil
}

// active reports whether a token is active now. A refresh token is active while its refresh key accepts it; a used
// one-time token is not after its retryGrace. An access token is active while the refresh token that it was issued
// from is accepted, or was superseded or retired by a rotation.
func (s *Fresh) active(ctx context.Context, issuer *registry.Issuer, claims *token.Claims, typ token.Type) (bool, error) {
	// Verification allows for clock skew; here the token has ended at exp, and the caller may allow for skew
	// itself.
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
		return key != nil && lifecycle.Honours(key, claims.Object.UID, claims.Object.Revision, s.clock.Now())
	}
	key := s.registry.Key(keyName(claims))
	if honours(key) || (key != nil && refusedForGood(key, claims)) {
		return honours(key), nil
	}
	// The replica's view may lack a new token or a later revision.
	key, err := s.registry.KeyLive(ctx, keyName(claims), claims.JTI)
	return honours(key), err
}

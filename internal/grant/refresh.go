package grant

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/binding"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/line"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/policy"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
	"github.com/refreshkeys/refreshkeys/internal/usage"
)

// RefreshRequest is a request for an access token (RFC 6749 §6).
type RefreshRequest struct {
	Token string
	// Scope is the requested scope; empty for all that was granted.
	Scope string
	// Resources are the requested APIs (RFC 8707 §2); none for the token's own.
	Resources []string
	// ClientID is the client_id of the request; empty for none. A session of a client is for that client alone.
	ClientID string
	// Seen is the device that sends the request.
	Seen v1alpha1.SeenDevice
	// Credentials authenticate the client; a bound token requires them.
	Credentials binding.Credentials
}

// exchange is the state of exchanging one refresh token.
type exchange struct {
	issuer *registry.Issuer
	// presented is the token, and claims are its verified claims.
	presented string
	claims    *token.Claims
	// key is the refresh key of the token, and standing the state of the token in it.
	key      *v1alpha1.JWTRefreshKey
	standing lifecycle.Standing
	// proven is what the client has proven.
	proven binding.Proven
	use    *usage.Use
}

// Check implements Request.
func (r *RefreshRequest) Check(*registry.Issuer) error {
	if r.Token == "" {
		return oauth.Refuse(oauth.InvalidRequest, "refresh_token is missing.")
	}
	return nil
}

// Answer implements Request: it exchanges the refresh token for an access token. The order of its checks follows the
// security considerations: the signature, the refresh key, the client, the policy and the one-time use. Only then is
// a token signed.
func (r *RefreshRequest) Answer(ctx context.Context, s *Fresh, issuer *registry.Issuer, outcome *Outcome) (*oauth.TokenAnswer, error) {
	e := exchange{presented: r.Token}
	var err error
	if e.claims, e.issuer, err = s.verifyRefresh(ctx, issuer, r.Token); err != nil {
		return nil, refused(err)
	}
	outcome.of(e.claims)
	if e.key, e.standing, err = s.standing(ctx, e.claims); err != nil {
		return nil, err
	}
	if e.key == nil || lifecycle.BelowFirst(e.key, e.claims.Object.Revision) || (!e.standing.Accepted() && !lifecycle.OneTime(e.key)) {
		return nil, errGrant()
	}
	// Verification allows for clock skew, but the access token would end with its refresh token in this second.
	// Clients read an expires_in of 0 as no end.
	if e.end().Sub(s.clock.Now()) < time.Second {
		return nil, errGrant()
	}
	if e.proven, err = s.clients.Prove(ctx, e.issuer, &r.Credentials); err != nil {
		return nil, err
	}
	if err := s.authorise(&e, e.claims, e.claims.ExpiresAt.Sub(e.claims.IssuedAt)); err != nil {
		return nil, err
	}
	if session := e.key.Status.Session; session != nil && session.Client != "" && r.ClientID != "" && r.ClientID != session.Client {
		return nil, oauth.Refuse(oauth.UnauthorizedClient, "The refresh token was issued to another client_id.")
	}
	if err := s.remains(ctx, &e); err != nil {
		return nil, err
	}
	asked, err := e.asked(r)
	if err != nil {
		return nil, err
	}
	signer, err := e.issuer.Rings.Signer(keyring.Access)
	if err != nil {
		// The next signing key is published, and becomes active when every verifier knows it.
		return nil, upstream.Unavailable("the issuer has no active access signing key")
	}
	if err := s.clients.Consume(&e.proven.Proven); err != nil {
		return nil, err
	}
	e.use = &usage.Use{
		Key: outcome.Key, UID: e.key.UID, At: s.clock.Now(), Seen: r.Seen, Revision: e.claims.Object.Revision,
		Superseded: e.standing == lifecycle.StandingSuperseded, Prompt: e.key.Spec.IdleTimeout != nil,
	}
	successor, err := s.successor(ctx, &e)
	if err != nil {
		return nil, err
	}
	answer, err := s.accessToken(&e, asked, signer, outcome)
	if err != nil {
		return nil, err
	}
	return answer, e.handOut(answer, successor, s.clock.Now())
}

// refused returns invalid_grant for a token that failed verification, and ErrUnavailable unchanged, since then the
// token was not verified.
func refused(err error) error {
	if errors.Is(err, upstream.ErrUnavailable) {
		return err
	}
	return errGrant()
}

// authorise checks the policy again: a token grants at most what is granted now. A repaired policy lifts the
// refusal, so the client must keep its token. The claims are those of the presented token, or of its successor.
func (s *Fresh) authorise(e *exchange, claims *token.Claims, lifetime time.Duration) error {
	if err := e.proven.Satisfies(claims, e.key.Spec.Binding); err != nil {
		return err
	}
	if err := session.Authorise(e.issuer, e.key, e.claims, claims.Subject, s.clock.Now()); err != nil {
		return err
	}
	labels, known := s.registry.NamespaceLabels(claims.Object.Namespace)
	if !known {
		return upstream.Unavailable("the namespace of the key is not known")
	}
	request := policy.ForToken(policy.Request{
		Namespace:       claims.Object.Namespace,
		NamespaceLabels: labels,
		DefaultSubject:  claims.ClientID,
		ProvenSubject:   session.ProvenSubject(e.issuer, e.key, e.claims),
		Lifetime:        lifetime,
		AccessLifetime:  e.accessLifetime(),
	}, claims.Subject, claims.Audience, claims.Scope, claims.Extra)
	if e.issuer.Policy == nil || e.issuer.Policy.Check(request) != nil {
		return oauth.Refuse(oauth.UnauthorizedClient, "The issuer's policy does not grant this now.")
	}
	return nil
}

// remains checks that the login of a session still holds.
func (s *Fresh) remains(ctx context.Context, e *exchange) error {
	err := s.sessions.Remains(ctx, s.registry, e.issuer, e.key)
	if errors.Is(err, session.ErrAccountGone) {
		return errGrant()
	}
	return err
}

func (e *exchange) accessLifetime() time.Duration {
	if at := e.key.Spec.AccessToken; at != nil && at.Lifetime != nil {
		return at.Lifetime.Duration
	}
	return e.issuer.AccessLifetime
}

// end returns the earlier of the ends of the refresh token and of its refresh key, in whole seconds: expires_in must not
// be 0 before the end.
func (e *exchange) end() time.Time {
	return earliest(lifecycle.Timeline(e.key).LastSecond(), e.claims.ExpiresAt)
}

// target is what an access token is for, and what it says besides.
type target struct {
	audience, scope string
	extra           map[string]string
}

// asked returns the target of the access token, if the refresh token is for the requested APIs. A session is also for
// the sessions of its subject.
func (e *exchange) asked(request *RefreshRequest) (target, error) {
	if asksForSessions(request, e.issuer.URL) && session.ProvenSubject(e.issuer, e.key, e.claims) != "" {
		return target{audience: e.issuer.URL, scope: oauth.ScopeSessions}, nil
	}
	for _, resource := range request.Resources {
		if resource != e.claims.Audience {
			return target{}, oauth.Refuse(oauth.InvalidTarget, "The refresh token is for another resource.")
		}
	}
	scope, err := narrowed(e.claims.Scope, request.Scope)
	return target{audience: e.claims.Audience, scope: scope, extra: e.claims.Extra}, err
}

// narrowed returns the granted scope, or the requested part of it (RFC 6749 §6).
func narrowed(granted, asked string) (string, error) {
	if asked == "" {
		return granted, nil
	}
	have := strings.Fields(granted)
	var scope []string
	for _, one := range strings.Split(asked, " ") {
		if !slices.Contains(have, one) {
			return "", oauth.Refuse(oauth.InvalidScope, "A requested scope was not granted.")
		}
		if !slices.Contains(scope, one) {
			scope = append(scope, one)
		}
	}
	return strings.Join(scope, " "), nil
}

// successor returns the refresh token of the answer, empty if the client keeps its token. It records the use.
func (s *Fresh) successor(ctx context.Context, e *exchange) (string, error) {
	if lifecycle.OneTime(e.key) {
		return s.useOnce(ctx, e)
	}
	s.registry.Used(e.use)
	if e.use.Superseded {
		return s.rollOver(e), nil
	}
	return "", nil
}

// rollOver returns the current token for a superseded one, so that a client need not read the Secret again. It
// does so only if the current token grants no more. Failures are not reported, since the client's own token is
// still valid.
func (s *Service) rollOver(e *exchange) string {
	current, signer, err := e.onRecord()
	if err != nil || !s.clock.Now().Before(current.ExpiresAt) || current.Issuer != e.issuer.URL || !grantsNoMore(current, e.claims) {
		return ""
	}
	compact, err := line.Remake(e.key, signer)
	if err != nil {
		return ""
	}
	return compact
}

// onRecord returns the claims of the current token and the signing key that signed it.
func (e *exchange) onRecord() (*token.Claims, *keyring.Key, error) {
	current, err := line.Recorded(e.key)
	if err != nil {
		return nil, nil, err
	}
	signer, known := e.issuer.Rings.Lookup(keyring.Refresh, e.key.Status.KeyID)
	if !known {
		return nil, nil, upstream.Unavailable("the key that signed the current token is not known")
	}
	return current, signer, nil
}

// grantsNoMore reports whether the current token gives its holder at most what the held one does.
func grantsNoMore(current, held *token.Claims) bool {
	have := strings.Fields(held.Scope)
	wider := slices.ContainsFunc(strings.Fields(current.Scope), func(scope string) bool { return !slices.Contains(have, scope) })
	return !wider && current.Audience == held.Audience && current.Subject == held.Subject && maps.Equal(current.Extra, held.Extra) &&
		current.JWKThumbprint == held.JWKThumbprint && current.ServiceAccount == held.ServiceAccount
}

// accessToken signs the access token. It ends no later than the refresh token and the refresh key.
func (s *Service) accessToken(e *exchange, to target, signer *keyring.Key, outcome *Outcome) (*oauth.TokenAnswer, error) {
	access, now := *e.claims, s.clock.Now()
	access.Audience, access.Scope, access.Extra = to.audience, to.scope, to.extra
	// If a client proves a key, its access token is bound to it, even if that is not required (RFC 9449 §5).
	if e.proven.Thumbprint != "" {
		access.JWKThumbprint = e.proven.Thumbprint
	}
	jti := s.newID()
	compact, expiresAt, err := line.MintAccess(access, jti, now, e.accessLifetime(), e.end(), signer)
	if err != nil {
		return nil, err
	}
	outcome.AccessJTI = jti
	answer := &oauth.TokenAnswer{
		AccessToken: compact, TokenType: oauth.TokenTypeBearer, ExpiresIn: int64(expiresAt.Sub(now) / time.Second), Scope: to.scope,
	}
	return answer, s.clients.Constrain(answer, &e.proven.Proven, e.issuer.Rings)
}

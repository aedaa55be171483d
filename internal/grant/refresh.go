package grant

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/line"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/policy"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// RefreshRequest asks for an access token (RFC 6749 §6).
type RefreshRequest struct {
	Token string
	// Scope is what is asked for; empty for all that was granted.
	Scope string
	// Resources are the APIs that the access token is asked for (RFC 8707 §2); none for the token's.
	Resources []string
	// Seen is the device that asks.
	Seen v1alpha1.SeenDevice
	// Credentials are what the client proves itself with, as it must where the token is bound.
	Credentials Credentials
}

// exchange is a refresh token under use.
type exchange struct {
	issuer *registry.Issuer
	// presented is the token, and claims are its own: its signature is good.
	presented string
	claims    *token.Claims
	// key is the token's, and standing what that says of it.
	key      *v1alpha1.JWTRefreshKey
	standing registry.Standing
	// proven is what the client has proven of itself.
	proven proven
	use    *registry.Use
}

// Refresh exchanges a refresh token for an access token. The order of its checks is that of
// the security considerations: the signature, the key, the client, the policy, the claim of a
// one-time token, and only then is anything signed.
func (s *Service) Refresh(ctx context.Context, issuer *registry.Issuer, request *RefreshRequest, outcome *Outcome) (*oauth.TokenAnswer, error) {
	if request.Token == "" {
		return nil, oauth.Refuse(oauth.InvalidRequest, "refresh_token is missing.")
	}
	if err := s.registry.Fresh(); err != nil {
		return nil, err
	}
	e := exchange{presented: request.Token}
	var err error
	if e.claims, e.issuer, err = s.verifyRefresh(ctx, issuer, request.Token); err != nil {
		return nil, refused(err)
	}
	outcome.of(e.claims)
	if e.key, e.standing, err = s.standing(ctx, e.claims); err != nil {
		return nil, err
	}
	if e.key == nil || registry.BelowFirst(e.key, e.claims.Object.Revision) || (!e.standing.Accepted() && !lifecycle.OneTime(e.key)) {
		return nil, errGrant()
	}
	// Verification allows for the skew of clocks, but an access token that ends with its refresh
	// token would be over; clients take an expires_in of 0 for one that never ends.
	if e.end().Sub(s.clock.Now()) < time.Second {
		return nil, errGrant()
	}
	if e.proven, err = s.prove(ctx, e.issuer, &request.Credentials); err != nil {
		return nil, err
	}
	if err := s.authorise(&e, e.claims, e.claims.ExpiresAt.Sub(e.claims.IssuedAt)); err != nil {
		return nil, err
	}
	if err := s.stillSignedIn(ctx, &e); err != nil {
		return nil, err
	}
	scope, err := asked(e.claims, request)
	if err != nil {
		return nil, err
	}
	signer, err := e.issuer.Rings.Signer(keyring.Access)
	if err != nil {
		// The next key is published, and waits until every verifier knows it.
		return nil, unavailable("the issuer has no active access signing key")
	}
	if err := s.consumeProof(&e.proven); err != nil {
		return nil, err
	}
	e.use = &registry.Use{
		Key: outcome.Key, UID: e.key.UID, At: s.clock.Now(), Seen: request.Seen, Revision: e.claims.Object.Revision,
		Superseded: e.standing == registry.Superseded, Prompt: e.key.Spec.IdleTimeout != nil,
	}
	successor, err := s.successor(ctx, &e)
	if err != nil {
		return nil, err
	}
	answer, err := s.accessToken(&e, scope, signer, outcome)
	if err != nil {
		return nil, err
	}
	return answer, e.handOut(answer, successor, s.clock.Now())
}

// refused translates what is wrong with a token. A service of which something is not to be
// had has not judged it.
func refused(err error) error {
	if errors.Is(err, registry.ErrUnavailable) {
		return err
	}
	return errGrant()
}

// authorise checks again what was checked when the token was issued: nobody holds more than
// is granted now. A refusal can be taken back by repairing the policy, so that the client
// must keep its token. The claims are the token's own, or those of the one that is to follow.
func (s *Service) authorise(e *exchange, claims *token.Claims, lifetime time.Duration) error {
	if err := e.proven.satisfies(claims, e.key.Spec.Binding); err != nil {
		return err
	}
	if err := s.authoriseSession(e, claims); err != nil {
		return err
	}
	labels, known := s.registry.NamespaceLabels(claims.Object.Namespace)
	if !known {
		return unavailable("the namespace of the key is not known")
	}
	request := policy.Request{
		Namespace:       claims.Object.Namespace,
		NamespaceLabels: labels,
		DefaultSubject:  claims.ClientID,
		ProvenSubject:   e.provenSubject(),
		Subject:         claims.Subject,
		Audience:        claims.Audience,
		Lifetime:        lifetime,
		AccessLifetime:  e.accessLifetime(),
		Scopes:          strings.Fields(claims.Scope),
		Claims:          slices.Sorted(maps.Keys(claims.Extra)),
	}
	if e.issuer.Policy == nil || e.issuer.Policy.Check(request) != nil {
		return oauth.Refuse(oauth.UnauthorizedClient, "The issuer's policy does not grant this now.")
	}
	return nil
}

// authoriseSession holds a session against its login: whoever may edit keys can make it neither
// another's, nor one whose tokens are used twice, nor longer than the issuer has sessions last. All
// of it can be put back.
func (s *Service) authoriseSession(e *exchange, claims *token.Claims) error {
	session := e.key.Status.Session
	switch {
	case session == nil:
		return nil
	case claims.Subject != session.Subject || e.provenSubject() == "":
		return oauth.Refuse(oauth.UnauthorizedClient, "The session belongs to another subject.")
	case !lifecycle.OneTime(e.key):
		return oauth.Refuse(oauth.UnauthorizedClient, "The session's rotation mode is no longer OneTimeUse.")
	case !s.clock.Now().Before(session.StartedAt.Add(e.issuer.Login.SessionLifetime)):
		return oauth.Refuse(oauth.UnauthorizedClient, "The session has reached the issuer's sessionLifetime; sign in again.")
	default:
		return nil
	}
}

// provenSubject is who signed in, empty where nobody did. What is presented has to say it too:
// only a login, or what followed one, was signed for that subject.
func (e *exchange) provenSubject() string {
	if proven := lifecycle.ProvenSubject(e.key, e.issuer.Login.SessionNamespace); proven == e.claims.Subject {
		return proven
	}
	return ""
}

func (e *exchange) accessLifetime() time.Duration {
	if at := e.key.Spec.AccessToken; at != nil && at.Lifetime != nil {
		return at.Lifetime.Duration
	}
	return e.issuer.AccessLifetime
}

// end is that of the refresh token, or of its key where it comes first.
func (e *exchange) end() time.Time {
	if at := e.key.Spec.ExpiresAt; at != nil && at.Time.Before(e.claims.ExpiresAt) {
		// Tokens end with a whole second, and expires_in must not come to 0 within this one.
		return at.Truncate(time.Second)
	}
	return e.claims.ExpiresAt
}

// asked is the scope that is asked for, where the refresh token may give it for the APIs that
// are asked for.
func asked(claims *token.Claims, request *RefreshRequest) (scope string, err error) {
	for _, resource := range request.Resources {
		if resource != claims.Audience {
			return "", oauth.Refuse(oauth.InvalidTarget, "The refresh token is for another resource.")
		}
	}
	return narrowed(claims.Scope, request.Scope)
}

// narrowed is the scope of the access token: what was granted, or less (RFC 6749 §6).
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

// successor is the refresh token that goes with the answer, empty where the client keeps
// the one that it has. The use is on record with it, or remembered.
func (s *Service) successor(ctx context.Context, e *exchange) (string, error) {
	if lifecycle.OneTime(e.key) {
		return s.useOnce(ctx, e)
	}
	s.registry.Used(e.use)
	if e.use.Superseded {
		return s.rollOver(e), nil
	}
	return "", nil
}

// rollOver is the current token for a client that presents a superseded one, so that it goes
// on without ever reading the Secret; but only where the current one grants no more. What
// stands in its way is not the client's fault, and its own token is good still.
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

// onRecord is the current token of the key, and the key that signed it.
func (e *exchange) onRecord() (*token.Claims, *keyring.Key, error) {
	current, err := line.Recorded(e.key)
	if err != nil {
		return nil, nil, err
	}
	signer, known := e.issuer.Rings.Lookup(keyring.Refresh, e.key.Status.KeyID)
	if !known {
		return nil, nil, unavailable("the key that signed the current token is not known")
	}
	return current, signer, nil
}

// grantsNoMore compares all that a token gives its holder.
func grantsNoMore(current, held *token.Claims) bool {
	have := strings.Fields(held.Scope)
	wider := slices.ContainsFunc(strings.Fields(current.Scope), func(scope string) bool { return !slices.Contains(have, scope) })
	return !wider && current.Audience == held.Audience && current.Subject == held.Subject && maps.Equal(current.Extra, held.Extra) &&
		current.JWKThumbprint == held.JWKThumbprint && current.ServiceAccount == held.ServiceAccount
}

// accessToken signs the access token. It never outlives the refresh token, nor the key.
func (s *Service) accessToken(e *exchange, scope string, signer *keyring.Key, outcome *Outcome) (*oauth.TokenAnswer, error) {
	access, now := *e.claims, s.clock.Now()
	access.Scope = scope
	// A client that proves a key without having to has its access token bound to it (RFC 9449 §5).
	if e.proven.thumbprint != "" {
		access.JWKThumbprint = e.proven.thumbprint
	}
	jti := s.newID()
	compact, expiresAt, err := line.MintAccess(access, jti, now, e.accessLifetime(), e.end(), signer)
	if err != nil {
		return nil, err
	}
	outcome.AccessJTI = jti
	answer := &oauth.TokenAnswer{
		AccessToken: compact, TokenType: oauth.TokenTypeBearer, ExpiresIn: int64(expiresAt.Sub(now) / time.Second), Scope: scope,
	}
	return answer, s.constrain(answer, &e.proven, e.issuer)
}

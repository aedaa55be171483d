package grant

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/dpop"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// Limits of the requests of one subject for its sessions: a burst, and one more after each manageAgain. A request costs
// a search of the view, and an end a list at the API server.
const (
	managingAtOnce = 60
	manageAgain    = time.Second
)

// asksForSessions reports whether a refresh asks for an access token for the sessions of its subject: the issuer is the
// only resource (RFC 8707 §2), and sessions the only scope.
func asksForSessions(request *RefreshRequest, issuer string) bool {
	other := func(resource string) bool { return resource != issuer }
	return len(request.Resources) > 0 && !slices.ContainsFunc(request.Resources, other) && request.Scope == oauth.ScopeSessions
}

// forSessions reports whether an access token is for the sessions endpoints of its issuer. Nothing else accepts it.
func forSessions(claims *token.Claims, issuer *registry.Issuer) bool {
	return claims.Audience == issuer.URL && slices.Contains(strings.Fields(claims.Scope), oauth.ScopeSessions)
}

// AccessRequest is a request to a resource of the token service itself with an access token (RFC 6750, RFC 9449 §7).
type AccessRequest struct {
	Token string
	// Scheme is that of the Authorization header: TokenTypeBearer or TokenTypeDPoP.
	Scheme string
	Method string
	// Proofs are the values of the DPoP header.
	Proofs []string
}

// Sessions returns the sessions of the subject of an access token, from the view.
func (s *Service) Sessions(ctx context.Context, issuer *registry.Issuer, request *AccessRequest, outcome *Outcome) (*oauth.SessionsAnswer, error) {
	m, err := s.manage(ctx, issuer, request, (*registry.Issuer).SessionsURLs, outcome)
	if err != nil {
		return nil, err
	}
	keys, err := session.Own(m.registry, m.issuer, m.claims.Object.Namespace, m.claims.Subject)
	if err != nil {
		return nil, err
	}
	return &oauth.SessionsAnswer{Sessions: session.Listed(m.issuer, keys, m.claims.Object.UID, s.clock.Now()), DPoPNonce: m.nonce}, nil
}

// EndSessions ends sessions of the subject of an access token, as a logout does. An id of no session of the subject
// ends nothing, and the answer is the same whether another subject has it or not. After an error, some may have ended.
func (s *Service) EndSessions(
	ctx context.Context, issuer *registry.Issuer, request *AccessRequest, which *oauth.EndRequest, outcome *Outcome,
) (*oauth.EndAnswer, error) {
	m, err := s.manage(ctx, issuer, request, (*registry.Issuer).EndSessionsURLs, outcome)
	if err != nil {
		return nil, err
	}
	keys, err := session.OwnNow(ctx, m.registry, m.issuer, m.claims.Object.Namespace, m.claims.Subject)
	if err != nil {
		return nil, err
	}
	for _, key := range toEnd(keys, which, m.claims.Object.UID) {
		ended, err := m.end(ctx, key)
		if err != nil {
			return nil, err
		}
		if ended {
			outcome.Ended = append(outcome.Ended, key.UID)
		}
	}
	return &oauth.EndAnswer{Ended: len(outcome.Ended), DPoPNonce: m.nonce}, nil
}

// toEnd returns the sessions that a request names. The current one is the last: if the API server fails before, the
// client can send its request again.
func toEnd(keys []*v1alpha1.JWTRefreshKey, which *oauth.EndRequest, current string) []*v1alpha1.JWTRefreshKey {
	var named, last []*v1alpha1.JWTRefreshKey
	for _, key := range keys {
		id := string(key.UID)
		switch asked := which.All || which.Others || slices.Contains(which.IDs, id); {
		case !asked, id == current && which.Others:
		case id == current:
			last = append(last, key)
		default:
			named = append(named, key)
		}
	}
	return append(named, last...)
}

// managed is an authorised request to a resource of the token service.
type managed struct {
	*Fresh
	issuer *registry.Issuer
	// claims are those of the access token.
	claims *token.Claims
	// nonce is for the client's next proof; empty for a client without one.
	nonce string
}

// end ends one session, and reports whether it had not ended before.
func (m *managed) end(ctx context.Context, key *v1alpha1.JWTRefreshKey) (ended bool, err error) {
	name := types.NamespacedName{Namespace: key.Namespace, Name: key.Name}
	uid := string(key.UID)
	err = m.registry.Revoke(ctx, name, v1alpha1.RevokedLogout, func(key *v1alpha1.JWTRefreshKey) bool {
		ended = lifecycle.Lives(key, uid, m.clock.Now()) && session.Owns(m.issuer, m.claims.Subject, key)
		return ended
	})
	if errors.Is(err, registry.ErrLost) {
		err = upstream.Unavailable("the session changes too often")
	}
	return ended && err == nil, err
}

// manage authorises a request for the sessions of a subject. urls are those of the resource.
func (s *Service) manage(
	ctx context.Context, issuer *registry.Issuer, request *AccessRequest, urls func(*registry.Issuer) []string, outcome *Outcome,
) (*managed, error) {
	return s.present(ctx, issuer, request, urls, func(claims *token.Claims, issuer *registry.Issuer) error {
		switch {
		case claims.Audience != issuer.URL:
			return errNotForSessions()
		case !forSessions(claims, issuer):
			return oauth.Refuse(oauth.InsufficientScope, "The access token lacks the scope sessions.")
		default:
			return nil
		}
	}, "sessions", outcome)
}

// present authorises a request to a resource of the token service with an access token of a session, from a fresh view. Only then does
// it count the request and use up the proof. urls are those of the resource, fits returns the refusal of a token that is for another one, and counted
// names what the requests of a subject are counted for.
func (s *Service) present(
	ctx context.Context, issuer *registry.Issuer, request *AccessRequest, urls func(*registry.Issuer) []string,
	fits func(*token.Claims, *registry.Issuer) error, counted string, outcome *Outcome,
) (*managed, error) {
	from, err := s.fresh()
	if err != nil {
		return nil, err
	}
	claims, issuer, err := from.parse(ctx, issuer, request.Token, token.Access)
	if errors.Is(err, upstream.ErrUnavailable) {
		return nil, err
	}
	if err != nil {
		return nil, errNotPresented()
	}
	if err := fits(claims, issuer); err != nil {
		return nil, err
	}
	resource := &dpop.Resource{Method: request.Method, URLs: urls(issuer), Token: request.Token}
	proven, err := s.proveAccess(issuer, claims, request, resource)
	if err != nil {
		return nil, err
	}
	if err := from.ofLivingSession(ctx, issuer, claims); err != nil {
		return nil, err
	}
	outcome.ofAccess(claims)
	if !s.managing.Allow(counted+"\x00"+issuer.Name+"\x00"+claims.Subject, s.clock.Now()) {
		return nil, oauth.TooMany("This subject asks too often.")
	}
	if err := s.clients.Consume(&proven); err != nil {
		return nil, err
	}
	nonce, err := s.clients.NextNonce(&proven, issuer.Rings)
	return &managed{Fresh: from, issuer: issuer, claims: claims, nonce: nonce}, err
}

// proveAccess checks the scheme and the proof of a request: a bound token needs the scheme DPoP with a proof of its key,
// and any other token the scheme Bearer (RFC 9449 §7). A proof that is sent without need must be valid.
func (s *Service) proveAccess(issuer *registry.Issuer, claims *token.Claims, request *AccessRequest, resource *dpop.Resource) (dpop.Proven, error) {
	switch bound := claims.JWKThumbprint != ""; {
	case bound && request.Scheme != oauth.TokenTypeDPoP:
		return dpop.Proven{}, oauth.Refuse(oauth.InvalidToken, "The access token is bound to a client key; send it with the scheme DPoP and a proof.")
	case !bound && request.Scheme != oauth.TokenTypeBearer:
		return dpop.Proven{}, oauth.Refuse(oauth.InvalidToken, "The access token is not bound to a client key; send it with the scheme Bearer.")
	}
	proven, err := s.clients.ProveAt(resource, issuer.Rings, request.Proofs)
	if err != nil {
		return dpop.Proven{}, err
	}
	return proven, proven.Satisfies(claims.JWKThumbprint)
}

// ofLivingSession checks that an access token is from a session by login that has not ended. A key that a tenant wrote for
// this audience and scope is not a session. The view may be outdated, so the API server is read before a refusal.
func (s *Fresh) ofLivingSession(ctx context.Context, issuer *registry.Issuer, claims *token.Claims) error {
	now := s.clock.Now()
	// Verification allows for clock skew, and this is the resource itself.
	if !now.Before(claims.ExpiresAt) {
		return errNotPresented()
	}
	accepted := func(key *v1alpha1.JWTRefreshKey) bool {
		return key != nil && lifecycle.Honours(key, claims.Object.UID, claims.Object.Revision, now) && key.Spec.Subject == claims.Subject &&
			session.Owns(issuer, claims.Subject, key) && session.Authorise(issuer, key, claims, claims.Subject, now) == nil
	}
	key := s.registry.Key(keyName(claims))
	if !accepted(key) && (key == nil || !refusedForGood(key, claims)) {
		var err error
		if key, err = s.registry.KeyLive(ctx, keyName(claims), claims.JTI); err != nil {
			return err
		}
	}
	if !accepted(key) {
		return errNotPresented()
	}
	return nil
}

// errNotPresented returns invalid_token, without a reason: the holder of the token learns nothing about the key.
func errNotPresented() *oauth.Error {
	return oauth.Refuse(oauth.InvalidToken, "The access token is expired, of an ended session, or not one of a session of this issuer.")
}

// errNotForSessions returns the refusal of an access token that is for another API.
func errNotForSessions() *oauth.Error {
	return oauth.Refuse(oauth.InvalidToken, "The access token is not one for sessions of this issuer; "+
		"refresh a session with the issuer as resource and the scope sessions.")
}

// Package grant implements the decisions of an issuer's endpoints, one file for each grant. It does not depend on
// HTTP. A refusal is an *oauth.Error; any other error is internal, and clients get no details of it.
package grant

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/binding"
	"github.com/refreshkeys/refreshkeys/internal/dpop"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// Registry provides the cluster's state to the grants, and records their results in it.
type Registry interface {
	// Fresh returns an error if the views may be too old to answer from.
	Fresh() error
	// Key returns a refresh key from the view; nil if it is unknown. It is shared and must not be changed.
	Key(name types.NamespacedName) *v1alpha1.JWTRefreshKey
	// KeyLive returns the refresh key as read from the API server for the token with that jti, possibly a few
	// seconds ago; nil if it does not exist.
	KeyLive(ctx context.Context, name types.NamespacedName, jti string) (*v1alpha1.JWTRefreshKey, error)
	// KeysProven returns the time since the view of a namespace's refresh keys was proven to equal the API
	// server's.
	KeysProven(namespace string) time.Duration
	// KeyNow returns the refresh key as read from the API server after the call; nil if it does not exist.
	KeyNow(ctx context.Context, name types.NamespacedName) (*v1alpha1.JWTRefreshKey, error)
	// NamespaceLabels returns the labels of a namespace; false if it is unknown.
	NamespaceLabels(name string) (map[string]string, bool)
	// At returns the place of a request, with the issuers that the request may be for.
	At(path, host string) registry.Place
	// ServiceOf returns whether the issuer with a URL is served, for a token with that issuer and kid.
	ServiceOf(url, kid string) registry.Service
	// IssuersNow lists all issuers from the API server, for a token with an unknown issuer and its kid.
	IssuersNow(ctx context.Context, url, kid string) error
	// IssuerReread returns the issuer with its signing keys as read from the API server, for a token with an
	// unknown kid.
	IssuerReread(ctx context.Context, issuer *registry.Issuer, kid string) (*registry.Issuer, error)
	// Advance records the next token of a line. It returns registry.ErrLost if the refresh key was changed since
	// it was read.
	Advance(ctx context.Context, key *v1alpha1.JWTRefreshKey, line *v1alpha1.TokenLine, use *registry.Use) error
	// Revoke records a revocation if it is due for the refresh key at the API server.
	Revoke(ctx context.Context, name types.NamespacedName, reason v1alpha1.RevocationReason, due func(*v1alpha1.JWTRefreshKey) bool) error
	// Used records an exchange.
	Used(use *registry.Use)

	// Sessions returns the approximate number of sessions of an issuer.
	Sessions(issuer string) int
	// SessionsOf returns the sessions of one subject as read from the API server, by the value of their label.
	SessionsOf(ctx context.Context, namespace, subject string) ([]v1alpha1.JWTRefreshKey, error)
	// CreateSession creates the refresh key of a session. It returns registry.ErrLost if its name is taken.
	CreateSession(ctx context.Context, key *v1alpha1.JWTRefreshKey) error
	// BeginSession records the status of a session: its first token and its login.
	BeginSession(ctx context.Context, key *v1alpha1.JWTRefreshKey) error
	// EndSession deletes a session. It returns registry.ErrLost if the session was changed since it was read.
	EndSession(ctx context.Context, key *v1alpha1.JWTRefreshKey) error
	// ServiceAccountUID returns the UID of a ServiceAccount as read from the API server; empty if it does not
	// exist.
	ServiceAccountUID(ctx context.Context, name types.NamespacedName) (string, error)
}

// Providers authenticates people by an id_token of an upstream provider.
type Providers interface {
	// Verify returns the person, and identity.ErrRefused if the token is not acceptable.
	Verify(ctx context.Context, provider *v1alpha1.OIDCProvider, idToken string) (*identity.Person, error)
}

// Passwords authenticates people by a password. secret is the Secret that contains the passwords.
type Passwords interface {
	// Verify returns nil if the password is the user's, and otherwise identity.ErrRefused or identity.ErrTooMany.
	Verify(ctx context.Context, secret, user, password, address string) error
	// Known reports whether the user exists.
	Known(ctx context.Context, secret, user string) (bool, error)
}

// Options of a Service. All are required.
type Options struct {
	Registry Registry
	// Reviews are for subject tokens, which any client may send, and Assertions for client assertions beside valid
	// tokens. Each has its own rate limit.
	Reviews    binding.Reviewer
	Assertions binding.Reviewer
	Providers  Providers
	Passwords  Passwords
	Clock      clock.PassiveClock
	// NewID returns a new jti: unique, and without meaning.
	NewID func() string
}

// Service implements the grants for all issuers of a cluster.
type Service struct {
	registry  Registry
	reviews   binding.Reviewer
	clients   *binding.Clients
	providers Providers
	passwords Passwords
	clock     clock.PassiveClock
	newID     func() string
	logins    *identity.Attempts

	verified *lru.Cache[[sha256.Size]byte, *token.Claims]
	claims   registry.Flights[string]

	remembered, judged atomic.Int64
}

// Verifications returns how many verifications of refresh tokens were answered from the cache, and how many were
// not.
func (s *Service) Verifications() (remembered, judged int64) {
	return s.remembered.Load(), s.judged.Load()
}

// rememberedTokens is the maximum number of refresh tokens with cached claims.
const rememberedTokens = 1 << 14

// Limits of the logins of one subject: a burst, for the pods of a workload that start together, and one more after
// each loginAgain.
const (
	loginsAtOnce = 60
	loginAgain   = time.Second
)

// New returns a Service.
func New(o Options) (*Service, error) {
	verified, err := lru.New[[sha256.Size]byte, *token.Claims](rememberedTokens)
	if err != nil {
		return nil, err
	}
	logins, err := identity.NewAttempts(loginsAtOnce, loginAgain)
	if err != nil {
		return nil, err
	}
	proofs, err := dpop.New(o.Clock)
	return &Service{
		registry: o.Registry, reviews: o.Reviews, clients: binding.New(proofs, o.Assertions), providers: o.Providers, passwords: o.Passwords, clock: o.Clock, newID: o.NewID,
		verified: verified, logins: logins,
	}, err
}

// Outcome contains the verified facts of a request for the logs.
type Outcome struct {
	// Key is the name of the refresh key, and UID its UID.
	Key types.NamespacedName
	UID types.UID
	// Subject is the subject of the token; at a login, the authenticated one, granted or not.
	Subject string
	// JTI and Revision are those of the refresh token: the presented one or, at a login, the issued one.
	JTI      string
	Revision int64
	// AccessJTI is the jti of the issued access token.
	AccessJTI string
	// Withheld is the reason why an introspection withheld its answer, since the caller has no right to ask; empty
	// otherwise.
	Withheld oauth.Code
}

func (o *Outcome) of(claims *token.Claims) {
	o.Key, o.UID, o.Subject = keyName(claims), types.UID(claims.Object.UID), claims.Subject
	o.JTI, o.Revision = claims.JTI, claims.Object.Revision
}

// errGrant returns invalid_grant, on which a client discards its token. It has no details, so that the holder of
// an invalid token learns nothing about the refresh key.
func errGrant() *oauth.Error {
	return oauth.Refuse(oauth.InvalidGrant, "The refresh token is expired, revoked, retired or not from this issuer.")
}

// verifyRefresh verifies a refresh token, and reads the signing keys again for an unknown kid.
func (s *Service) verifyRefresh(ctx context.Context, issuer *registry.Issuer, compact string) (*token.Claims, *registry.Issuer, error) {
	sum := sha256.Sum256([]byte(compact))
	if claims, ok := s.verified.Get(sum); ok && s.stillGood(claims, issuer) {
		s.remembered.Add(1)
		return claims, issuer, nil
	}
	s.judged.Add(1)
	claims, issuer, err := s.parse(ctx, issuer, compact, token.Refresh)
	if err == nil {
		s.verified.Add(sum, claims)
	}
	return claims, issuer, err
}

// stillGood reports whether a token with a verified signature is still acceptable.
func (s *Service) stillGood(claims *token.Claims, issuer *registry.Issuer) bool {
	now := s.clock.Now()
	_, known := issuer.Rings.Lookup(keyring.Refresh, claims.KeyID)
	return known && claims.Issuer == issuer.URL && now.Before(claims.ExpiresAt) && !now.Before(claims.IssuedAt)
}

// parse verifies a token of the given type. If the signing keys are unknown, it returns ErrUnavailable.
func (s *Service) parse(ctx context.Context, issuer *registry.Issuer, compact string, typ token.Type) (*token.Claims, *registry.Issuer, error) {
	claims, err := token.Parse(compact, typ, issuer.Rings, issuer.URL, s.clock.Now())
	if errors.Is(err, token.ErrUnknownKey) {
		_, kid := token.Claimed(compact)
		if issuer, err = s.registry.IssuerReread(ctx, issuer, kid); err != nil {
			return nil, nil, err
		}
		claims, err = token.Parse(compact, typ, issuer.Rings, issuer.URL, s.clock.Now())
	}
	if issuer.Rings == nil {
		return nil, nil, fmt.Errorf("%w: the signing keys of %s are not known", registry.ErrUnavailable, issuer.Name)
	}
	if err == nil && !namesOneKey(claims) {
		return nil, issuer, token.ErrMalformed
	}
	return claims, issuer, err
}

// namesOneKey reports whether a token names the same refresh key in client_id and in its own claim, with names
// that are valid in a URL of the API server.
func namesOneKey(claims *token.Claims) bool {
	object := &claims.Object
	return claims.ClientID == lifecycle.DefaultSubject(object.Namespace, object.Name) &&
		len(content.IsPathSegmentName(object.Namespace)) == 0 && len(content.IsPathSegmentName(object.Name)) == 0
}

// keyName returns the name of a token's refresh key.
func keyName(claims *token.Claims) types.NamespacedName {
	return types.NamespacedName{Namespace: claims.Object.Namespace, Name: claims.Object.Name}
}

func presented(claims *token.Claims) registry.Token {
	return registry.Token{UID: claims.Object.UID, JTI: claims.JTI, Revision: claims.Object.Revision}
}

// standing returns the refresh key of a token and the token's standing. The view may be outdated, so the API
// server is read before a correctly signed token is refused. Only a final refusal is taken from the view.
func (s *Service) standing(ctx context.Context, claims *token.Claims) (*v1alpha1.JWTRefreshKey, registry.Standing, error) {
	name, now := keyName(claims), s.clock.Now()
	if key := s.registry.Key(name); key != nil {
		standing := registry.StandingOf(key, presented(claims), now)
		if standing.Accepted() || refusedForGood(key, claims) {
			return key, standing, nil
		}
	}
	key, err := s.registry.KeyLive(ctx, name, claims.JTI)
	if err != nil || key == nil {
		return nil, registry.Refused, err
	}
	return key, registry.StandingOf(key, presented(claims), now), nil
}

// refusedForGood reports whether the refusal of a token is final: its refresh key is being deleted, was revoked
// after the token was issued, or its line has ended since. Any other refusal can be undone: a revoked refresh key
// may be active again with later revisions, and an end may have been moved.
func refusedForGood(key *v1alpha1.JWTRefreshKey, claims *token.Claims) bool {
	revoked := key.Spec.Revoked || key.Status.RevokedAt != nil
	known := 0 < claims.Object.Revision && claims.Object.Revision <= key.Status.Revision
	ended := registry.BelowFirst(key, claims.Object.Revision)
	return string(key.UID) == claims.Object.UID && (key.DeletionTimestamp != nil || (revoked && known) || ended)
}

// Package grant holds what the endpoints of an issuer decide: one file a grant. It knows
// nothing of HTTP. What it refuses is an *oauth.Error; any other error is one of the
// service's own, of which a client learns nothing.
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
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// Registry is what the grants need to know of a cluster, and to record in it.
type Registry interface {
	// Fresh is an error once what is known may be too old to answer from.
	Fresh() error
	// Key is what is known of a key; nil when it is not known. It is shared, and not to be changed.
	Key(name types.NamespacedName) *v1alpha1.JWTRefreshKey
	// KeyLive is the key at the API server, for the token of that jti; nil when there is none. It
	// may be some seconds old.
	KeyLive(ctx context.Context, name types.NamespacedName, jti string) (*v1alpha1.JWTRefreshKey, error)
	// KeysProven returns how long ago the view of a namespace's keys was proven to equal that of the API server.
	KeysProven(namespace string) time.Duration
	// KeyNow is the key at the API server at this moment; nil when there is none.
	KeyNow(ctx context.Context, name types.NamespacedName) (*v1alpha1.JWTRefreshKey, error)
	// NamespaceLabels are those of a namespace; false when it is not known.
	NamespaceLabels(name string) (map[string]string, bool)
	// At returns the place of a request, with the issuers that the request may be for.
	At(path, host string) registry.Place
	// ServiceOf tells whether the issuer with a URL is served, for a token that names it and a signing key.
	ServiceOf(url, kid string) registry.Service
	// IssuersNow takes up all issuers as the API server has them, for a token that names one which is not known, and the kid
	// of its signing key.
	IssuersNow(ctx context.Context, url, kid string) error
	// IssuerReread returns the issuer with its signing keys as the API server has them, for a token that names a kid which is
	// not known.
	IssuerReread(ctx context.Context, issuer *registry.Issuer, kid string) (*registry.Issuer, error)
	// Advance puts the next token of a line on record, or fails with registry.ErrLost where the
	// key is no longer as it was read.
	Advance(ctx context.Context, key *v1alpha1.JWTRefreshKey, line *v1alpha1.TokenLine, use *registry.Use) error
	// Revoke puts a revocation on record if it is due for the key at the API server.
	Revoke(ctx context.Context, name types.NamespacedName, reason v1alpha1.RevocationReason, due func(*v1alpha1.JWTRefreshKey) bool) error
	// Used remembers an exchange.
	Used(use *registry.Use)

	// Sessions is about how many sessions of an issuer there are.
	Sessions(issuer string) int
	// SessionsOf are those of one subject, by the value of their label, at this moment.
	SessionsOf(ctx context.Context, namespace, subject string) ([]v1alpha1.JWTRefreshKey, error)
	// CreateSession makes the key of a session, or fails with registry.ErrLost where its name is taken.
	CreateSession(ctx context.Context, key *v1alpha1.JWTRefreshKey) error
	// BeginSession puts the status of a session on record: its first token, and who signed in.
	BeginSession(ctx context.Context, key *v1alpha1.JWTRefreshKey) error
	// EndSession deletes a session, or fails with registry.ErrLost where it is no longer as it was read.
	EndSession(ctx context.Context, key *v1alpha1.JWTRefreshKey) error
	// ServiceAccountUID is that of a ServiceAccount at this moment, empty when there is none.
	ServiceAccountUID(ctx context.Context, name types.NamespacedName) (string, error)
}

// Reviewer asks the cluster who somebody is.
type Reviewer interface {
	// ServiceAccount is the one whose projected token for the issuer it is, and
	// identity.ErrRefused where it is none.
	ServiceAccount(ctx context.Context, issuer, token string) (*identity.ServiceAccount, error)
}

// Providers tells who somebody is by an id_token of an upstream provider.
type Providers interface {
	// Verify is who it is, and identity.ErrRefused where the token is not acceptable.
	Verify(ctx context.Context, provider *v1alpha1.OIDCProvider, idToken string) (*identity.Person, error)
}

// Passwords tells who somebody is by a password. A secret names where the passwords stand.
type Passwords interface {
	// Verify is nil where the password is the user's, and otherwise identity.ErrRefused or
	// identity.ErrTooMany.
	Verify(ctx context.Context, secret, user, password, address string) error
	// Known tells whether there is such a user.
	Known(ctx context.Context, secret, user string) (bool, error)
}

// Options of a Service. All are required.
type Options struct {
	Registry Registry
	// Reviews are of what anybody may show, and Assertions of what holders of good tokens show beside:
	// each is bounded by itself.
	Reviews    Reviewer
	Assertions Reviewer
	Providers  Providers
	Passwords  Passwords
	Clock      clock.PassiveClock
	// NewID makes the jti of a token: unique, and with no meaning.
	NewID func() string
}

// Service answers for all issuers of a cluster.
type Service struct {
	registry   Registry
	reviews    Reviewer
	assertions Reviewer
	providers  Providers
	passwords  Passwords
	clock      clock.PassiveClock
	newID      func() string
	logins     *identity.Attempts

	verified *lru.Cache[[sha256.Size]byte, *token.Claims]
	claims   registry.Flights[string]
	nonces   *nonces
	replays  *replays

	remembered, judged atomic.Int64
}

// Verifications are how many refresh tokens were remembered to be correctly signed, and how many
// were judged.
func (s *Service) Verifications() (remembered, judged int64) {
	return s.remembered.Load(), s.judged.Load()
}

// rememberedTokens is for how many refresh tokens it is remembered that their signature is good.
const rememberedTokens = 1 << 14

// A subject may sign in so often at once, and once more after each such time: the pods of a
// workload that all start anew.
const (
	loginsAtOnce = 60
	loginAgain   = time.Second
)

// New makes a Service.
func New(o Options) (*Service, error) {
	verified, err := lru.New[[sha256.Size]byte, *token.Claims](rememberedTokens)
	if err != nil {
		return nil, err
	}
	logins, err := identity.NewAttempts(loginsAtOnce, loginAgain)
	if err != nil {
		return nil, err
	}
	nonces, err := newNonces(o.Clock)
	return &Service{
		registry: o.Registry, reviews: o.Reviews, assertions: o.Assertions, providers: o.Providers, passwords: o.Passwords, clock: o.Clock, newID: o.NewID,
		verified: verified, logins: logins, nonces: nonces, replays: newReplays(o.Clock, rememberedProofs),
	}, err
}

// Outcome is what the logs say of a request beside its answer: what was verified of it, as far as
// that went.
type Outcome struct {
	// Key is that of the refresh token, and UID its own.
	Key types.NamespacedName
	UID types.UID
	// Subject is who the token speaks for; at a login who was proven to ask, granted or not.
	Subject string
	// JTI and Revision are of the refresh token: the one presented or, at a login, the one handed out.
	JTI      string
	Revision int64
	// AccessJTI is of the access token handed out.
	AccessJTI string
	// Withheld is the reason why an introspection withheld its answer: the caller has no right to ask. Empty otherwise.
	Withheld oauth.Code
}

func (o *Outcome) of(claims *token.Claims) {
	o.Key, o.UID, o.Subject = keyName(claims), types.UID(claims.Object.UID), claims.Subject
	o.JTI, o.Revision = claims.JTI, claims.Object.Revision
}

// errGrant is what a client discards its token on. It says little on purpose: whoever holds
// a token that is not good learns nothing about the key.
func errGrant() *oauth.Error {
	return oauth.Refuse(oauth.InvalidGrant, "The refresh token is expired, revoked, retired or not from this issuer.")
}

// verifyRefresh reads a refresh token, and the signing keys again where they lack its key.
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

// stillGood is what can change of a token whose signature was good.
func (s *Service) stillGood(claims *token.Claims, issuer *registry.Issuer) bool {
	now := s.clock.Now()
	_, known := issuer.Rings.Lookup(keyring.Refresh, claims.KeyID)
	return known && claims.Issuer == issuer.URL && now.Before(claims.ExpiresAt) && !now.Before(claims.IssuedAt)
}

// parse reads a token of the given type. A service that does not know the signing keys has
// not judged it.
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

// namesOneKey: a token of ours names its key in client_id as well as in its own claim, and by
// names that an API server can be asked for.
func namesOneKey(claims *token.Claims) bool {
	object := &claims.Object
	return claims.ClientID == lifecycle.DefaultSubject(object.Namespace, object.Name) &&
		len(content.IsPathSegmentName(object.Namespace)) == 0 && len(content.IsPathSegmentName(object.Name)) == 0
}

// keyName is the key that a token belongs to.
func keyName(claims *token.Claims) types.NamespacedName {
	return types.NamespacedName{Namespace: claims.Object.Namespace, Name: claims.Object.Name}
}

func presented(claims *token.Claims) registry.Token {
	return registry.Token{UID: claims.Object.UID, JTI: claims.JTI, Revision: claims.Object.Revision}
}

// standing finds the key of a token and what it says of it. Before a token that is correctly
// signed is refused, the API server is asked: what is known may be out of date. Only what
// can never be otherwise again is believed as it is.
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

// over: the very key of the token is being deleted, or was revoked when the token was of its
// line already, or its line was ended since. All else can be taken back: a key that was revoked may be
// living again, with tokens of later revisions, and an end may have been set later.
func refusedForGood(key *v1alpha1.JWTRefreshKey, claims *token.Claims) bool {
	revoked := key.Spec.Revoked || key.Status.RevokedAt != nil
	known := 0 < claims.Object.Revision && claims.Object.Revision <= key.Status.Revision
	ended := registry.BelowFirst(key, claims.Object.Revision)
	return string(key.UID) == claims.Object.UID && (key.DeletionTimestamp != nil || (revoked && known) || ended)
}

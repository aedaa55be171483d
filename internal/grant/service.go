// Package grant implements the decisions of an issuer's endpoints: refresh, one-time use, revocation and introspection,
// and the first tokens of a session. It does not depend on HTTP. A refusal is an *oauth.Error; any other error is
// internal, and clients get no details of it.
package grant

import (
	"crypto/sha256"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/binding"
	"github.com/refreshkeys/refreshkeys/internal/dpop"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// Options of a Service. All are required.
type Options struct {
	Registry Registry
	// Reviews are for subject tokens, which any client may send, and Assertions for client assertions beside valid
	// tokens. Each has its own rate limit.
	Reviews    binding.Reviewer
	Assertions binding.Reviewer
	Providers  session.Providers
	Passwords  session.Passwords
	Clock      clock.PassiveClock
	// NewID returns a new jti: unique, and without meaning.
	NewID func() string
}

// Service implements the grants for all issuers of a cluster. It holds the registry behind its gate only: what needs
// it is a method of Fresh.
type Service struct {
	gate      registry.Gate[Registry]
	directory Directory
	clients   *binding.Clients
	sessions  *session.Service
	clock     clock.PassiveClock
	newID     func() string
	// managing limits how often a subject lists or ends its sessions.
	managing *identity.Attempts

	verified *lru.Cache[[sha256.Size]byte, *token.Claims]
	claims   upstream.Flights[string]

	hits, misses atomic.Int64
}

// Logins returns what signs subjects in and begins their sessions.
func (s *Service) Logins() *session.Service { return s.sessions }

// Verifications returns how many verifications of refresh tokens were answered from the cache, and how many were
// not.
func (s *Service) Verifications() (hits, misses int64) {
	return s.hits.Load(), s.misses.Load()
}

// rememberedTokens is the maximum number of refresh tokens with cached claims.
const rememberedTokens = 1 << 14

// New returns a Service.
func New(o Options) (*Service, error) {
	verified, err := lru.New[[sha256.Size]byte, *token.Claims](rememberedTokens)
	if err != nil {
		return nil, err
	}
	proofs, err := dpop.New(o.Clock)
	if err != nil {
		return nil, err
	}
	clients := binding.New(proofs, o.Assertions)
	sessions, err := session.New(session.Options{
		Reviews: o.Reviews, Clients: clients, Providers: o.Providers, Passwords: o.Passwords, Clock: o.Clock, NewID: o.NewID,
	})
	if err != nil {
		return nil, err
	}
	managing, err := identity.NewAttempts(managingAtOnce, manageAgain)
	return &Service{
		gate: registry.NewGate(o.Registry), directory: o.Registry, clients: clients, sessions: sessions, clock: o.Clock, newID: o.NewID,
		managing: managing, verified: verified,
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
	// AccessJTI is the jti of the issued access token, or of the one that a request for sessions presents.
	AccessJTI string
	// Withheld is the reason why an introspection withheld its answer, since the caller has no right to ask; empty
	// otherwise.
	Withheld oauth.Code
	// Ended are the uids of the sessions that their subject ended by the request.
	Ended []types.UID
}

func (o *Outcome) of(claims *token.Claims) {
	o.Key, o.UID, o.Subject = keyName(claims), types.UID(claims.Object.UID), claims.Subject
	o.JTI, o.Revision = claims.JTI, claims.Object.Revision
}

// ofAccess records a presented access token.
func (o *Outcome) ofAccess(claims *token.Claims) {
	o.of(claims)
	o.JTI, o.AccessJTI = "", claims.JTI
}

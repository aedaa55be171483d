// Package session signs subjects in and keeps their sessions. A login proves a subject, by a ServiceAccount token, an
// id_token or a password, and creates the refresh key of a session. Package grant asks it at each later exchange
// whether the login still holds.
package session

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/binding"
	"github.com/refreshkeys/refreshkeys/internal/identity"
)

// Registry is the part of the cluster's state that sessions need. Each method takes it from its caller, who checked
// that the view is fresh.
type Registry interface {
	// NamespaceLabels returns the labels of a namespace; false if it is unknown.
	NamespaceLabels(name string) (map[string]string, bool)
	// Sessions returns the approximate number of sessions of an issuer.
	Sessions(issuer string) int
	// SessionsKnown returns the sessions of an issuer and a subject in a namespace, from the view. They are shared and
	// must not be changed.
	SessionsKnown(namespace, issuer, subject string) ([]*v1alpha1.JWTRefreshKey, error)
	// SessionsOf returns the sessions of one subject as read from the API server, by the value of their label.
	SessionsOf(ctx context.Context, namespace, subject string) ([]v1alpha1.JWTRefreshKey, error)
	// Key returns a refresh key from the view; nil if it is unknown. It is shared and must not be changed.
	Key(name types.NamespacedName) *v1alpha1.JWTRefreshKey
	// KeyNow returns a refresh key as read from the API server after the call; nil if it does not exist.
	KeyNow(ctx context.Context, name types.NamespacedName) (*v1alpha1.JWTRefreshKey, error)
	// SessionNow is KeyNow with the labels and annotations of the refresh key, which the view does not keep. The caller may
	// change the result.
	SessionNow(ctx context.Context, name types.NamespacedName) (*v1alpha1.JWTRefreshKey, error)
	// CreateSession creates the refresh key of a session. It returns registry.ErrLost if its name is taken.
	CreateSession(ctx context.Context, key *v1alpha1.JWTRefreshKey) error
	// BeginSession records the status of a session: its first token and its login. It returns registry.ErrLost if
	// the session was changed or deleted since it was created.
	BeginSession(ctx context.Context, key *v1alpha1.JWTRefreshKey) error
	// Revoke records a revocation if it is due for the refresh key at the API server.
	Revoke(ctx context.Context, name types.NamespacedName, reason v1alpha1.RevocationReason, due func(*v1alpha1.JWTRefreshKey) bool) error
	// EndSession deletes a session; one that does not exist is no error. It returns registry.ErrLost if the key has
	// a resourceVersion and was changed since, or if its name belongs to another refresh key now.
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
	// Reviews authenticates subject tokens, which any client may send.
	Reviews   binding.Reviewer
	Clients   *binding.Clients
	Providers Providers
	Passwords Passwords
	Clock     clock.PassiveClock
	// NewID returns a new jti: unique, and without meaning.
	NewID func() string
}

// Service begins sessions, and checks whether they go on.
type Service struct {
	Options
	attempts *identity.Attempts
	devices  *devices
}

// Limits of the logins of one subject: a burst, for the pods of a workload that start together, and one more after
// each loginAgain.
const (
	loginsAtOnce = 60
	loginAgain   = time.Second
)

// New returns a Service.
func New(o Options) (*Service, error) {
	attempts, err := identity.NewAttempts(loginsAtOnce, loginAgain)
	if err != nil {
		return nil, err
	}
	devices, err := newDevices()
	return &Service{Options: o, attempts: attempts, devices: devices}, err
}

package grant

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/internal/usage"
)

// Directory finds issuers in the view of a replica, however old the view is. The issuer that it finds grants nothing
// until the view is proven fresh.
type Directory interface {
	// At returns the place of a request, with the issuers that the request may be for.
	At(path, host string) registry.Place
	// ServiceOf returns whether the issuer with a URL is served, for a token with that issuer and kid.
	ServiceOf(url, kid string) registry.Service
}

// Registry provides the cluster's state to the grants, and records their results in it.
type Registry interface {
	Directory
	session.Registry
	// Fresh returns an error if the views may be too old to answer from.
	Fresh() error
	// KeyLive returns the refresh key as read from the API server for the token with that jti, possibly a few
	// seconds ago; nil if it does not exist.
	KeyLive(ctx context.Context, name types.NamespacedName, jti string) (*v1alpha1.JWTRefreshKey, error)
	// KeysProven returns the time since the view of a namespace's refresh keys was proven to equal the API
	// server's.
	KeysProven(namespace string) time.Duration
	// IssuersNow lists all issuers from the API server, for a token with an unknown issuer and its kid.
	IssuersNow(ctx context.Context, url, kid string) error
	// IssuerReread returns the issuer with its signing keys as read from the API server, for a token with an
	// unknown kid.
	IssuerReread(ctx context.Context, issuer *registry.Issuer, kid string) (*registry.Issuer, error)
	// Advance records the next token of a line. It returns registry.ErrLost if the refresh key was changed since
	// it was read.
	Advance(ctx context.Context, key *v1alpha1.JWTRefreshKey, line *v1alpha1.TokenLine, use *usage.Use) error
	// Used records an exchange.
	Used(use *usage.Use)
}

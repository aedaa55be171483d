package tokenserver

import (
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// Clients returns a client of the API server without a client-side rate limit. The API server limits its clients
// by priority and fairness. Requests that unauthenticated clients can cause have their own limits.
func Clients(config *rest.Config) (kubernetes.Interface, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	return kubernetes.NewForConfig(config)
}

// ForCluster returns the Server of a cluster, and sets Issuers, Grants and Callers of the options. namespace is
// the operator's own. newID returns the jti of a token: unique, and without meaning.
func ForCluster(config *rest.Config, cluster *registry.Cluster, namespace string, clock clock.PassiveClock, newID func() string, o Options) (*Server, error) {
	clients, err := Clients(config)
	if err != nil {
		return nil, err
	}
	reviews := identity.NewReviews(clients, clock)
	// Client assertions have their own rate limit: reviews of logins and introspections, which any client can
	// cause, must not use up the reviews that holders of valid tokens need.
	assertions := identity.NewReviews(clients, clock)
	o.Callers = NewClusterCallers(reviews, clients, clock)
	passwords, err := identity.NewPasswords(clients, namespace, clock)
	if err != nil {
		return nil, err
	}
	o.Grants, err = grant.New(grant.Options{
		Registry: cluster, Reviews: reviews, Assertions: assertions, Providers: identity.NewProviders(clock), Passwords: passwords, Clock: clock, NewID: newID,
	})
	if err != nil {
		return nil, err
	}
	o.Issuers = cluster
	return New(o)
}

package tokenserver

import (
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/signin"
	"github.com/refreshkeys/refreshkeys/internal/unthrottled"
)

// Clients returns a client of the API server without a client-side rate limit.
func Clients(config *rest.Config) (kubernetes.Interface, error) {
	return kubernetes.NewForConfig(unthrottled.Config(config))
}

// ForCluster returns the Server of a cluster, and sets Issuers, Grants, SignIn and Callers of the options. namespace is
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
	providers := identity.NewProviders(clock)
	flows, err := identity.NewCodeFlows(providers, identity.NewClientProofs(clients, namespace, o.ServiceAccount, clock))
	if err != nil {
		return nil, err
	}
	o.Grants, err = grant.New(grant.Options{
		Registry: cluster, Reviews: reviews, Assertions: assertions, Providers: providers, Passwords: passwords, Clock: clock, NewID: newID,
	})
	if err != nil {
		return nil, err
	}
	o.SignIn = signin.New(signin.Options{Registry: cluster, Sessions: o.Grants.Logins(), Providers: flows, Clock: clock})
	o.Issuers = cluster
	return New(o)
}

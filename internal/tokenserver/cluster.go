package tokenserver

import (
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// Clients are those of an API server whose own priority and fairness is the better judge of
// what it can bear: what strangers can ask of it is bounded where they ask.
func Clients(config *rest.Config) (kubernetes.Interface, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	return kubernetes.NewForConfig(config)
}

// ForCluster makes the Server of a cluster: its Issuers, Grants and Callers are those of the
// cluster, whatever the options say. namespace is the operator's own. Tokens are made by the given clock, and newID makes
// their jti: unique, and with no meaning.
func ForCluster(config *rest.Config, cluster *registry.Cluster, namespace string, clock clock.PassiveClock, newID func() string, o Options) (*Server, error) {
	clients, err := Clients(config)
	if err != nil {
		return nil, err
	}
	reviews, err := identity.NewReviews(clients, clock)
	if err != nil {
		return nil, err
	}
	// What strangers ask, at a login or about a token, must not use up what holders of good tokens
	// need to prove themselves.
	assertions, err := identity.NewReviews(clients, clock)
	if err != nil {
		return nil, err
	}
	if o.Callers, err = NewClusterCallers(reviews, clients, clock); err != nil {
		return nil, err
	}
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

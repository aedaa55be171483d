package controllers

import (
	"context"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

const (
	// namespaceCheckInterval is how often the manager checks whether it can watch a namespace that it could not watch.
	namespaceCheckInterval = 30 * time.Second
	// accessReviewTimeout bounds the access reviews at the start.
	accessReviewTimeout = 30 * time.Second
)

// namespaces are those whose keys the manager reconciles, if these are not all.
//
// A cache that may not list in one of its namespaces never fills, and the manager would reconcile nothing. One tenant
// who deletes their namespace, or the Role in it, would stop all others at the next start. So the manager leaves out
// namespaces that it cannot watch, until it can.
type namespaces struct {
	reviews    authorizationclient.SelfSubjectAccessReviewInterface
	ticker     clock.WithTicker
	watched    []string
	unwatched  []string
	everywhere bool
	// configMaps is true if the manager publishes the CA bundle, and so watches its ConfigMap.
	configMaps bool
}

// watchedNamespaces asks the API server which of the namespaces this manager may watch.
func watchedNamespaces(config *rest.Config, o *Options) (*namespaces, error) {
	n := &namespaces{ticker: o.Monotonic, everywhere: len(o.Namespaces) == 0, configMaps: o.PublishCA}
	if n.everywhere {
		return n, nil
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	n.reviews = clients.AuthorizationV1().SelfSubjectAccessReviews()
	ctx, cancel := context.WithTimeout(context.Background(), accessReviewTimeout)
	defer cancel()
	for _, name := range o.Namespaces {
		allowed, err := n.allowed(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("check whether the manager can watch namespace %s: %w", name, err)
		}
		if allowed {
			n.watched = append(n.watched, name)
		} else {
			n.unwatched = append(n.unwatched, name)
		}
	}
	if len(n.watched) == 0 {
		return nil, fmt.Errorf("the manager can watch none of the namespaces %v: they do not exist, or they lack the Role for the manager", n.unwatched)
	}
	return n, nil
}

// allowed reports whether the manager can watch what it works on in a namespace.
func (n *namespaces) allowed(ctx context.Context, namespace string) (bool, error) {
	watches := []authorizationv1.ResourceAttributes{
		{Namespace: namespace, Verb: "list", Group: v1alpha1.Group, Resource: "jwtrefreshkeys"},
		{Namespace: namespace, Verb: "watch", Group: v1alpha1.Group, Resource: "jwtrefreshkeys"},
		{Namespace: namespace, Verb: "list", Resource: "secrets"},
		{Namespace: namespace, Verb: "watch", Resource: "secrets"},
	}
	if n.configMaps {
		watches = append(watches,
			authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "list", Resource: "configmaps", Name: v1alpha1.PublishedCA},
			authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "watch", Resource: "configmaps", Name: v1alpha1.PublishedCA})
	}
	for _, what := range watches {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &what}}
		answer, err := n.reviews.Create(ctx, review, metav1.CreateOptions{})
		if err != nil || !answer.Status.Allowed {
			return false, err
		}
	}
	return true, nil
}

// cacheConfig returns the cache configuration for these namespaces and further ones; nil selects all.
func (n *namespaces) cacheConfig(more ...string) map[string]cache.Config {
	if n.everywhere {
		return nil
	}
	all := map[string]cache.Config{}
	for _, name := range append(more, n.watched...) {
		all[name] = cache.Config{}
	}
	return all
}

// secretCacheConfig returns the configuration for the cache of Secrets. In the operator's namespace it selects all
// Secrets, with any labels: a policy that changes labels must not hide the signing keys.
func (n *namespaces) secretCacheConfig(own string) map[string]cache.Config {
	all := n.cacheConfig(own)
	if n.everywhere {
		all = map[string]cache.Config{cache.AllNamespaces: {}}
	}
	all[own] = cache.Config{LabelSelector: labels.Everything()}
	return all
}

// NeedLeaderElection is part of manager.LeaderElectionRunnable. It is false: a standby replica must watch the same
// namespaces as the leader.
func (*namespaces) NeedLeaderElection() bool { return false }

// Start waits until the manager can watch a namespace that was left out, and then returns an error, which ends the
// manager. The namespaces of a cache are fixed, and the Deployment starts the manager again.
func (n *namespaces) Start(ctx context.Context) error {
	if len(n.unwatched) == 0 {
		return nil
	}
	ctrl.LoggerFrom(ctx).Info("the manager does not watch some namespaces: they do not exist, or they lack the Role for the manager", "namespaces", n.unwatched)
	ticks := n.ticker.NewTicker(namespaceCheckInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C():
		}
		for _, name := range n.unwatched {
			if allowed, err := n.allowed(ctx, name); err == nil && allowed {
				return fmt.Errorf("the manager can watch namespace %s now: restart it", name)
			}
		}
	}
}

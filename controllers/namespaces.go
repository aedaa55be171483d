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
	// namespaceLooks is how often it is looked whether a namespace that could not be watched can be.
	namespaceLooks = 30 * time.Second
	// askFor is how long an answer is waited for.
	askFor = 30 * time.Second
)

// namespaces are those whose keys are worked on, where these are not all.
//
// A cache that may not list in one of its namespaces never fills, and the manager would do nothing
// anywhere: one tenant who deletes their namespace, or the Role in it, would stop all others at the
// next start. So those that cannot be watched are left out, until they can be.
type namespaces struct {
	reviews    authorizationclient.SelfSubjectAccessReviewInterface
	monotonic  clock.WithTicker
	watched    []string
	unwatched  []string
	everywhere bool
}

// watchedNamespaces asks the API server which of the namespaces this manager may work in.
func watchedNamespaces(config *rest.Config, o *Options) (*namespaces, error) {
	n := &namespaces{monotonic: o.Monotonic, everywhere: len(o.Namespaces) == 0}
	if n.everywhere {
		return n, nil
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	n.reviews = clients.AuthorizationV1().SelfSubjectAccessReviews()
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	for _, name := range o.Namespaces {
		allowed, err := n.allowed(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("ask whether keys of namespace %s can be worked on: %w", name, err)
		}
		if allowed {
			n.watched = append(n.watched, name)
		} else {
			n.unwatched = append(n.unwatched, name)
		}
	}
	if len(n.watched) == 0 {
		return nil, fmt.Errorf("none of the namespaces %v can be worked on: they do not exist, or the Role for the manager is not there", n.unwatched)
	}
	return n, nil
}

// allowed tells whether keys and Secrets of a namespace can be watched.
func (n *namespaces) allowed(ctx context.Context, namespace string) (bool, error) {
	for _, what := range []authorizationv1.ResourceAttributes{
		{Namespace: namespace, Verb: "list", Group: v1alpha1.Group, Resource: "jwtrefreshkeys"},
		{Namespace: namespace, Verb: "watch", Group: v1alpha1.Group, Resource: "jwtrefreshkeys"},
		{Namespace: namespace, Verb: "list", Resource: "secrets"},
		{Namespace: namespace, Verb: "watch", Resource: "secrets"},
	} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &what}}
		answer, err := n.reviews.Create(ctx, review, metav1.CreateOptions{})
		if err != nil || !answer.Status.Allowed {
			return false, err
		}
	}
	return true, nil
}

// and is for the cache: these namespaces and some more, or all where nil.
func (n *namespaces) and(more ...string) map[string]cache.Config {
	if n.everywhere {
		return nil
	}
	all := map[string]cache.Config{}
	for _, name := range append(more, n.watched...) {
		all[name] = cache.Config{}
	}
	return all
}

// secrets is for the cache of Secrets. In the operator's own namespace it shows all of them, whatever their
// labels: a policy that changes labels must not hide the signing keys.
func (n *namespaces) secrets(own string) map[string]cache.Config {
	all := n.and(own)
	if n.everywhere {
		all = map[string]cache.Config{cache.AllNamespaces: {}}
	}
	all[own] = cache.Config{LabelSelector: labels.Everything()}
	return all
}

// NeedLeaderElection is part of manager.LeaderElectionRunnable: whoever stands by must watch what
// the leader does.
func (*namespaces) NeedLeaderElection() bool { return false }

// Start waits until a namespace that was left out can be watched, and then ends the manager: a
// cache has its namespaces from the beginning, and whoever runs the manager starts it again.
func (n *namespaces) Start(ctx context.Context) error {
	if len(n.unwatched) == 0 {
		return nil
	}
	ctrl.LoggerFrom(ctx).Info("namespaces are left out: they do not exist, or the Role for the manager is not there", "namespaces", n.unwatched)
	ticker := n.monotonic.NewTicker(namespaceLooks)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
		for _, name := range n.unwatched {
			if allowed, err := n.allowed(ctx, name); err == nil && allowed {
				return fmt.Errorf("namespace %s can be worked on now: start again to watch it", name)
			}
		}
	}
}

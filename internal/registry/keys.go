package registry

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// watchKeys watches the refresh keys of all namespaces, or of each served one. Each served namespace has its own
// freshness: if one is deleted or its Role is removed, exchanges in the others continue.
func (c *Cluster) watchKeys() {
	c.keys = map[string]*view[*v1alpha1.JWTRefreshKey]{}
	if len(c.options.Namespaces) == 0 {
		c.watchKeysIn(metav1.NamespaceAll, c.freshness())
	}
	for _, namespace := range c.options.Namespaces {
		if c.keys[namespace] == nil {
			c.watchKeysIn(namespace, &freshness{clock: c.options.Monotonic})
		}
	}
}

func (c *Cluster) watchKeysIn(namespace string, fresh *freshness) {
	keys := newView(fresh, slimKey, func() {})
	c.keys[namespace] = keys
	list := func() client.ObjectList { return &v1alpha1.JWTRefreshKeyList{} }
	c.watches = append(c.watches, watched{
		"JWTRefreshKey", v1alpha1.GroupVersion.WithKind("JWTRefreshKey"), keys, fresh, list, []client.ListOption{client.InNamespace(namespace)},
	})
}

// keysIn returns the view that contains a namespace's refresh keys; nil if the namespace is not served.
func (c *Cluster) keysIn(namespace string) *view[*v1alpha1.JWTRefreshKey] {
	if all := c.keys[metav1.NamespaceAll]; all != nil {
		return all
	}
	return c.keys[namespace]
}

// outdated reports whether the view of a single namespace is too old, so that each of its refresh keys must be
// read from the API server. For a view of all namespaces, callers check Fresh first.
func (c *Cluster) outdated(keys *view[*v1alpha1.JWTRefreshKey]) bool {
	if len(c.options.Namespaces) == 0 {
		return false
	}
	age, proven := keys.fresh.age()
	return !proven || age > c.options.MaxStaleness
}

// served returns ErrUnavailable for a namespace that this service does not serve. The refresh key may exist, so a
// client must not discard its token.
func (c *Cluster) served(namespace string) error {
	if c.keysIn(namespace) == nil {
		return fmt.Errorf("%w: the refresh keys of namespace %s are not served here", upstream.ErrUnavailable, namespace)
	}
	return nil
}

// remember puts a refresh key that was read or written at the API server into its view.
func (c *Cluster) remember(key *v1alpha1.JWTRefreshKey) {
	if keys := c.keysIn(key.Namespace); keys != nil {
		keys.remember(key)
	}
}

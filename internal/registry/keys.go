package registry

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// watchKeys watches the keys of all namespaces, or of each that is served. Of several, each is
// proven fresh by itself: one that was deleted, or whose Role somebody took away, must not stop the
// exchange of the others' tokens.
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

// keysIn is the view of a namespace's keys, nil where it is not served.
func (c *Cluster) keysIn(namespace string) *view[*v1alpha1.JWTRefreshKey] {
	if all := c.keys[metav1.NamespaceAll]; all != nil {
		return all
	}
	return c.keys[namespace]
}

// outdated: the keys of one namespace are not proven, so that the API server has to be asked for
// each. Of the keys of all namespaces, Fresh tells before anything is looked up.
func (c *Cluster) outdated(keys *view[*v1alpha1.JWTRefreshKey]) bool {
	if len(c.options.Namespaces) == 0 {
		return false
	}
	age, proven := keys.fresh.age()
	return !proven || age > c.options.MaxStaleness
}

// served is an error for a key that this service knows nothing of. It may live all the same, so
// that no client is to discard its token.
func (c *Cluster) served(namespace string) error {
	if c.keysIn(namespace) == nil {
		return fmt.Errorf("%w: the refresh keys of namespace %s are not served here", ErrUnavailable, namespace)
	}
	return nil
}

// remember takes up a key that was read or written at the API server.
func (c *Cluster) remember(key *v1alpha1.JWTRefreshKey) {
	if keys := c.keysIn(key.Namespace); keys != nil {
		keys.remember(key)
	}
}

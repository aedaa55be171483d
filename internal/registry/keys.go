package registry

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/freshview"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// watchKeys makes a view of the refresh keys of all namespaces, or of each served one. Each served namespace has its
// own view: if one is deleted or its Role is removed, exchanges in the others continue.
func (c *Cluster) watchKeys() {
	namespaces := c.options.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	c.keys = map[string]*freshview.View[*v1alpha1.JWTRefreshKey]{}
	for _, namespace := range namespaces {
		c.keys[namespace] = freshview.New(freshview.Source[*v1alpha1.JWTRefreshKey]{
			Kind: v1alpha1.GroupVersion.WithKind("JWTRefreshKey"), List: func() client.ObjectList { return &v1alpha1.JWTRefreshKeyList{} },
			Options: []client.ListOption{client.InNamespace(namespace)}, Slim: Slim,
		}, c.options.Monotonic)
	}
	if all := c.keys[metav1.NamespaceAll]; all != nil {
		c.shared = append(c.shared, all)
	}
}

// keysIn returns the view that contains a namespace's refresh keys; nil if the namespace is not served.
func (c *Cluster) keysIn(namespace string) *freshview.View[*v1alpha1.JWTRefreshKey] {
	if all := c.keys[metav1.NamespaceAll]; all != nil {
		return all
	}
	return c.keys[namespace]
}

// outdated reports whether the view of a single namespace is too old, so that each of its refresh keys must be
// read from the API server. For a view of all namespaces, callers check Fresh first.
func (c *Cluster) outdated(keys *freshview.View[*v1alpha1.JWTRefreshKey]) bool {
	if len(c.options.Namespaces) == 0 {
		return false
	}
	age, proven := keys.Age()
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
		keys.Remember(key)
	}
}

package registry

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/freshview"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// SlowestProof is the longest time between two proofs that a view is up to date, while the API server answers.
const SlowestProof = freshview.SlowestProof

// view is a view of any kind.
type view interface {
	Run(ctx context.Context, reader client.WithWatch)
	Age() (time.Duration, bool)
}

// watchIssuers makes the views of issuers, of the Secrets with their signing keys, and of namespaces.
func (c *Cluster) watchIssuers() {
	c.issuers = freshview.New(freshview.Source[*v1alpha1.JWTIssuer]{
		Kind: v1alpha1.GroupVersion.WithKind("JWTIssuer"), List: func() client.ObjectList { return &v1alpha1.JWTIssuerList{} },
		Slim: slimIssuer, Changed: c.rebuild,
	}, c.options.Monotonic)
	c.rings = freshview.New(freshview.Source[*corev1.Secret]{
		Kind: corev1.SchemeGroupVersion.WithKind("Secret"), List: func() client.ObjectList { return &corev1.SecretList{} },
		Options: []client.ListOption{client.InNamespace(c.options.Namespace), client.HasLabels{v1alpha1.LabelSigningKeysOf}},
		Slim:    slimMeta[*corev1.Secret], Changed: c.rebuild,
	}, c.options.Monotonic)
	c.namespaces = freshview.New(freshview.Source[*metav1.PartialObjectMetadata]{
		Kind: corev1.SchemeGroupVersion.WithKind("Namespace"), List: namespaceList, Slim: slimMeta[*metav1.PartialObjectMetadata],
	}, c.options.Monotonic)
	c.shared = append(c.shared, c.issuers, c.rings, c.namespaces)
}

func namespaceList() client.ObjectList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	return list
}

// views returns all views.
func (c *Cluster) views() []view {
	views := slices.Clone(c.shared)
	for namespace, keys := range c.keys {
		if namespace != metav1.NamespaceAll {
			views = append(views, keys)
		}
	}
	return views
}

// Fresh returns nil while all views were proven up to date within MaxStaleness, and ErrUnavailable otherwise.
func (c *Cluster) Fresh() error {
	if c.Staleness() > c.options.MaxStaleness {
		return fmt.Errorf("%w: this replica's view of the cluster was not proven up to date for %s", upstream.ErrUnavailable, c.options.MaxStaleness)
	}
	return nil
}

// Staleness returns the time since all views were proven up to date; the longest duration if they never were.
func (c *Cluster) Staleness() time.Duration {
	var oldest time.Duration
	for _, view := range c.shared {
		age, proven := view.Age()
		if !proven {
			return math.MaxInt64
		}
		oldest = max(oldest, age)
	}
	return oldest
}

// KeysProven returns the time since the view of a namespace's refresh keys was proven; the longest duration if it
// never was, or if the namespace is not served.
func (c *Cluster) KeysProven(namespace string) time.Duration {
	keys := c.keysIn(namespace)
	if keys == nil {
		return math.MaxInt64
	}
	age, proven := keys.Age()
	if !proven {
		return math.MaxInt64
	}
	return age
}

// rebuild builds the directory of issuers from the views.
func (c *Cluster) rebuild() {
	c.rebuilding.Lock()
	defer c.rebuilding.Unlock()
	rings := map[string]*corev1.Secret{}
	for _, secret := range c.rings.All() {
		rings[secret.Labels[v1alpha1.LabelSigningKeysOf]] = secret
	}
	c.directory.Store(NewDirectory(c.issuers.All(), c.options.Namespace, rings))
}

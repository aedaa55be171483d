// Package registry is the token service's view of refresh keys and issuers. It serves them from watches, reads them from
// the API server before a refusal, and writes what the token service records in them.
package registry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// ErrLost means that another writer changed the refresh key first; read it again. It is matched with errors.Is.
var ErrLost = errors.New("another writer changed or created the refresh key first")

// Options of a Cluster.
type Options struct {
	// Namespace is the operator's own namespace, which holds the signing keys. Required.
	Namespace string
	// Namespaces are the namespaces that are served; all if empty.
	Namespaces []string
	// MaxStaleness is the maximum age of a view that is used without a new proof of freshness, at least two
	// minutes. Default 10m.
	MaxStaleness time.Duration
	// LiveReads is how many refresh keys a second are read from the API server before a token is refused. Default
	// 100.
	LiveReads float64
	// Spread returns a random part of a duration. Default: rand.N of math/rand/v2.
	Spread func(time.Duration) time.Duration
	// Clock is the clock for written times. Default: the machine's clock.
	Clock clock.PassiveClock
	// Monotonic measures elapsed time, such as the age of a view and the time between proofs of freshness. A
	// test's Clock does not affect it. Default: the machine's clock.
	Monotonic clock.WithTicker
}

func (o *Options) setDefaults() {
	if o.MaxStaleness == 0 {
		o.MaxStaleness = 10 * time.Minute
	}
	if o.LiveReads == 0 {
		o.LiveReads = 100
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Spread == nil {
		o.Spread = rand.N[time.Duration]
	}
	if o.Monotonic == nil {
		o.Monotonic = clock.RealClock{}
	}
}

// Cluster is the registry of a cluster's refresh keys and issuers. It serves them from watches, and reads them
// from the API server before it refuses a token.
type Cluster struct {
	options Options
	client  client.WithWatch
	fresh   []*freshness
	watches []watched

	// keys is a view for each served namespace, or one of all namespaces under the empty name.
	keys       map[string]*view[*v1alpha1.JWTRefreshKey]
	issuers    *view[*v1alpha1.JWTIssuer]
	rings      *view[*corev1.Secret]
	namespaces *view[*metav1.PartialObjectMetadata]

	rebuilding sync.Mutex
	directory  atomic.Pointer[directory]

	flights     upstream.Flights[keyRead]
	limiter     *rate.Limiter
	recentReads *lru.Cache[string, keyRead]
	accounts    upstream.Flights[accountRead]
	// lists are requested for tokens that name an unknown issuer or signing key.
	lists         upstream.Flights[time.Time]
	lookUpLimiter *rate.Limiter
	unknown       *lru.Cache[unknown, time.Time]
	uses          *uses
}

// New returns a Cluster, which is empty until Run.
func New(config *rest.Config, o Options) (*Cluster, error) {
	o.setDefaults()
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	config = rest.CopyConfig(config)
	// The API server limits its clients by priority and fairness; a client-side limit is redundant.
	config.QPS = -1
	reader, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	recentReads, err := lru.New[string, keyRead](rememberedReads)
	if err != nil {
		return nil, err
	}
	unknowns, err := lru.New[unknown, time.Time](rememberedUnknown)
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		options: o, client: reader, recentReads: recentReads,
		unknown: unknowns, lookUpLimiter: rate.NewLimiter(lookUpRate, lookUpBurst),
		limiter: rate.NewLimiter(rate.Limit(o.LiveReads), int(o.LiveReads)+1),
	}
	c.directory.Store(newDirectory(nil, o.Namespace, nil))
	c.issuers = newView(c.freshness(), slimIssuer, c.rebuild)
	c.rings = newView(c.freshness(), slimMeta[*corev1.Secret], c.rebuild)
	c.namespaces = newView(c.freshness(), slimMeta[*metav1.PartialObjectMetadata], func() {})
	c.uses = newUses(c)
	inOwnNamespace := []client.ListOption{client.InNamespace(o.Namespace), client.HasLabels{v1alpha1.LabelSigningKeysOf}}
	c.watchKeys()
	c.watches = append(c.watches, []watched{
		{"JWTIssuer", v1alpha1.GroupVersion.WithKind("JWTIssuer"), c.issuers, c.issuers.fresh, func() client.ObjectList { return &v1alpha1.JWTIssuerList{} }, nil},
		{"Secret", corev1.SchemeGroupVersion.WithKind("Secret"), c.rings, c.rings.fresh, func() client.ObjectList { return &corev1.SecretList{} }, inOwnNamespace},
		{"Namespace", corev1.SchemeGroupVersion.WithKind("Namespace"), c.namespaces, c.namespaces.fresh, namespaceList, nil},
	}...)
	return c, nil
}

func namespaceList() client.ObjectList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	return list
}

func (c *Cluster) freshness() *freshness {
	f := &freshness{clock: c.options.Monotonic}
	c.fresh = append(c.fresh, f)
	return f
}

// Run watches until ctx ends, and then writes the recorded uses that are not written yet.
func (c *Cluster) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range c.watches {
		reflector := cache.NewReflectorWithOptions(w.source(c.client, c.options.Monotonic), nil, w.store, cache.ReflectorOptions{
			Name: w.name, TypeDescription: w.name, Backoff: &watchBackoff,
		})
		group.Go(func() error { reflector.RunWithContext(ctx); return nil })
		group.Go(func() error { w.proveAgain(ctx, c.client, c.options.Monotonic); return nil })
	}
	group.Go(func() error { return c.uses.run(ctx) })
	return group.Wait()
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
	for _, fresh := range c.fresh {
		age, proven := fresh.age()
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
	age, proven := keys.fresh.age()
	if !proven {
		return math.MaxInt64
	}
	return age
}

// Key returns a refresh key from the view; nil if it is unknown or its view is outdated.
func (c *Cluster) Key(name types.NamespacedName) *v1alpha1.JWTRefreshKey {
	known := c.keysIn(name.Namespace)
	if known == nil || c.outdated(known) {
		return nil
	}
	key, _ := known.get(name)
	return key
}

// NamespaceLabels returns the labels of a namespace; false if it is unknown.
func (c *Cluster) NamespaceLabels(name string) (map[string]string, bool) {
	namespace, found := c.namespaces.get(types.NamespacedName{Name: name})
	if !found {
		return nil, false
	}
	return namespace.Labels, true
}

// At returns the place of a request, with the issuers that the request may be for.
func (c *Cluster) At(path, host string) Place { return c.directory.Load().find(path, host) }

// ServiceOf returns whether the issuer with a URL is served, for a token with that issuer and kid.
func (c *Cluster) ServiceOf(url, kid string) Service { return c.directory.Load().service(url, kid) }

// rebuild builds the directory of issuers from the views.
func (c *Cluster) rebuild() {
	c.rebuilding.Lock()
	defer c.rebuilding.Unlock()
	rings := map[string]*corev1.Secret{}
	for _, secret := range c.rings.all() {
		rings[secret.Labels[v1alpha1.LabelSigningKeysOf]] = secret
	}
	c.directory.Store(newDirectory(c.issuers.all(), c.options.Namespace, rings))
}

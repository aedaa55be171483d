// Package registry is the token service's view of refresh keys and issuers. It serves them from watches, reads them from
// the API server before a refusal, and writes what the token service records in them.
package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/freshview"
	"github.com/refreshkeys/refreshkeys/internal/memo"
	"github.com/refreshkeys/refreshkeys/internal/unthrottled"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
	"github.com/refreshkeys/refreshkeys/internal/usage"
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

	// keys is a view for each served namespace, or one of all namespaces under the empty name.
	keys       map[string]*freshview.View[*v1alpha1.JWTRefreshKey]
	issuers    *freshview.View[*v1alpha1.JWTIssuer]
	rings      *freshview.View[*corev1.Secret]
	namespaces *freshview.View[*metav1.PartialObjectMetadata]
	// shared are the views that every exchange needs. The view of a single served namespace is not one of them.
	shared []view

	rebuilding sync.Mutex
	directory  atomic.Pointer[Directory]

	flights     upstream.Flights[keyRead]
	limiter     *rate.Limiter
	recentReads *memo.Memo[string, *v1alpha1.JWTRefreshKey]
	accounts    upstream.Flights[accountRead]
	// lists are requested for tokens that name an unknown issuer or signing key.
	lists         upstream.Flights[time.Time]
	lookUpLimiter *rate.Limiter
	unknown       *memo.Memo[unknown, struct{}]
	uses          *usage.Recorder
}

// New returns a Cluster, which is empty until Run.
func New(config *rest.Config, o Options) (*Cluster, error) {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	config = unthrottled.Config(config)
	reader, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return newCluster(reader, o), nil
}

// newCluster returns a Cluster whose requests the client sends.
func newCluster(reader client.WithWatch, o Options) *Cluster {
	o.setDefaults()
	c := &Cluster{
		options: o, client: reader,
		recentReads: memo.New[string, *v1alpha1.JWTRefreshKey](rememberedReads, o.Monotonic),
		unknown:     memo.New[unknown, struct{}](rememberedUnknown, o.Monotonic), lookUpLimiter: rate.NewLimiter(lookUpRate, lookUpBurst),
		limiter: rate.NewLimiter(rate.Limit(o.LiveReads), int(o.LiveReads)+1),
	}
	c.directory.Store(NewDirectory(nil, o.Namespace, nil))
	c.watchIssuers()
	c.watchKeys()
	c.uses = usage.New(usage.Options{Keys: usedKeys{c}, Spread: o.Spread, Clock: o.Clock, Monotonic: o.Monotonic})
	return c
}

// Run watches until ctx ends, and then writes the recorded uses that are not written yet.
func (c *Cluster) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, view := range c.views() {
		group.Go(func() error { view.Run(ctx, c.client); return nil })
	}
	group.Go(func() error { c.uses.Run(ctx); return nil })
	return group.Wait()
}

// Key returns a refresh key from the view; nil if it is unknown or its view is outdated.
func (c *Cluster) Key(name types.NamespacedName) *v1alpha1.JWTRefreshKey {
	known := c.keysIn(name.Namespace)
	if known == nil || c.outdated(known) {
		return nil
	}
	key, _ := known.Get(name)
	return key
}

// NamespaceLabels returns the labels of a namespace; false if it is unknown.
func (c *Cluster) NamespaceLabels(name string) (map[string]string, bool) {
	namespace, found := c.namespaces.Get(types.NamespacedName{Name: name})
	if !found {
		return nil, false
	}
	return namespace.Labels, true
}

// At returns the place of a request, with the issuers that the request may be for.
func (c *Cluster) At(path, host string) Place { return c.directory.Load().At(path, host) }

// ServiceOf returns whether the issuer with a URL is served, for a token with that issuer and kid.
func (c *Cluster) ServiceOf(url, kid string) Service { return c.directory.Load().ServiceOf(url, kid) }

package controllers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/apicalls"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// Options of the operator. The zero value of each field is a sensible default but for Namespace.
type Options struct {
	// Namespace is the operator's own, where the signing keys are. Required.
	Namespace string
	// Namespaces are those whose keys are worked on. Empty: all.
	Namespaces []string
	// TLSSecret is the Secret, in Namespace, with the token service's certificate. Where there is
	// none it is made, and renewed. Default: refreshkeys-tokenserver-tls.
	TLSSecret string
	// TLSNames are DNS names and IP addresses that the certificate is for beside the hosts of all
	// issuers and the Service's name.
	TLSNames []string
	// Workers is how many keys are worked on at once. Default 16.
	Workers int
	// ReissuePerSecond paces what the withdrawal of a signing key sets off. Default 50.
	ReissuePerSecond float64
	// FastPropagation has the pods that mount a Secret read a new token at once. The manager needs
	// the rights of config/fast-propagation for it.
	FastPropagation bool
	// Restarts has the workloads that spec.rolloutRestart names restarted after a rotation. The
	// manager needs the rights of config/restarts for it.
	Restarts bool
	// RestartDelay gathers rotations of about the same time into one restart. Default 5 s.
	RestartDelay time.Duration
	// Clock tells the time. Default: the machine's.
	Clock clock.PassiveClock
	// Monotonic measures elapsed time, for polling what no watch reports. Default: the machine's clock.
	Monotonic clock.WithTicker
	// NewID makes identifiers of tokens. Default: UUIDs of version 7 (RFC 9562 §5.7).
	NewID func() string
	// GenerateKey makes signing keys. Default: keyring.Generate.
	GenerateKey KeyGenerator
	// Metrics is where metrics are registered. Default: controller-runtime's registry, which the
	// manager serves; nowhere with SeveralInProcess.
	Metrics prometheus.Registerer
	// WithoutKeyMetrics has keys counted only, and none listed by itself: for very many of them.
	WithoutKeyMetrics bool
	// SeveralInProcess allows more than one manager in a process, as tests want.
	SeveralInProcess bool
}

func (o *Options) setDefaults() {
	if o.TLSSecret == "" {
		o.TLSSecret = "refreshkeys-tokenserver-tls"
	}
	if o.Workers == 0 {
		o.Workers = 16
	}
	if o.ReissuePerSecond == 0 {
		o.ReissuePerSecond = 50
	}
	if o.RestartDelay == 0 {
		o.RestartDelay = 5 * time.Second
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Monotonic == nil {
		o.Monotonic = clock.RealClock{}
	}
	if o.NewID == nil {
		o.NewID = func() string { return uuid.Must(uuid.NewV7()).String() } //nolint:forbidigo // this is where the real one comes in
	}
	if o.Metrics == nil && !o.SeveralInProcess {
		o.Metrics = metrics.Registry
	}
	if o.GenerateKey == nil {
		o.GenerateKey = keyring.Generate
	}
}

// Scheme knows all kinds that the operator works with.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(fmt.Sprintf("controllers: register kinds: %v", err))
		}
	}
	return scheme
}

// NewManager makes a manager with both controllers. What base says of caches, clients and
// the scheme is replaced: they are part of how the controllers work. Its logger is kept from
// showing what is in Secrets.
func NewManager(config *rest.Config, base ctrl.Options, o Options) (ctrl.Manager, error) {
	o.setDefaults()
	config = rest.CopyConfig(config)
	// The API server's own priority and fairness is the better judge of what it can bear.
	config.QPS = -1
	calls := apicalls.New()
	calls.Wrap(config)
	base.Logger = discreet(base.Logger)
	base.Scheme = Scheme()
	watched, err := watchedNamespaces(config, &o)
	if err != nil {
		return nil, err
	}
	base.Cache = cacheOptions(&o, watched)
	base.MapperProvider = newRememberingMapper
	mgr, err := ctrl.NewManager(config, base)
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	if err := mgr.Add(watched); err != nil {
		return nil, err
	}
	certificates := newCertificateReconciler(mgr, &o)
	if err := certificates.SetupWithManager(mgr, o); err != nil {
		return nil, fmt.Errorf("set up the controller of the certificate: %w", err)
	}
	if err := newRefreshKeyReconciler(mgr, certificates, &o).SetupWithManager(mgr, o); err != nil {
		return nil, fmt.Errorf("set up the controller of JWTRefreshKeys: %w", err)
	}
	issuerKeys := &IssuerReconciler{
		Client: boundedWrites{mgr.GetClient()}, Live: boundedReader{mgr.GetAPIReader()}, Events: mgr.GetEventRecorder("refreshkeys"),
		own:     newOwnWrites(mgr.GetClient(), o.Monotonic, func() client.Object { return &v1alpha1.JWTIssuer{} }),
		altered: newAlterations(o.Monotonic), failures: newFailures(o.Monotonic),
		Clock: o.Clock, Generate: o.GenerateKey, Namespace: o.Namespace, trust: certificates.Found, trustTold: certificates.told,
	}
	if err := issuerKeys.SetupWithManager(mgr, o); err != nil {
		return nil, fmt.Errorf("set up the controller of JWTIssuers: %w", err)
	}
	if err := setUpFollowing(mgr, &o); err != nil {
		return nil, fmt.Errorf("set up what follows a rotation: %w", err)
	}
	if o.Metrics == nil {
		return mgr, nil
	}
	return mgr, errors.Join(o.Metrics.Register(calls), o.Metrics.Register(&collector{reader: mgr.GetCache(), eachKey: !o.WithoutKeyMetrics}))
}

// setUpFollowing registers what an installation switches on to follow rotations.
func setUpFollowing(mgr ctrl.Manager, o *Options) error {
	if !o.FastPropagation && !o.Restarts {
		return nil
	}
	// The manager's own client would watch all pods and workloads, since it reads from caches.
	live, err := client.New(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return err
	}
	if o.FastPropagation {
		propagation := &PropagationReconciler{Client: mgr.GetClient(), Live: boundedLive{boundedWrites{live}}}
		if err := propagation.SetupWithManager(mgr, *o); err != nil {
			return err
		}
	}
	if !o.Restarts {
		return nil
	}
	told, err := lru.New[restartOf, string](rememberedFailures)
	if err != nil {
		return err
	}
	restart := &RestartReconciler{
		Client: mgr.GetClient(), Live: boundedLive{boundedWrites{live}}, Events: mgr.GetEventRecorder("refreshkeys"), Clock: o.Clock, Delay: o.RestartDelay, told: told,
	}
	return restart.SetupWithManager(mgr, *o)
}

func newCertificateReconciler(mgr ctrl.Manager, o *Options) *CertificateReconciler {
	return &CertificateReconciler{
		Client: boundedWrites{mgr.GetClient()}, Live: boundedReader{mgr.GetAPIReader()}, Clock: o.Clock,
		Namespace: o.Namespace, Secret: o.TLSSecret, Names: o.TLSNames, changed: make(chan event.GenericEvent, 1),
		told: make(chan event.GenericEvent, 1),
	}
}

func newRefreshKeyReconciler(mgr ctrl.Manager, certificates *CertificateReconciler, o *Options) *RefreshKeyReconciler {
	return &RefreshKeyReconciler{
		Client: boundedWrites{mgr.GetClient()}, Live: boundedReader{mgr.GetAPIReader()}, Events: mgr.GetEventRecorder("refreshkeys"),
		own:     newOwnWrites(mgr.GetClient(), o.Monotonic, func() client.Object { return &v1alpha1.JWTRefreshKey{} }),
		altered: newAlterations(o.Monotonic), failures: newFailures(o.Monotonic), restarts: o.Restarts,
		Clock: o.Clock, NewID: o.NewID, trusted: certificates.Trusted, trustChanged: certificates.changed,
		issuers: newIssuers(mgr.GetClient(), boundedReader{mgr.GetAPIReader()}, o.Namespace), pace: newPacer(o.Clock, o.ReissuePerSecond),
	}
}

func cacheOptions(o *Options, watched *namespaces) cache.Options {
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: {
				Namespaces:            watched.secrets(o.Namespace),
				Label:                 labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}),
				Transform:             digestSecrets(o.Namespace),
				UnsafeDisableDeepCopy: ptr.To(true),
			},
			&v1alpha1.JWTRefreshKey{}: {Namespaces: watched.and(), Transform: slimKey},
			&v1alpha1.JWTIssuer{}:     {UnsafeDisableDeepCopy: ptr.To(true)},
		},
	}
}

// slimKey drops what the controllers never look at. A write of status does not bring it
// back to the API server, which ignores metadata there.
func slimKey(obj any) (any, error) {
	if key, ok := obj.(*v1alpha1.JWTRefreshKey); ok {
		key.ManagedFields = nil
		delete(key.Annotations, corev1.LastAppliedConfigAnnotation)
	}
	return obj, nil
}

// Synced is ready once the caches are filled: before that a manager can do nothing.
func Synced(mgr ctrl.Manager) func(*http.Request) error {
	return func(req *http.Request) error {
		ctx, cancel := context.WithTimeout(req.Context(), time.Second)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return errors.New("the caches are not filled yet")
		}
		return nil
	}
}

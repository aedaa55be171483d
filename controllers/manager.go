// Package controllers wires the operator: the manager with its caches and all controllers. Each controller has a package of its
// own below it.
package controllers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/cabundle"
	"github.com/refreshkeys/refreshkeys/controllers/certificate"
	"github.com/refreshkeys/refreshkeys/controllers/issuer"
	"github.com/refreshkeys/refreshkeys/controllers/metrics"
	"github.com/refreshkeys/refreshkeys/controllers/refreshkey"
	"github.com/refreshkeys/refreshkeys/controllers/rollout"
	"github.com/refreshkeys/refreshkeys/controllers/secrets"
	"github.com/refreshkeys/refreshkeys/internal/apicalls"
	"github.com/refreshkeys/refreshkeys/internal/issuerlifecycle"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/unthrottled"
	"github.com/refreshkeys/refreshkeys/internal/version"
)

// Options of the operator. Each field except Namespace has a default for its zero value.
type Options struct {
	// Namespace is the operator's namespace, which holds the signing keys. Required.
	Namespace string
	// Namespaces are those whose keys the manager reconciles. Empty: all.
	Namespaces []string
	// TLSSecret is the Secret, in Namespace, with the serving certificate of the token service. If it does not exist,
	// the operator creates and renews it. Default: refreshkeys-tokenserver-tls.
	TLSSecret string
	// TLSNames are DNS names and IP addresses in the certificate in addition to the hosts of all issuers and the name
	// of the Service.
	TLSNames []string
	// ConsoleTLSSecret is the Secret, in Namespace, with the serving certificate of the console, which is issued likewise; empty where no
	// console is installed. ConsoleTLSNames are names in it in addition to those of the console's Service and localhost.
	ConsoleTLSSecret string
	ConsoleTLSNames  []string
	// Workers is how many keys are reconciled at the same time. Default 16.
	Workers int
	// ReissuePerSecond limits the rotations that the withdrawal of a signing key causes. Default 50.
	ReissuePerSecond float64
	// FastPropagation makes the pods that mount a Secret read a new token at once. The manager needs the rights of
	// config/fast-propagation for it.
	FastPropagation bool
	// PublishCA keeps the ConfigMap refreshkeys-ca.crt with the CA bundle of the token service in each namespace that the manager
	// serves. The manager needs the rights of config/publish-ca for it.
	PublishCA bool
	// Restarts enables the restart of the workloads that spec.rolloutRestart names after a rotation. The manager needs
	// the rights of config/restarts for it.
	Restarts bool
	// RestartDelay is the delay of a restart after a rotation: rotations in that time share one restart. Default 5 s.
	RestartDelay time.Duration
	// Clock is the clock that decisions depend on. Default: the system clock.
	Clock clock.PassiveClock
	// Monotonic measures intervals: of checks of objects that are not watched, and of retries. Default: the system clock.
	Monotonic clock.WithTicker
	// NewID returns a new token identifier (jti). Default: UUIDs of version 7 (RFC 9562 §5.7).
	NewID func() string
	// GenerateKey generates signing keys. Default: keyring.Generate.
	GenerateKey issuerlifecycle.Generator
	// Metrics is the registry for the metrics. Default: controller-runtime's registry, which the manager serves; none
	// with SeveralInProcess.
	Metrics prometheus.Registerer
	// WithoutKeyMetrics disables the metrics of single keys, for installations with very many keys.
	WithoutKeyMetrics bool
	// SeveralInProcess allows more than one manager in a process, for tests.
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
		o.NewID = func() string { return uuid.Must(uuid.NewV7()).String() } //nolint:forbidigo // the default that tests replace
	}
	if o.Metrics == nil && !o.SeveralInProcess {
		o.Metrics = ctrlmetrics.Registry
	}
	if o.GenerateKey == nil {
		o.GenerateKey = keyring.Generate
	}
}

// Scheme returns a scheme with all kinds that the operator uses.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(fmt.Sprintf("controllers: register kinds: %v", err))
		}
	}
	return scheme
}

// NewManager returns a manager with all controllers. It replaces the caches, the mapper and the scheme of base, and
// wraps its logger so that bodies of Secrets are never logged.
func NewManager(config *rest.Config, base ctrl.Options, o Options) (ctrl.Manager, error) {
	o.setDefaults()
	config = unthrottled.Config(config)
	calls := apicalls.New()
	calls.Wrap(config)
	base.Logger = withoutBodyLogging(base.Logger)
	base.Scheme = Scheme()
	watched, err := watchedNamespaces(config, &o)
	if err != nil {
		return nil, err
	}
	base.Cache = cacheOptions(&o, watched)
	base.MapperProvider = newRememberingMapper
	mgr, err := ctrl.NewManager(config, base)
	if err != nil {
		return nil, fmt.Errorf("create the manager: %w", err)
	}
	if err := mgr.Add(watched); err != nil {
		return nil, err
	}
	certificates := newCertificateReconciler(mgr, &o)
	if err := certificates.SetupWithManager(mgr); err != nil {
		return nil, fmt.Errorf("set up the controller of the serving certificate: %w", err)
	}
	if err := newRefreshKeyReconciler(mgr, certificates, &o).SetupWithManager(mgr); err != nil {
		return nil, fmt.Errorf("set up the controller of JWTRefreshKeys: %w", err)
	}
	issuers := issuer.New(mgr, issuer.Options{
		Namespace: o.Namespace, Clock: o.Clock, Monotonic: o.Monotonic, Generate: o.GenerateKey,
		Trust: certificates.Found, TrustChanged: certificates.FoundChanged(), SeveralInProcess: o.SeveralInProcess,
	})
	if err := issuers.SetupWithManager(mgr); err != nil {
		return nil, fmt.Errorf("set up the controller of JWTIssuers: %w", err)
	}
	if err := rollout.SetUp(mgr, rollout.Options{
		Propagation: o.FastPropagation, Restarts: o.Restarts, RestartDelay: o.RestartDelay, Clock: o.Clock, SeveralInProcess: o.SeveralInProcess,
	}); err != nil {
		return nil, fmt.Errorf("set up propagation and restarts: %w", err)
	}
	if err := publishCA(mgr, certificates, &o); err != nil {
		return nil, fmt.Errorf("set up the controller of the published CA bundle: %w", err)
	}
	if o.Metrics == nil {
		return mgr, nil
	}
	return mgr, errors.Join(o.Metrics.Register(version.Get().Collector()), o.Metrics.Register(calls),
		o.Metrics.Register(metrics.New(mgr.GetCache(), metrics.Options{EachKey: !o.WithoutKeyMetrics, PublishedCA: o.PublishCA})))
}

func newCertificateReconciler(mgr ctrl.Manager, o *Options) *certificate.Reconciler {
	return certificate.New(mgr, certificate.Options{
		Namespace: o.Namespace, Secret: o.TLSSecret, Names: o.TLSNames, ConsoleSecret: o.ConsoleTLSSecret, ConsoleNames: o.ConsoleTLSNames,
		Clock: o.Clock, SeveralInProcess: o.SeveralInProcess,
	})
}

// publishCA registers the controller of the published CA bundle, if it is switched on.
func publishCA(mgr ctrl.Manager, certificates *certificate.Reconciler, o *Options) error {
	if !o.PublishCA {
		return nil
	}
	return cabundle.New(mgr, cabundle.Options{
		Namespaces: o.Namespaces, Trusted: certificates.Trusted, TrustChanged: certificates.Changed(), Clock: o.Monotonic, SeveralInProcess: o.SeveralInProcess,
	}).SetupWithManager(mgr)
}

func newRefreshKeyReconciler(mgr ctrl.Manager, certificates *certificate.Reconciler, o *Options) *refreshkey.Reconciler {
	return refreshkey.New(mgr, refreshkey.Options{
		Namespace: o.Namespace, Workers: o.Workers, ReissuePerSecond: o.ReissuePerSecond, Clock: o.Clock, Monotonic: o.Monotonic, NewID: o.NewID,
		Trusted: certificates.Trusted, TrustChanged: certificates.Changed(), Restarts: o.Restarts, SeveralInProcess: o.SeveralInProcess,
	})
}

func cacheOptions(o *Options, watched *namespaces) cache.Options {
	options := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: {
				Namespaces:            watched.secretCacheConfig(o.Namespace),
				Label:                 labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}),
				Transform:             secrets.Transform(o.Namespace),
				UnsafeDisableDeepCopy: ptr.To(true),
			},
			&v1alpha1.JWTRefreshKey{}: {Namespaces: watched.cacheConfig(), Transform: slimKey},
			&v1alpha1.JWTIssuer{}:     {UnsafeDisableDeepCopy: ptr.To(true)},
		},
	}
	if o.PublishCA {
		options.ByObject[&corev1.ConfigMap{}] = cache.ByObject{
			Namespaces: watched.cacheConfig(), Field: fields.OneTermEqualSelector(metav1.ObjectNameField, v1alpha1.PublishedCA), Transform: cabundle.Digest,
		}
	}
	return options
}

// slimKey drops fields that the controllers never read. A write of status does not remove them from the API server,
// which ignores metadata there.
func slimKey(obj any) (any, error) {
	if key, ok := obj.(*v1alpha1.JWTRefreshKey); ok {
		key.ManagedFields = nil
		delete(key.Annotations, corev1.LastAppliedConfigAnnotation)
	}
	return obj, nil
}

// Synced returns a readiness check that succeeds once the caches are filled.
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

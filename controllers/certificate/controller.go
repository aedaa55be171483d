// Package certificate issues and renews the serving certificates of the token service and of the console, and finds the CA bundle that clients trust.
package certificate

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/bounded"
	"github.com/refreshkeys/refreshkeys/controllers/queue"
	"github.com/refreshkeys/refreshkeys/controllers/secrets"
	"github.com/refreshkeys/refreshkeys/controllers/writes"
	"github.com/refreshkeys/refreshkeys/internal/authority"
	"github.com/refreshkeys/refreshkeys/internal/issuerlifecycle"
)

// authoritySecret is the Secret, in the operator's namespace, with the private certificate
// authority. It does not exist if the user provides the serving certificate.
const authoritySecret = "refreshkeys-ca"

// Entries of the Secret with the authority, in addition to those of its type.
const (
	authorityNext    = "next.crt"
	authorityNextKey = "next.key"
)

// certificateCheckInterval is how often the operator reads a certificate that the user provides: its Secret does
// not have the operator's label, so there are no events for it.
const certificateCheckInterval = time.Minute

// Options of the controller. All fields except Names, those of the console and SeveralInProcess are required.
type Options struct {
	// Namespace is the operator's namespace, and Secret the name of the Secret with the serving certificate.
	Namespace, Secret string
	// Names are the names in the certificate in addition to the hosts of all issuers.
	Names []string
	// ConsoleSecret is the Secret with the serving certificate of the console; empty where no console is installed. ConsoleNames are
	// the names in it in addition to those of the console's Service.
	ConsoleSecret string
	ConsoleNames  []string
	Clock         clock.PassiveClock
	// SeveralInProcess allows more than one manager in a process.
	SeveralInProcess bool
}

// Reconciler issues and renews the serving certificate of the token service, and provides the CA bundle
// that clients trust.
type Reconciler struct {
	Options
	// client writes to the API server, and live reads from it.
	client client.Client
	live   client.Reader

	// ensuring serializes calls of ensure.
	ensuring sync.Mutex
	// trusted is the bundle that clients trust, nil until it is known.
	trusted atomic.Pointer[[]byte]
	// changed enqueues what holds the bundle: all keys, since their Secrets do, and all namespaces where it is published.
	changed []chan event.GenericEvent
	// kept is the last good bundle that the user provided, nil until it was read.
	kept *[]byte
	// found is the fault of the bundle that the user provides, nil until it is known.
	found atomic.Pointer[issuerlifecycle.TrustFault]
	// findingChanged enqueues all issuers, so that their conditions report it.
	findingChanged chan event.GenericEvent
}

// New returns the controller, not yet registered.
func New(mgr ctrl.Manager, o Options) *Reconciler {
	return &Reconciler{
		Options: o, client: bounded.Writes(mgr.GetClient()), live: bounded.Reader(mgr.GetAPIReader()),
		findingChanged: make(chan event.GenericEvent, 1),
	}
}

// Changed returns a new channel of the changes of the bundle that clients trust. Call it before the manager starts.
func (r *Reconciler) Changed() <-chan event.GenericEvent {
	changed := make(chan event.GenericEvent, 1)
	r.changed = append(r.changed, changed)
	return changed
}

// FoundChanged returns a channel of the changes of Found.
func (r *Reconciler) FoundChanged() <-chan event.GenericEvent { return r.findingChanged }

// Reconcile issues or renews the serving certificates, unless the user provides them.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	r.ensuring.Lock()
	defer r.ensuring.Unlock()
	next, err := r.ensure(ctx)
	if err == nil && r.ConsoleSecret != "" {
		var later time.Time
		later, err = r.ensureConsole(ctx)
		next = earlier(next, later)
	}
	if errors.Is(err, writes.ErrOutdated) {
		return ctrl.Result{RequeueAfter: queue.ConflictDelay}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: min(max(next.Sub(r.Clock.Now()), time.Second), queue.LongestSleep)}, nil
}

// Trusted returns the bundle that clients of the token service trust, in PEM; empty if the serving certificate is
// publicly trusted. The first call ensures the certificate. If another worker does so at the same time, Trusted does
// not wait and returns queue.ErrBusy.
func (r *Reconciler) Trusted(ctx context.Context) ([]byte, error) {
	if bundle := r.trusted.Load(); bundle != nil {
		return *bundle, nil
	}
	if !r.ensuring.TryLock() {
		return nil, queue.ErrBusy
	}
	defer r.ensuring.Unlock()
	if r.trusted.Load() == nil {
		if _, err := r.ensure(ctx); err != nil {
			return nil, err
		}
	}
	return *r.trusted.Load(), nil
}

// ensure brings both Secrets up to date, and returns when to check them again.
func (r *Reconciler) ensure(ctx context.Context) (time.Time, error) {
	now := r.Clock.Now()
	served, found, err := r.read(ctx, r.Secret)
	if err != nil {
		return time.Time{}, err
	}
	given, err := r.given(ctx, served, found)
	if err != nil {
		return time.Time{}, err
	}
	if given {
		return now.Add(certificateCheckInterval), r.provided(ctx, served, now)
	}
	names, err := r.names(ctx)
	if err != nil {
		return time.Time{}, err
	}
	owner, next, err := r.issue(ctx, served, found, names, now)
	if err != nil {
		return time.Time{}, err
	}
	r.trust(owner.Bundle())
	r.setFinding(issuerlifecycle.TrustFault{})
	return next, nil
}

// issue brings a Secret with a certificate of the operator's authority up to date, and returns when to check it again.
func (r *Reconciler) issue(ctx context.Context, served *corev1.Secret, found bool, names []string, now time.Time) (*authority.Authority, time.Time, error) {
	owner, err := r.authority(ctx, now)
	if err != nil {
		return nil, time.Time{}, err
	}
	pair := authority.Pair{Certificate: served.Data[corev1.TLSCertKey], Key: served.Data[corev1.TLSPrivateKeyKey]}
	if owner.Due(pair, names, now) {
		if pair, err = owner.Issue(names, now); err != nil {
			return nil, time.Time{}, err
		}
	}
	data := map[string][]byte{
		corev1.TLSCertKey: pair.Certificate, corev1.TLSPrivateKeyKey: pair.Key, corev1.ServiceAccountRootCAKey: owner.Bundle(),
	}
	if err := r.write(ctx, served, found, data); err != nil {
		return nil, time.Time{}, err
	}
	next, err := owner.NextChange(pair)
	return owner, next, err
}

// given reports whether the user provides the certificate. If a policy changes labels, a Secret without the
// operator's label can still be the operator's: then the operator's authority issued the certificate in it.
func (r *Reconciler) given(ctx context.Context, served *corev1.Secret, found bool) (bool, error) {
	if !found || secrets.Selected(served) {
		return false, nil
	}
	secret, found, err := r.read(ctx, authoritySecret)
	if err != nil || !found {
		return true, err
	}
	return !authorityIn(secret).Issued(served.Data[corev1.TLSCertKey]), nil
}

func authorityIn(secret *corev1.Secret) *authority.Authority {
	return &authority.Authority{
		Current: authority.Pair{Certificate: secret.Data[corev1.TLSCertKey], Key: secret.Data[corev1.TLSPrivateKeyKey]},
		Next:    authority.Pair{Certificate: secret.Data[authorityNext], Key: secret.Data[authorityNextKey]},
	}
}

func (r *Reconciler) trust(bundle []byte) {
	before := r.trusted.Swap(&bundle)
	if before == nil || bytes.Equal(*before, bundle) {
		return
	}
	for _, changed := range r.changed {
		select {
		case changed <- event.GenericEvent{Object: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Secret}}}:
		default:
			// An earlier change already enqueues what holds the bundle; that reads this one.
		}
	}
}

// authority reads the authority, and creates or advances it when due.
func (r *Reconciler) authority(ctx context.Context, now time.Time) (*authority.Authority, error) {
	secret, found, err := r.read(ctx, authoritySecret)
	if err != nil {
		return nil, err
	}
	owner := authorityIn(secret)
	if _, err := owner.Advance(now); err != nil {
		return nil, err
	}
	data := map[string][]byte{corev1.TLSCertKey: owner.Current.Certificate, corev1.TLSPrivateKeyKey: owner.Current.Key}
	if len(owner.Next.Certificate) > 0 {
		data[authorityNext], data[authorityNextKey] = owner.Next.Certificate, owner.Next.Key
	}
	return owner, r.write(ctx, secret, found, data)
}

// names returns the names for the serving certificate: the hosts in the URLs of issuers, the Service, and Options.Names.
func (r *Reconciler) names(ctx context.Context) ([]string, error) {
	var issuers v1alpha1.JWTIssuerList
	if err := r.client.List(ctx, &issuers); err != nil {
		return nil, err
	}
	service := "refreshkeys-tokenserver." + r.Namespace + ".svc"
	names := append([]string{service, service + ".cluster.local"}, r.Names...)
	for i := range issuers.Items {
		for _, address := range []string{issuers.Items[i].Spec.URL, issuers.Items[i].Spec.EndpointURL} {
			if parsed, err := url.Parse(address); err == nil && parsed.Hostname() != "" {
				names = append(names, parsed.Hostname())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (r *Reconciler) read(ctx context.Context, name string) (*corev1.Secret, bool, error) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: r.Namespace, Name: name, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
	}, Type: corev1.SecretTypeTLS}
	err := r.live.Get(ctx, types.NamespacedName{Namespace: r.Namespace, Name: name}, secret)
	return secret, err == nil, client.IgnoreNotFound(err)
}

// write stores the data in a Secret, unless the Secret holds it already. It returns writes.ErrOutdated if another client
// changed the Secret in between.
func (r *Reconciler) write(ctx context.Context, secret *corev1.Secret, found bool, data map[string][]byte) error {
	if found && maps.EqualFunc(secret.Data, data, bytes.Equal) {
		return nil
	}
	before := secret.Data
	secret.Data = data
	ctx, cancel := context.WithTimeout(ctx, writes.SecretTimeout)
	defer cancel()
	if found {
		return writes.AsSecretError(secret.Name, r.client.Update(ctx, secret), before, data)
	}
	return writes.AsSecretError(secret.Name, r.client.Create(ctx, secret), data)
}

// SetupWithManager registers the controller and its watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	certificate := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: r.Namespace, Name: r.Secret}}
	one := func(context.Context, client.Object) []reconcile.Request { return []reconcile.Request{certificate} }
	ours := func(ctx context.Context, object client.Object) []reconcile.Request {
		if object.GetNamespace() == r.Namespace && slices.Contains([]string{r.Secret, r.ConsoleSecret, authoritySecret}, object.GetName()) {
			return one(ctx, object)
		}
		return nil
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("certificate").
		Watches(&v1alpha1.JWTIssuer{}, handler.EnqueueRequestsFromMapFunc(one)).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(ours)).
		// The token service needs the certificate even if there is no issuer yet.
		WatchesRawSource(source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			queue.Add(certificate)
			return nil
		})).
		WithOptions(controller.Options{ReconciliationTimeout: queue.ReconcileTimeout, RateLimiter: queue.Retries(), SkipNameValidation: &r.SeveralInProcess}).
		Complete(r)
}

// Package issuer holds the controller of JWTIssuers, which creates, publishes, activates and retires their signing keys. A
// reconciliation observes, decides (internal/issuerlifecycle) and applies the plan.
package issuer

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
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
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/issuerlifecycle"
)

// issuersAtOnce is how many issuers are reconciled at the same time.
const issuersAtOnce = 4

// Options of the controller. All fields except SeveralInProcess are required.
type Options struct {
	// Namespace is the operator's namespace.
	Namespace string
	// Clock is the clock that decisions depend on, and Monotonic measures elapsed time.
	Clock, Monotonic clock.PassiveClock
	Generate         issuerlifecycle.Generator
	// Trust returns the fault of the bundle that clients trust, nil if it is not known; TrustChanged signals a change.
	Trust        func(context.Context) *issuerlifecycle.TrustFault
	TrustChanged <-chan event.GenericEvent
	// SeveralInProcess allows more than one manager in a process.
	SeveralInProcess bool
}

// Reconciler creates, publishes, activates and retires the signing keys of JWTIssuers.
type Reconciler struct {
	Options
	// client reads from the caches, which show the manager's own writes with a delay.
	client client.Client
	// live reads from the API server.
	live   client.Reader
	events events.EventRecorder

	// failures are the writes that fail, and how status reports them.
	failures *writes.Failures
	// own are the manager's writes that the caches do not show yet.
	own *writes.Own
	// altered are the Secrets that admission changes when they are written.
	altered *writes.Alterations
}

// New returns the controller, not yet registered.
func New(mgr ctrl.Manager, o Options) *Reconciler {
	return &Reconciler{
		Options: o, client: bounded.Writes(mgr.GetClient()), live: bounded.Reader(mgr.GetAPIReader()), events: mgr.GetEventRecorder("refreshkeys"),
		own:     writes.NewOwn(mgr.GetClient(), o.Monotonic, func() client.Object { return &v1alpha1.JWTIssuer{} }),
		altered: writes.NewAlterations(o.Monotonic), failures: writes.NewFailures(o.Monotonic),
	}
}

// Reconcile observes one issuer, decides, and applies the plan.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	wait, live, err := r.own.Behind(ctx, req.NamespacedName)
	if err != nil || wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, err
	}
	observed, err := r.observe(ctx, req.Name, live)
	if err != nil {
		return ctrl.Result{}, err
	}
	if observed == nil {
		r.failures.Clear(req.NamespacedName)
		r.own.Forget(req.NamespacedName)
		r.altered.Forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	plan, err := issuerlifecycle.Decide(&observed.Observed, r.Clock.Now(), r.Generate)
	if err == nil {
		err = r.apply(ctx, observed, plan)
	}
	switch {
	case errors.Is(err, writes.ErrOutdated), apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: queue.ConflictDelay}, nil
	case err != nil:
		return ctrl.Result{}, err
	}
	r.failures.Clear(req.NamespacedName)
	switch {
	case plan.Next.IsZero():
		return ctrl.Result{}, nil
	default:
		return ctrl.Result{RequeueAfter: max(plan.Next.Sub(r.Clock.Now()), time.Millisecond)}, nil
	}
}

// SetupWithManager registers the controller and its watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("jwtissuer").
		For(&v1alpha1.JWTIssuer{}).
		// The deletion of an issuer can free its host and path for another issuer.
		Watches(&v1alpha1.JWTIssuer{}, handler.EnqueueRequestsFromMapFunc(r.rivals)).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.issuerOfKeys)).
		WatchesRawSource(source.Channel(r.TrustChanged, handler.EnqueueRequestsFromMapFunc(r.allIssuers))).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: issuersAtOnce, ReconciliationTimeout: queue.ReconcileTimeout, RateLimiter: queue.Retries(), SkipNameValidation: &r.SeveralInProcess,
		}).
		Complete(r)
}

func (r *Reconciler) issuerOfKeys(_ context.Context, object client.Object) []reconcile.Request {
	secret, ok := object.(*corev1.Secret)
	if !ok || !secrets.HoldsSigningKeys(secret, r.Namespace) {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: secret.Labels[v1alpha1.LabelSigningKeysOf]}}}
}

func (r *Reconciler) rivals(ctx context.Context, object client.Object) []reconcile.Request {
	issuer, ok := object.(*v1alpha1.JWTIssuer)
	if !ok {
		return nil
	}
	var all v1alpha1.JWTIssuerList
	if err := r.client.List(ctx, &all); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list the issuers that a change affects")
		return nil
	}
	var requests []reconcile.Request
	for i := range all.Items {
		if rival := &all.Items[i]; rival.Name != issuer.Name && endpoint.SamePlace(rival, issuer) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(rival)})
		}
	}
	return requests
}

// allIssuers returns the requests for all issuers.
func (r *Reconciler) allIssuers(ctx context.Context, _ client.Object) []reconcile.Request {
	var all v1alpha1.JWTIssuerList
	if err := r.client.List(ctx, &all); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list the issuers that a change affects")
		return nil
	}
	requests := make([]reconcile.Request, len(all.Items))
	for i := range all.Items {
		requests[i] = reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])}
	}
	return requests
}

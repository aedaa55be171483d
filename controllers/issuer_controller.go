package controllers

import (
	"context"
	"crypto"
	"errors"
	"slices"
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
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// issuersAtOnce is how many issuers are reconciled at the same time.
const issuersAtOnce = 4

// KeyGenerator generates a private key for an algorithm.
type KeyGenerator func(keyring.Algorithm) (crypto.Signer, error)

// IssuerReconciler creates, publishes, activates and retires the signing keys of JWTIssuers.
type IssuerReconciler struct {
	// Client reads from the caches, which show the manager's own writes with a delay.
	Client client.Client
	// Live reads from the API server.
	Live     client.Reader
	Events   events.EventRecorder
	Clock    clock.PassiveClock
	Generate KeyGenerator
	// Namespace is the operator's namespace.
	Namespace string

	// failures are the writes that fail, and how status reports them.
	failures *failures
	// own are the manager's writes that the caches do not show yet.
	own *ownWrites
	// altered are the Secrets that admission changes when they are written.
	altered *alterations
	// trust returns the fault of the bundle that clients trust, nil if it is not known; trustChanged signals a change.
	trust        func(context.Context) *trustFinding
	trustChanged <-chan event.GenericEvent
}

// Reconcile observes one issuer, decides, and applies the plan.
func (r *IssuerReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	wait, live, err := r.own.behind(ctx, req.NamespacedName)
	if err != nil || wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, err
	}
	observed, err := r.observe(ctx, req.Name, live)
	if err != nil {
		return ctrl.Result{}, err
	}
	if observed == nil {
		r.failures.clear(req.NamespacedName)
		r.own.forget(req.NamespacedName)
		r.altered.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	plan, err := r.decide(observed)
	if err == nil {
		err = r.apply(ctx, observed, plan)
	}
	switch {
	case errors.Is(err, errOutdated), apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	case err != nil:
		return ctrl.Result{}, err
	}
	r.failures.clear(req.NamespacedName)
	switch {
	case plan.next.IsZero():
		return ctrl.Result{}, nil
	default:
		return ctrl.Result{RequeueAfter: max(plan.next.Sub(r.Clock.Now()), time.Millisecond)}, nil
	}
}

// SetupWithManager registers the controller and its watches.
func (r *IssuerReconciler) SetupWithManager(mgr ctrl.Manager, o Options) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("jwtissuer").
		For(&v1alpha1.JWTIssuer{}).
		// The deletion of an issuer can free its host and path for another issuer.
		Watches(&v1alpha1.JWTIssuer{}, handler.EnqueueRequestsFromMapFunc(r.rivals)).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.issuerOfKeys)).
		WatchesRawSource(source.Channel(r.trustChanged, handler.EnqueueRequestsFromMapFunc(r.allIssuers))).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: issuersAtOnce, ReconciliationTimeout: reconcileTimeout, RateLimiter: retries(), SkipNameValidation: &o.SeveralInProcess,
		}).
		Complete(r)
}

func (r *IssuerReconciler) issuerOfKeys(_ context.Context, object client.Object) []reconcile.Request {
	secret, ok := object.(*corev1.Secret)
	if !ok || !holdsSigningKeys(secret, r.Namespace) {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: secret.Labels[v1alpha1.LabelSigningKeysOf]}}}
}

func (r *IssuerReconciler) rivals(ctx context.Context, object client.Object) []reconcile.Request {
	issuer, ok := object.(*v1alpha1.JWTIssuer)
	if !ok {
		return nil
	}
	var all v1alpha1.JWTIssuerList
	if err := r.Client.List(ctx, &all); err != nil {
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

func isWithdrawn(issuer *v1alpha1.JWTIssuer, kid string) bool {
	return slices.Contains(v1alpha1.WithdrawnKIDs(issuer), kid)
}

// Package controllers holds the two controllers of the operator. Each reconciliation reads
// like a table of contents: observe, decide, apply, report.
package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// RefreshKeyReconciler keeps JWTRefreshKeys, their Secrets and their status in line.
type RefreshKeyReconciler struct {
	// Client reads from the caches and waits for its own writes to show there.
	Client client.Client
	// Live reads from the API server.
	Live   client.Reader
	Events events.EventRecorder
	Clock  clock.PassiveClock
	// NewID makes the jti of a token: unique, and with no meaning.
	NewID func() string

	issuers *issuers
	pace    *pacer
}

// Reconcile brings one key to where it should be.
func (r *RefreshKeyReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	result, err := r.reconcile(ctx, req.NamespacedName, false)
	if errors.Is(err, errOutdated) {
		result, err = r.reconcile(ctx, req.NamespacedName, true)
	}
	switch {
	case errors.Is(err, errOutdated), apierrors.IsConflict(err):
		// Somebody else was quicker: what they wrote is looked at in its turn.
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	case err != nil:
		return ctrl.Result{}, err
	default:
		return result, nil
	}
}

// conflictDelay leaves the cache the time to show what made a write fail.
const conflictDelay = 50 * time.Millisecond

func (r *RefreshKeyReconciler) reconcile(ctx context.Context, name types.NamespacedName, live bool) (ctrl.Result, error) {
	observed, err := r.observe(ctx, name, live)
	if err != nil || observed == nil {
		return ctrl.Result{}, err
	}
	plan := lifecycle.Decide(observed.Observed, r.Clock.Now())
	ctrl.LoggerFrom(ctx).V(1).Info("decided", "check", plan.Check, "cause", plan.Cause, "reason", plan.Verdict.Reason)
	if plan.Paced {
		if wait := r.pace.turn(observed.key.UID); wait > 0 {
			return ctrl.Result{RequeueAfter: wait}, nil
		}
	}
	if err := r.apply(ctx, observed, &plan); err != nil {
		return ctrl.Result{}, err
	}
	return r.lookAgain(&plan), nil
}

// lookAgain is when the clock alone brings a decision about.
func (r *RefreshKeyReconciler) lookAgain(plan *lifecycle.Plan) ctrl.Result {
	if plan.Next.IsZero() {
		return ctrl.Result{}
	}
	return ctrl.Result{RequeueAfter: max(plan.Next.Sub(r.Clock.Now()), time.Millisecond)}
}

// SetupWithManager registers the controller, and what wakes it.
func (r *RefreshKeyReconciler) SetupWithManager(mgr ctrl.Manager, o Options) error {
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &corev1.Secret{}, ownerIndex, ownerOf); err != nil {
		return fmt.Errorf("index Secrets by owner: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("jwtrefreshkey").
		For(&v1alpha1.JWTRefreshKey{}).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.keysOfSecret)).
		Watches(&v1alpha1.JWTIssuer{}, handler.EnqueueRequestsFromMapFunc(r.keysOfIssuer), builder.WithPredicates(issuerMatters())).
		WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.keysOfNamespace), builder.WithPredicates(namespaceMatters())).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: o.Workers,
			ReconciliationTimeout:   reconcileTimeout,
			SkipNameValidation:      &o.SeveralInProcess,
		}).
		Complete(r)
}

// reconcileTimeout bounds what an unresponsive API server can hold up.
const reconcileTimeout = 2 * time.Minute

// keysOfSecret finds the key that a Secret belongs to, or all keys of the issuer whose
// signing keys it holds.
func (r *RefreshKeyReconciler) keysOfSecret(ctx context.Context, object client.Object) []reconcile.Request {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return nil
	}
	if holdsSigningKeys(secret, r.issuers.namespace) {
		return r.keysNaming(ctx, secret.Labels[v1alpha1.LabelSigningKeysOf])
	}
	var requests []reconcile.Request
	for _, owner := range ownerOf(secret) {
		requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: secret.Namespace, Name: owner}})
	}
	return requests
}

func (r *RefreshKeyReconciler) keysOfIssuer(ctx context.Context, object client.Object) []reconcile.Request {
	return r.keysNaming(ctx, object.GetName())
}

func (r *RefreshKeyReconciler) keysNaming(ctx context.Context, issuer string) []reconcile.Request {
	return r.keysWhere(ctx, func(key *v1alpha1.JWTRefreshKey) bool { return lifecycle.IssuerName(key) == issuer })
}

func (r *RefreshKeyReconciler) keysOfNamespace(ctx context.Context, object client.Object) []reconcile.Request {
	return r.keysWhere(ctx, func(*v1alpha1.JWTRefreshKey) bool { return true }, client.InNamespace(object.GetName()))
}

func (r *RefreshKeyReconciler) keysWhere(ctx context.Context, want func(*v1alpha1.JWTRefreshKey) bool, options ...client.ListOption) []reconcile.Request {
	var keys v1alpha1.JWTRefreshKeyList
	options = append(options, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
	if err := r.Client.List(ctx, &keys, options...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list the keys that a change concerns")
		return nil
	}
	var requests []reconcile.Request
	for i := range keys.Items {
		if want(&keys.Items[i]) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&keys.Items[i])})
		}
	}
	return requests
}

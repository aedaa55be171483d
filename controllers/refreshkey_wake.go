package controllers

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// SetupWithManager registers the controller and its watches.
func (r *RefreshKeyReconciler) SetupWithManager(mgr ctrl.Manager, o Options) error {
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &corev1.Secret{}, ownerIndex, ownerEntries); err != nil {
		return fmt.Errorf("index Secrets by owner: %w", err)
	}
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.JWTRefreshKey{}, wantedIndex, wantedName); err != nil {
		return fmt.Errorf("index keys by the name of their Secret: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("jwtrefreshkey").
		For(&v1alpha1.JWTRefreshKey{}).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.keyOfSecret)).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.keysWanting), nameIsFreed()).
		Watches(&corev1.Secret{}, inBackground(r.keysOfRings)).
		Watches(&v1alpha1.JWTIssuer{}, inBackground(r.keysOfIssuer), builder.WithPredicates(issuerMatters())).
		WatchesMetadata(&corev1.Namespace{}, inBackground(r.keysOfNamespace), builder.WithPredicates(namespaceMatters())).
		WatchesRawSource(source.Channel(r.trustChanged, inBackground(r.allKeys))).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: o.Workers,
			ReconciliationTimeout:   reconcileTimeout,
			RateLimiter:             retries(),
			NewQueue:                newFairQueue(mgr.GetLogger(), o.Workers, namespaceOfRequest),
			SkipNameValidation:      &o.SeveralInProcess,
		}).
		Complete(r)
}

// The first retry of a failing write is after firstRetry, and the delay doubles up to lastRetry. Once the API server is
// back, no object waits longer than that.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = lifecycle.RetryInterval
)

func retries() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry)
}

// inBackground enqueues the keys that one change affects with low priority, so that the request of a user for one key
// does not wait for them.
func inBackground(keys handler.MapFunc) handler.EventHandler {
	wake := func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request], object client.Object) {
		later := priorityqueue.AddOpts{Priority: ptr.To(handler.LowPriority)}
		queue.(priorityqueue.PriorityQueue[reconcile.Request]).AddWithOpts(later, keys(ctx, object)...)
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			wake(ctx, queue, e.Object)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			wake(ctx, queue, e.ObjectNew)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			wake(ctx, queue, e.Object)
		},
		GenericFunc: func(ctx context.Context, e event.GenericEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			wake(ctx, queue, e.Object)
		},
	}
}

func inTheBackground(after time.Duration) ctrl.Result {
	return ctrl.Result{RequeueAfter: after, Priority: ptr.To(handler.LowPriority)}
}

// keyOfSecret returns the request for the key that a Secret belongs to.
func (r *RefreshKeyReconciler) keyOfSecret(_ context.Context, object client.Object) []reconcile.Request {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return nil
	}
	var requests []reconcile.Request
	for _, owner := range ownerOf(secret) {
		requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: secret.Namespace, Name: owner}})
	}
	return requests
}

// keysOfRings returns the requests for the keys of the issuer whose signing keys a Secret holds. It uses the name of
// the Secret, since a label can be lost.
func (r *RefreshKeyReconciler) keysOfRings(ctx context.Context, object client.Object) []reconcile.Request {
	issuer, ok := strings.CutPrefix(object.GetName(), signingKeysPrefix)
	if !ok || object.GetNamespace() != r.issuers.namespace {
		return nil
	}
	return r.keysNaming(ctx, issuer)
}

// allKeys returns the requests for all keys, since all their Secrets hold the CA bundle.
func (r *RefreshKeyReconciler) allKeys(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.keysWhere(ctx, func(*v1alpha1.JWTRefreshKey) bool { return true })
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
	options = append(options, client.UnsafeDisableDeepCopy)
	if err := r.Client.List(ctx, &keys, options...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list the keys that a change affects")
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

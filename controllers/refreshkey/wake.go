package refreshkey

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/queue"
	"github.com/refreshkeys/refreshkeys/internal/issuerlifecycle"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// SetupWithManager registers the controller and its watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
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
		Watches(&corev1.Secret{}, queue.InBackground(r.keysOfRings)).
		Watches(&v1alpha1.JWTIssuer{}, queue.InBackground(r.keysOfIssuer), builder.WithPredicates(issuerMatters())).
		WatchesMetadata(&corev1.Namespace{}, queue.InBackground(r.keysOfNamespace), builder.WithPredicates(namespaceMatters())).
		WatchesRawSource(source.Channel(r.TrustChanged, queue.InBackground(r.allKeys))).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: r.Workers,
			ReconciliationTimeout:   queue.ReconcileTimeout,
			RateLimiter:             queue.Retries(),
			NewQueue:                queue.New(mgr.GetLogger(), r.Workers, queue.NamespaceOfRequest),
			SkipNameValidation:      &r.SeveralInProcess,
		}).
		Complete(r)
}

// keyOfSecret returns the request for the key that a Secret belongs to.
func (r *Reconciler) keyOfSecret(_ context.Context, object client.Object) []reconcile.Request {
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
func (r *Reconciler) keysOfRings(ctx context.Context, object client.Object) []reconcile.Request {
	issuer, ok := strings.CutPrefix(object.GetName(), issuerlifecycle.SecretPrefix)
	if !ok || object.GetNamespace() != r.issuers.namespace {
		return nil
	}
	return r.keysNaming(ctx, issuer)
}

// allKeys returns the requests for all keys, since all their Secrets hold the CA bundle.
func (r *Reconciler) allKeys(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.keysWhere(ctx, func(*v1alpha1.JWTRefreshKey) bool { return true })
}

func (r *Reconciler) keysOfIssuer(ctx context.Context, object client.Object) []reconcile.Request {
	return r.keysNaming(ctx, object.GetName())
}

func (r *Reconciler) keysNaming(ctx context.Context, issuer string) []reconcile.Request {
	return r.keysWhere(ctx, func(key *v1alpha1.JWTRefreshKey) bool { return lifecycle.IssuerName(key) == issuer })
}

func (r *Reconciler) keysOfNamespace(ctx context.Context, object client.Object) []reconcile.Request {
	return r.keysWhere(ctx, func(*v1alpha1.JWTRefreshKey) bool { return true }, client.InNamespace(object.GetName()))
}

func (r *Reconciler) keysWhere(ctx context.Context, want func(*v1alpha1.JWTRefreshKey) bool, options ...client.ListOption) []reconcile.Request {
	var keys v1alpha1.JWTRefreshKeyList
	options = append(options, client.UnsafeDisableDeepCopy)
	if err := r.client.List(ctx, &keys, options...); err != nil {
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

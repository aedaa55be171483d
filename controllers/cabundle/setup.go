package cabundle

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/queue"
)

// SetupWithManager registers the controller and its watches.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("ca-bundle").
		For(&corev1.ConfigMap{}).
		WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(ofNamespace)).
		WatchesRawSource(source.Channel(r.TrustChanged, queue.InBackground(r.all))).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			ReconciliationTimeout:   queue.ReconcileTimeout,
			RateLimiter:             queue.Retries(),
			NewQueue:                queue.New(mgr.GetLogger(), workers, queue.NamespaceOfRequest),
			SkipNameValidation:      &r.SeveralInProcess,
		}).
		Complete(r)
}

// ofNamespace returns the request for the ConfigMap of a namespace.
func ofNamespace(_ context.Context, namespace client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: namespace.GetName(), Name: v1alpha1.PublishedCA}}}
}

// all returns the requests for all namespaces.
func (r *Reconciler) all(ctx context.Context, _ client.Object) []reconcile.Request {
	namespaces := &metav1.PartialObjectMetadataList{}
	namespaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := r.client.List(ctx, namespaces); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list the namespaces for the CA bundle")
		return nil
	}
	requests := make([]reconcile.Request, 0, len(namespaces.Items))
	for i := range namespaces.Items {
		requests = append(requests, ofNamespace(ctx, &namespaces.Items[i])...)
	}
	return requests
}

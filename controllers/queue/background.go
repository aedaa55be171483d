package queue

import (
	"context"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// The first retry of a failing write is after firstRetry, and the delay doubles up to lastRetry. Once the API server is
// back, no object waits longer than that.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = lifecycle.RetryInterval
)

// Retries returns the rate limiter of the retries of a failing reconciliation.
func Retries() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry)
}

// InBackground enqueues the keys that one change affects with low priority, so that the request of a user for one key
// does not wait for them.
func InBackground(keys handler.MapFunc) handler.EventHandler {
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

// Background returns the result that reconciles an object again after a delay, with low priority: requests of users come first.
func Background(after time.Duration) ctrl.Result {
	return ctrl.Result{RequeueAfter: after, Priority: ptr.To(handler.LowPriority)}
}

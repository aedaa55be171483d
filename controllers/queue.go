package controllers

import (
	"math/bits"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// fairShare is how many keys of a namespace may wait at once before further ones stand back.
const fairShare = 16

// fairQueue keeps one namespace from holding up all others: who changes ten thousand keys at once
// waits for these, and nobody else does. Up to fairShare keys of a namespace wait in the first row.
// Where there are more, the next one stands behind what is done in the background, since renewals are,
// and a step further back each time their number doubles: the metrics tell each priority by itself.
type fairQueue struct {
	priorityqueue.PriorityQueue[reconcile.Request]

	mu sync.Mutex
	// pending are the names of the keys of each namespace that wait.
	pending map[string]sets.Set[string]
}

func newFairQueue(log logr.Logger) func(string, workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	return func(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
		queue := priorityqueue.New(name, func(o *priorityqueue.Opts[reconcile.Request]) { o.RateLimiter, o.Log = limiter, log })
		return &fairQueue{PriorityQueue: queue, pending: map[string]sets.Set[string]{}}
	}
}

// Add is part of workqueue.TypedInterface.
func (q *fairQueue) Add(request reconcile.Request) {
	q.AddWithOpts(priorityqueue.AddOpts{}, request)
}

// AddWithOpts is part of priorityqueue.PriorityQueue. What waits for a time, or is in the background
// anyway, stands where it is told to.
func (q *fairQueue) AddWithOpts(o priorityqueue.AddOpts, requests ...reconcile.Request) {
	if o.After > 0 || o.RateLimited || ptr.Deref(o.Priority, 0) < 0 {
		q.PriorityQueue.AddWithOpts(o, requests...)
		return
	}
	for _, request := range requests {
		place := o
		if back := bits.Len(uint(q.waits(request) / fairShare)); back > 0 {
			place.Priority = ptr.To(handler.LowPriority - back)
		}
		q.PriorityQueue.AddWithOpts(place, request)
	}
}

// waits notes that a request waits, and tells how many others of its namespace do.
func (q *fairQueue) waits(request reconcile.Request) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	names := q.pending[request.Namespace]
	if names == nil {
		names = sets.New[string]()
		q.pending[request.Namespace] = names
	}
	names.Insert(request.Name)
	return names.Len() - 1
}

// Get is part of workqueue.TypedInterface.
func (q *fairQueue) Get() (reconcile.Request, bool) {
	request, _, shutdown := q.GetWithPriority()
	return request, shutdown
}

// GetWithPriority is part of priorityqueue.PriorityQueue.
func (q *fairQueue) GetWithPriority() (request reconcile.Request, priority int, shutdown bool) {
	request, priority, shutdown = q.PriorityQueue.GetWithPriority()
	q.mu.Lock()
	defer q.mu.Unlock()
	if names := q.pending[request.Namespace]; names != nil {
		names.Delete(request.Name)
		if names.Len() == 0 {
			delete(q.pending, request.Namespace)
		}
	}
	return request, priority, shutdown
}

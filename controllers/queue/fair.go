package queue

import (
	"math/bits"
	"slices"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// fairShare is how many keys of a namespace may wait with the normal priority.
const fairShare = 16

// fairQueue is a work queue in which one namespace cannot delay all others.
//
// If a tenant changes ten thousand keys at once, only this tenant waits for them. Up to fairShare keys of a
// namespace wait with the normal priority. Further keys have a priority below that of background work such as
// renewals, and one step lower each time their number doubles: the metrics show each priority separately.
//
// If the requests of a namespace take long, for instance because its webhook does not answer, they hold at most
// half of the workers. The queue sets the other keys of the namespace aside until one of these requests ends.
type fairQueue[T comparable] struct {
	priorityqueue.PriorityQueue[T]
	namespaceOf func(T) string
	// share is how many workers one namespace may use.
	share int

	mu sync.Mutex
	// pending are the waiting items of each namespace.
	pending map[string]sets.Set[T]
	// working is how many workers each namespace uses, and aside are its items that wait for one of these.
	working map[string]int
	aside   map[string][]asideItem[T]
}

// asideItem is an item that was taken from the queue and has no worker yet.
type asideItem[T comparable] struct {
	item     T
	priority int
}

// New returns a constructor of work queues for controller.Options. No namespace uses more than half of the workers.
func New[T comparable](log logr.Logger, workers int, namespaceOf func(T) string) func(string, workqueue.TypedRateLimiter[T]) workqueue.TypedRateLimitingInterface[T] {
	return func(name string, limiter workqueue.TypedRateLimiter[T]) workqueue.TypedRateLimitingInterface[T] {
		queue := priorityqueue.New(name, func(o *priorityqueue.Opts[T]) { o.RateLimiter, o.Log = limiter, log })
		return &fairQueue[T]{
			PriorityQueue: queue, namespaceOf: namespaceOf, share: max(1, workers/2),
			pending: map[string]sets.Set[T]{}, working: map[string]int{}, aside: map[string][]asideItem[T]{},
		}
	}
}

// NamespaceOfRequest returns the namespace of the object that a request names.
func NamespaceOfRequest(request reconcile.Request) string { return request.Namespace }

// Add is part of workqueue.TypedInterface.
func (q *fairQueue[T]) Add(item T) {
	q.AddWithOpts(priorityqueue.AddOpts{}, item)
}

// AddWithOpts is part of priorityqueue.PriorityQueue. It keeps the priority of an item that is added with a delay or
// with low priority.
func (q *fairQueue[T]) AddWithOpts(o priorityqueue.AddOpts, items ...T) {
	if o.After > 0 || o.RateLimited || ptr.Deref(o.Priority, 0) < 0 {
		q.PriorityQueue.AddWithOpts(o, items...)
		return
	}
	for _, item := range items {
		place := o
		if back := bits.Len(uint(q.waits(item) / fairShare)); back > 0 {
			place.Priority = ptr.To(handler.LowPriority - back)
		}
		q.prefer(item, ptr.Deref(place.Priority, 0))
		q.PriorityQueue.AddWithOpts(place, item)
	}
}

// waits records that an item waits, and returns how many others of its namespace wait.
func (q *fairQueue[T]) waits(item T) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	namespace := q.namespaceOf(item)
	items := q.pending[namespace]
	if items == nil {
		items = sets.New[T]()
		q.pending[namespace] = items
	}
	items.Insert(item)
	return items.Len() - 1
}

// prefer gives an item that was set aside a higher priority.
func (q *fairQueue[T]) prefer(item T, priority int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	namespace := q.namespaceOf(item)
	aside := q.aside[namespace]
	at := slices.IndexFunc(aside, func(other asideItem[T]) bool { return other.item == item })
	if at >= 0 && aside[at].priority < priority {
		q.aside[namespace] = slices.Delete(aside, at, at+1)
		q.setAside(namespace, asideItem[T]{item, priority})
	}
}

// setAside adds an item after those of the same or a higher priority.
func (q *fairQueue[T]) setAside(namespace string, one asideItem[T]) {
	aside := q.aside[namespace]
	at, _ := slices.BinarySearchFunc(aside, one.priority, func(other asideItem[T], priority int) int {
		if other.priority >= priority {
			return -1
		}
		return 1
	})
	q.aside[namespace] = slices.Insert(aside, at, one)
}

// Get is part of workqueue.TypedInterface.
func (q *fairQueue[T]) Get() (item T, shutdown bool) {
	item, _, shutdown = q.GetWithPriority()
	return item, shutdown
}

// GetWithPriority is part of priorityqueue.PriorityQueue.
func (q *fairQueue[T]) GetWithPriority() (item T, priority int, shutdown bool) {
	for {
		item, priority, shutdown = q.PriorityQueue.GetWithPriority()
		if shutdown || q.begins(item, priority) {
			return item, priority, shutdown
		}
	}
}

// begins reports whether a worker may process an item, and sets the item aside if not.
func (q *fairQueue[T]) begins(item T, priority int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	namespace := q.namespaceOf(item)
	if items := q.pending[namespace]; items != nil {
		items.Delete(item)
		if items.Len() == 0 {
			delete(q.pending, namespace)
		}
	}
	if q.working[namespace] >= q.share {
		q.setAside(namespace, asideItem[T]{item, priority})
		return false
	}
	q.working[namespace]++
	return true
}

// Done is part of workqueue.TypedInterface. The first item of the namespace that was set aside goes back into
// the queue.
func (q *fairQueue[T]) Done(item T) {
	q.PriorityQueue.Done(item)
	if next, found := q.ends(q.namespaceOf(item)); found {
		q.PriorityQueue.AddWithOpts(priorityqueue.AddOpts{Priority: &next.priority}, next.item)
		q.PriorityQueue.Done(next.item)
	}
}

func (q *fairQueue[T]) ends(namespace string) (next asideItem[T], found bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.working[namespace]--; q.working[namespace] <= 0 {
		delete(q.working, namespace)
	}
	aside := q.aside[namespace]
	if len(aside) == 0 {
		return next, false
	}
	next = aside[0]
	if q.aside[namespace] = aside[1:]; len(aside) == 1 {
		delete(q.aside, namespace)
	}
	return next, true
}

package queue

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func requestFor(namespace, name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}

// TestAFloodOfOneNamespace checks that a thousand keys of one namespace do not delay one key of another namespace, nor
// background work.
func TestAFloodOfOneNamespace(t *testing.T) {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](time.Millisecond, time.Second)
	queue, ok := New(logr.Discard(), 16, NamespaceOfRequest)("flood", limiter).(priorityqueue.PriorityQueue[reconcile.Request])
	if !ok {
		t.Fatal("the queue must support priorities")
	}
	defer queue.ShutDown()
	const flood = 1000
	for i := range flood {
		queue.Add(requestFor("flooded", fmt.Sprint(i)))
	}
	renewal, other, second := requestFor("quiet", "renewal"), requestFor("quiet", "other"), requestFor("second-flood", "0")
	queue.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(handler.LowPriority)}, renewal)
	queue.Add(other)
	queue.Add(requestFor("flooded", "0"))
	for i := range flood {
		queue.Add(requestFor("second-flood", fmt.Sprint(i)))
	}
	var order []reconcile.Request
	for range 2*flood + 2 {
		request, _ := queue.Get()
		queue.Done(request)
		order = append(order, request)
	}
	place := func(request reconcile.Request) int { return slices.Index(order, request) }
	if at := place(other); at > fairShare {
		t.Errorf("a key of another namespace waits for %d keys", at)
	}
	if at := place(renewal); at > 2*fairShare+1 {
		t.Errorf("a key in the background waits for %d keys", at)
	}
	if at := place(second); at > 2*fairShare+2 {
		t.Errorf("the first of another flood waits for %d keys", at)
	}
	if first, last := place(requestFor("second-flood", "500")), place(requestFor("flooded", "999")); first > last {
		t.Error("two floods do not take turns")
	}
	queue.Add(requestFor("flooded", "later"))
	if request, priority, _ := queue.GetWithPriority(); request.Name != "later" || priority != 0 {
		t.Errorf("after a flood, a key of its namespace has priority %d", priority)
	}
}

// TestANamespaceHoldsHalfOfTheWorkers checks that workers remain for other namespaces while requests of one namespace do
// not end, and that items that were set aside keep their order.
func TestANamespaceHoldsHalfOfTheWorkers(t *testing.T) {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](time.Millisecond, time.Second)
	const workers = 4
	queue, _ := New(logr.Discard(), workers, NamespaceOfRequest)("stuck", limiter).(*fairQueue[reconcile.Request])
	got := make(chan reconcile.Request)
	for range workers {
		go func() {
			for {
				request, shutdown := queue.Get()
				if shutdown {
					return
				}
				got <- request
			}
		}()
	}
	defer queue.ShutDown()
	for i := range 3 * workers {
		queue.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(handler.LowPriority)}, requestFor("stuck", fmt.Sprint(i)))
	}
	first, second := <-got, <-got
	queue.Add(requestFor("quiet", "one"))
	if next := <-got; next.Namespace != "quiet" {
		t.Fatalf("while workers process %s and %s, a third key of their namespace begins: %s", first.Name, second.Name, next.Name)
	}
	for queue.setAsideOf("stuck") < 3*workers-2 {
		runtime.Gosched()
	}
	// A key that a user changed comes before those in the background, even if the queue set it aside with them.
	queue.Add(requestFor("stuck", "11"))
	queue.Done(first)
	if next := <-got; next.Name != "11" {
		t.Errorf("before the key that a user changed, %s begins", next.Name)
	}
	queue.Done(second)
	seen := map[string]bool{first.Name: true, second.Name: true, "11": true}
	for len(seen) < 3*workers {
		next := <-got
		if seen[next.Name] {
			t.Fatalf("%s comes twice", next.Name)
		}
		seen[next.Name] = true
		queue.Done(next)
	}
}

// setAsideOf returns the number of items of a namespace that are set aside.
func (q *fairQueue[T]) setAsideOf(namespace string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.aside[namespace])
}

package controllers

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

// TestAFloodOfOneNamespace: whoever asks for a thousand keys does not stand before others who ask for
// one, nor before what is to be done in the background.
func TestAFloodOfOneNamespace(t *testing.T) {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](time.Millisecond, time.Second)
	queue, ok := newFairQueue(logr.Discard(), 16, namespaceOfRequest)("flood", limiter).(priorityqueue.PriorityQueue[reconcile.Request])
	if !ok {
		t.Fatal("handlers could not give priorities")
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
		t.Errorf("somebody else's key waits for %d keys", at)
	}
	if at := place(renewal); at > 2*fairShare+1 {
		t.Errorf("what is in the background waits for %d keys", at)
	}
	if at := place(second); at > 2*fairShare+2 {
		t.Errorf("the first of another flood waits for %d keys", at)
	}
	if first, last := place(requestFor("second-flood", "500")), place(requestFor("flooded", "999")); first > last {
		t.Error("two floods do not take turns")
	}
	queue.Add(requestFor("flooded", "later"))
	if request, priority, _ := queue.GetWithPriority(); request.Name != "later" || priority != 0 {
		t.Errorf("once a flood is over, a key of its namespace has priority %d", priority)
	}
}

// TestANamespaceHoldsHalfOfTheWorkers: while the work of one namespace does not end, workers remain for
// others, and what was set aside comes in its turn.
func TestANamespaceHoldsHalfOfTheWorkers(t *testing.T) {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](time.Millisecond, time.Second)
	const workers = 4
	queue, _ := newFairQueue(logr.Discard(), workers, namespaceOfRequest)("stuck", limiter).(*fairQueue[reconcile.Request])
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
		t.Fatalf("while %s and %s are worked on, a third key of their namespace begins: %s", first.Name, second.Name, next.Name)
	}
	for queue.setAsideOf("stuck") < 3*workers-2 {
		runtime.Gosched()
	}
	// A key that its user asks for comes before those in the background, though it was set aside with them.
	queue.Add(requestFor("stuck", "11"))
	queue.Done(first)
	if next := <-got; next.Name != "11" {
		t.Errorf("after a key that a user asked for, %s begins first", next.Name)
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

// setAsideOf returns how many items of a namespace are set aside.
func (q *fairQueue[T]) setAsideOf(namespace string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.aside[namespace])
}

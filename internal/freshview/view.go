// Package freshview keeps a copy of the objects of one kind of the API server, by a watch, and knows for how long the copy
// was not proven to be complete. It does not depend on the kinds.
package freshview

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Source is what a View contains.
type Source[T client.Object] struct {
	// Kind is the kind of the objects.
	Kind schema.GroupVersionKind
	// List returns an empty list of the kind.
	List func() client.ObjectList
	// Options select the objects; all objects of the kind if empty.
	Options []client.ListOption
	// Slim removes unused fields from an object, to save memory. It may be called more than once for an object. Nil
	// keeps all fields.
	Slim func(T)
	// Changed is called after each change of the view, and before the view counts as proven. Nil for no call.
	Changed func()
}

// View is a copy of the objects of a Source. It is empty until Run. Its objects are shared and immutable.
type View[T client.Object] struct {
	source Source[T]
	clock  clock.WithTicker
	fresh  *freshness
	store  *store[T]
}

// New returns a View. The clock measures its age; it should be monotonic.
func New[T client.Object](source Source[T], clock clock.WithTicker) *View[T] {
	if source.Slim == nil {
		source.Slim = func(T) {}
	}
	if source.Changed == nil {
		source.Changed = func() {}
	}
	fresh := &freshness{clock: clock}
	return &View[T]{source: source, clock: clock, fresh: fresh, store: newStore(fresh, source.Slim, source.Changed)}
}

// Run watches until ctx ends.
func (v *View[T]) Run(ctx context.Context, reader client.WithWatch) {
	w := &watcher{
		kind: v.source.Kind, list: v.source.List, options: v.source.Options, reader: reader, clock: v.clock, fresh: v.fresh,
	}
	reflector := cache.NewReflectorWithOptions(w.source(), nil, v.store, cache.ReflectorOptions{
		Name: w.kind.Kind, TypeDescription: w.kind.Kind, Backoff: &watchBackoff,
	})
	var running sync.WaitGroup
	running.Go(func() { reflector.RunWithContext(ctx) })
	running.Go(func() { w.proveAgain(ctx) })
	running.Wait()
}

// Age returns the time since the view was proven complete; false if it never was.
func (v *View[T]) Age() (age time.Duration, proven bool) { return v.fresh.age() }

// Get returns the object with a name; false if the view has none.
func (v *View[T]) Get(name types.NamespacedName) (object T, found bool) { return v.store.get(name) }

// All returns all objects, in no order.
func (v *View[T]) All() []T { return v.store.all() }

// Select returns the objects for which selects returns true, in no order.
func (v *View[T]) Select(selects func(T) bool) []T { return v.store.selected(selects) }

// Count returns the number of objects for which counts returns true.
func (v *View[T]) Count(counts func(T) bool) int { return v.store.count(counts) }

// Remember adds an object that was read or written at the API server, if the watch has not reached its version.
func (v *View[T]) Remember(object T) { v.store.remember(object) }

package registry

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// view contains the objects of one kind as reported by a watch, and the version that the watch has reached. Its
// objects are shared and immutable.
type view[T client.Object] struct {
	// slim removes unused fields from an object.
	slim func(T)
	// changed is called after each change.
	changed func()
	fresh   *freshness

	mu      sync.RWMutex
	objects map[types.NamespacedName]T
	version string
}

var _ cache.TransformingStore = (*view[client.Object])(nil)
var _ cache.ResourceVersionUpdater = (*view[client.Object])(nil)

func newView[T client.Object](fresh *freshness, slim func(T), changed func()) *view[T] {
	return &view[T]{slim: slim, changed: changed, fresh: fresh, objects: map[types.NamespacedName]T{}}
}

func (v *view[T]) get(name types.NamespacedName) (object T, found bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	object, found = v.objects[name]
	return object, found
}

func (v *view[T]) all() []T {
	v.mu.RLock()
	defer v.mu.RUnlock()
	all := make([]T, 0, len(v.objects))
	for _, object := range v.objects {
		all = append(all, object)
	}
	return all
}

func (v *view[T]) count(counts func(T) bool) (n int) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, object := range v.objects {
		if counts(object) {
			n++
		}
	}
	return n
}

// remember adds an object that was read or written at the API server, if the watch has not reached its version.
// Otherwise the watch is right: the object may be deleted since.
func (v *view[T]) remember(object T) {
	v.slim(object)
	v.mu.Lock()
	ahead := v.version != "" && newer(object.GetResourceVersion(), v.version)
	if ahead {
		v.put(object)
	}
	v.mu.Unlock()
	if ahead {
		v.changed()
	}
}

func (v *view[T]) put(object T) {
	name := client.ObjectKeyFromObject(object)
	if known, found := v.objects[name]; !found || !newer(known.GetResourceVersion(), object.GetResourceVersion()) {
		v.objects[name] = object
	}
}

// Add implements cache.ReflectorStore.
func (v *view[T]) Add(obj any) error { return v.Update(obj) }

// Update implements cache.ReflectorStore.
func (v *view[T]) Update(obj any) error {
	object, ok := obj.(T)
	if !ok {
		return fmt.Errorf("the watch gave a %T", obj)
	}
	v.slim(object)
	v.mu.Lock()
	v.put(object)
	v.mu.Unlock()
	v.changed()
	return nil
}

// Delete implements cache.ReflectorStore.
func (v *view[T]) Delete(obj any) error {
	object, ok := obj.(T)
	if !ok {
		return fmt.Errorf("the watch gave a %T", obj)
	}
	name := client.ObjectKeyFromObject(object)
	v.mu.Lock()
	// An object that was created again under the name stays.
	if known, found := v.objects[name]; found && !newer(known.GetResourceVersion(), object.GetResourceVersion()) {
		delete(v.objects, name)
	}
	v.mu.Unlock()
	v.changed()
	return nil
}

// Replace implements cache.ReflectorStore.
func (v *view[T]) Replace(list []any, version string) error {
	objects := make(map[types.NamespacedName]T, len(list))
	for _, obj := range list {
		object, ok := obj.(T)
		if !ok {
			return fmt.Errorf("the list gave a %T", obj)
		}
		v.slim(object)
		objects[client.ObjectKeyFromObject(object)] = object
	}
	v.mu.Lock()
	before := v.objects
	v.objects, v.version = objects, version
	for _, object := range before {
		if newer(object.GetResourceVersion(), version) {
			v.put(object)
		}
	}
	v.mu.Unlock()
	// What is derived from the view must be complete before the view counts as fresh.
	v.changed()
	v.fresh.reached(version)
	return nil
}

// Resync implements cache.ReflectorStore.
func (v *view[T]) Resync() error { return nil }

// UpdateResourceVersion implements cache.ResourceVersionUpdater. It is called for each event and each bookmark; a
// kind without changes has only bookmarks.
func (v *view[T]) UpdateResourceVersion(version string) {
	v.mu.Lock()
	v.version = version
	v.mu.Unlock()
	v.fresh.reached(version)
}

// Transformer implements cache.TransformingStore: initial objects are slimmed as they arrive.
func (v *view[T]) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) {
		if object, ok := obj.(T); ok {
			v.slim(object)
		}
		return obj, nil
	}
}

// newer reports whether version a of a kind is newer than b; false if one of them is malformed.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

package freshview

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// store contains the objects of one kind as reported by a watch, and the version that the watch has reached. Its
// objects are shared and immutable.
type store[T client.Object] struct {
	// slim removes unused fields from an object.
	slim func(T)
	// changed is called after each change.
	changed func()
	fresh   *freshness

	mu      sync.RWMutex
	objects map[types.NamespacedName]T
	version string
}

var _ cache.TransformingStore = (*store[client.Object])(nil)
var _ cache.ResourceVersionUpdater = (*store[client.Object])(nil)

func newStore[T client.Object](fresh *freshness, slim func(T), changed func()) *store[T] {
	return &store[T]{slim: slim, changed: changed, fresh: fresh, objects: map[types.NamespacedName]T{}}
}

func (s *store[T]) get(name types.NamespacedName) (object T, found bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	object, found = s.objects[name]
	return object, found
}

func (s *store[T]) all() []T {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]T, 0, len(s.objects))
	for _, object := range s.objects {
		all = append(all, object)
	}
	return all
}

func (s *store[T]) selected(selects func(T) bool) (found []T) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, object := range s.objects {
		if selects(object) {
			found = append(found, object)
		}
	}
	return found
}

func (s *store[T]) count(counts func(T) bool) (n int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, object := range s.objects {
		if counts(object) {
			n++
		}
	}
	return n
}

// remember adds an object that was read or written at the API server, if the watch has not reached its version.
// Otherwise the watch is right: the object may be deleted since.
func (s *store[T]) remember(object T) {
	s.slim(object)
	s.mu.Lock()
	ahead := s.version != "" && newer(object.GetResourceVersion(), s.version)
	if ahead {
		s.put(object)
	}
	s.mu.Unlock()
	if ahead {
		s.changed()
	}
}

func (s *store[T]) put(object T) {
	name := client.ObjectKeyFromObject(object)
	if known, found := s.objects[name]; !found || !newer(known.GetResourceVersion(), object.GetResourceVersion()) {
		s.objects[name] = object
	}
}

// Add implements cache.ReflectorStore.
func (s *store[T]) Add(obj any) error { return s.Update(obj) }

// Update implements cache.ReflectorStore.
func (s *store[T]) Update(obj any) error {
	object, ok := obj.(T)
	if !ok {
		return fmt.Errorf("the watch gave a %T", obj)
	}
	s.slim(object)
	s.mu.Lock()
	s.put(object)
	s.mu.Unlock()
	s.changed()
	return nil
}

// Delete implements cache.ReflectorStore.
func (s *store[T]) Delete(obj any) error {
	object, ok := obj.(T)
	if !ok {
		return fmt.Errorf("the watch gave a %T", obj)
	}
	name := client.ObjectKeyFromObject(object)
	s.mu.Lock()
	// An object that was created again under the name stays.
	if known, found := s.objects[name]; found && !newer(known.GetResourceVersion(), object.GetResourceVersion()) {
		delete(s.objects, name)
	}
	s.mu.Unlock()
	s.changed()
	return nil
}

// Replace implements cache.ReflectorStore.
func (s *store[T]) Replace(list []any, version string) error {
	objects := make(map[types.NamespacedName]T, len(list))
	for _, obj := range list {
		object, ok := obj.(T)
		if !ok {
			return fmt.Errorf("the list gave a %T", obj)
		}
		s.slim(object)
		objects[client.ObjectKeyFromObject(object)] = object
	}
	s.mu.Lock()
	before := s.objects
	s.objects, s.version = objects, version
	for _, object := range before {
		if newer(object.GetResourceVersion(), version) {
			s.put(object)
		}
	}
	s.mu.Unlock()
	// What is derived from the objects must be complete before the view counts as fresh.
	s.changed()
	s.fresh.reached(version)
	return nil
}

// Resync implements cache.ReflectorStore.
func (s *store[T]) Resync() error { return nil }

// UpdateResourceVersion implements cache.ResourceVersionUpdater. It is called for each event and each bookmark; a
// kind without changes has only bookmarks.
func (s *store[T]) UpdateResourceVersion(version string) {
	s.mu.Lock()
	s.version = version
	s.mu.Unlock()
	s.fresh.reached(version)
}

// Transformer implements cache.TransformingStore: initial objects are slimmed as they arrive.
func (s *store[T]) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) {
		if object, ok := obj.(T); ok {
			s.slim(object)
		}
		return obj, nil
	}
}

// newer reports whether version a of a kind is newer than b; false if one of them is malformed.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

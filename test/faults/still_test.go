package faults

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// still is a picture of a cluster in which nothing moves: what was read once is not asked
// for again.
type still struct {
	client.Reader

	mu     sync.Mutex
	things map[string]runtime.Object
}

func newStill(reader client.Reader) *still {
	return &still{Reader: reader, things: map[string]runtime.Object{}}
}

// Get is part of client.Reader.
func (s *still) Get(ctx context.Context, name client.ObjectKey, object client.Object, options ...client.GetOption) error {
	return s.once(fmt.Sprintf("%T %s", object, name), object, func() error { return s.Reader.Get(ctx, name, object, options...) })
}

// List is part of client.Reader.
func (s *still) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return s.once(fmt.Sprintf("%T %v", list, options), list, func() error { return s.Reader.List(ctx, list, options...) })
}

func (s *still) once(what string, into runtime.Object, read func() error) error {
	s.mu.Lock()
	known, ok := s.things[what]
	s.mu.Unlock()
	if ok {
		reflect.ValueOf(into).Elem().Set(reflect.ValueOf(known.DeepCopyObject()).Elem())
		return nil
	}
	if err := read(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.things[what] = into.DeepCopyObject()
	return nil
}

package faults

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// frugalReader reads each namespace once, since no test changes one. It lists the Secret with the signing keys of an issuer by its name
// too, since the API server would look at those of all issuers. A check at the end reads without it.
type frugalReader struct {
	client.Reader
	namespaces *cachedReader
}

func newFrugalReader(reader client.Reader) *frugalReader {
	return &frugalReader{Reader: reader, namespaces: newCachedReader(reader)}
}

// Get implements client.Reader.
func (r *frugalReader) Get(ctx context.Context, name client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if _, ok := object.(*corev1.Namespace); ok {
		return r.namespaces.Get(ctx, name, object, options...)
	}
	return r.Reader.Get(ctx, name, object, options...)
}

// List implements client.Reader.
func (r *frugalReader) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	asked := (&client.ListOptions{}).ApplyOptions(options)
	if asked.LabelSelector != nil {
		if issuer, found := asked.LabelSelector.RequiresExactMatch(v1alpha1.LabelSigningKeysOf); found {
			options = append(options, client.MatchingFields{"metadata.name": signingKeysPrefix + issuer})
		}
	}
	return r.Reader.List(ctx, list, options...)
}

// cachedReader reads each object once and returns the same copy afterwards. The cluster must
// not change.
type cachedReader struct {
	client.Reader

	mu      sync.Mutex
	objects map[string]runtime.Object
}

func newCachedReader(reader client.Reader) *cachedReader {
	return &cachedReader{Reader: reader, objects: map[string]runtime.Object{}}
}

// Get implements client.Reader.
func (r *cachedReader) Get(ctx context.Context, name client.ObjectKey, object client.Object, options ...client.GetOption) error {
	return r.readOnce(fmt.Sprintf("%T %s", object, name), object, func() error { return r.Reader.Get(ctx, name, object, options...) })
}

// List implements client.Reader.
func (r *cachedReader) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return r.readOnce(fmt.Sprintf("%T %v", list, options), list, func() error { return r.Reader.List(ctx, list, options...) })
}

func (r *cachedReader) readOnce(what string, into runtime.Object, read func() error) error {
	r.mu.Lock()
	known, ok := r.objects[what]
	r.mu.Unlock()
	if ok {
		reflect.ValueOf(into).Elem().Set(reflect.ValueOf(known.DeepCopyObject()).Elem())
		return nil
	}
	if err := read(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.objects[what] = into.DeepCopyObject()
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// batch is a number of keys that are created together, spread over namespaces like those of the
// teams of a cluster are. Names are of one length, so that objects of two batches are of one size.
type batch struct {
	name string
	keys int
}

const (
	namespacesPerBatch = 10
	// adminWorkers is the number of workers that create and delete objects between measurements.
	adminWorkers = 16
)

func (b batch) namespace(i int) string { return fmt.Sprintf("%s-%d", b.name, i%namespacesPerBatch) }

// newKey returns a key like the README's: an audience, and defaults.
func (b batch) newKey(i int) *v1alpha1.JWTRefreshKey {
	return &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace(i), Name: fmt.Sprintf("orders-%05d", i)},
		Spec: v1alpha1.JWTRefreshKeySpec{
			Audience: "https://orders.example.com",
			Lifetime: &metav1.Duration{Duration: 720 * time.Hour},
		},
	}
}

// each calls a function for every number of the batch, with a number of workers.
func (b batch) each(ctx context.Context, workers int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	numbers := make(chan int)
	group.Go(func() error {
		defer close(numbers)
		for i := range b.keys {
			select {
			case numbers <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range workers {
		group.Go(func() error {
			for i := range numbers {
				if err := do(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// create creates the namespaces and the keys.
func (l *lab) create(ctx context.Context, b batch) error {
	for i := range namespacesPerBatch {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.namespace(i)}}
		if err := l.admin.Create(ctx, namespace); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	began := time.Now()
	err := b.each(ctx, adminWorkers, func(ctx context.Context, i int) error { return l.admin.Create(ctx, b.newKey(i)) })
	if err != nil {
		return fmt.Errorf("create the keys of %s: %w", b.name, err)
	}
	progress("%d keys of %s created in %.0fs", b.keys, b.name, time.Since(began).Seconds())
	return nil
}

// list reads the keys from the API server, in no particular order.
func (l *lab) list(ctx context.Context, b batch) ([]v1alpha1.JWTRefreshKey, error) {
	var all []v1alpha1.JWTRefreshKey
	for i := range namespacesPerBatch {
		var some v1alpha1.JWTRefreshKeyList
		if err := l.admin.List(ctx, &some, client.InNamespace(b.namespace(i))); err != nil {
			return nil, err
		}
		all = append(all, some.Items...)
	}
	if len(all) != b.keys {
		return nil, fmt.Errorf("%s has %d keys, want %d", b.name, len(all), b.keys)
	}
	return all, nil
}

// listIssued is list for a batch in which all keys must be Ready.
func (l *lab) listIssued(ctx context.Context, b batch) ([]v1alpha1.JWTRefreshKey, error) {
	keys, err := l.list(ctx, b)
	for i := range keys {
		if !meta.IsStatusConditionTrue(keys[i].Status.Conditions, v1alpha1.ConditionReady) {
			err = errors.Join(err, fmt.Errorf("%s/%s is not Ready: %v", keys[i].Namespace, keys[i].Name, keys[i].Status.Conditions))
			break
		}
	}
	return keys, err
}

// remove deletes the keys of a batch and their Secrets, so that the manager does not observe
// them. Their Events remain and have no effect.
func (l *lab) remove(ctx context.Context, b batch) error {
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for i := range namespacesPerBatch {
		group.Go(func() error {
			for _, kind := range []client.Object{&v1alpha1.JWTRefreshKey{}, &corev1.Secret{}} {
				if err := l.admin.DeleteAllOf(ctx, kind, client.InNamespace(b.namespace(i))); err != nil {
					return fmt.Errorf("remove %s: %w", b.name, err)
				}
			}
			return nil
		})
	}
	err := group.Wait()
	progress("%s removed in %.0fs", b.name, time.Since(began).Seconds())
	return err
}

// keysAtRest returns the number of keys that the manager has issued.
func (l *lab) keysAtRest() int {
	total := 0
	for _, b := range l.resting {
		total += b.keys
	}
	return total
}

// fill creates keys until the manager has issued the wanted number.
// It leaves the manager running.
func (l *lab) fill(ctx context.Context, want int) error {
	if missing := want - l.keysAtRest(); missing > 0 {
		b := batch{name: fmt.Sprintf("filled-%d", len(l.resting)), keys: missing}
		if err := l.create(ctx, b); err != nil {
			return err
		}
		l.resting = append(l.resting, b)
	}
	if err := l.startManager(ctx); err != nil {
		return err
	}
	if err := l.awaitRest(ctx, l.keysAtRest(), time.Second); err != nil {
		return err
	}
	for _, b := range l.resting {
		if _, err := l.listIssued(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

package controllers

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// callTimeout bounds each request to the API server. A write of a Secret, which an admission webhook may
	// hold up, has the shorter secretWriteTimeout, and leaves the reconciliation the time to report it.
	callTimeout = 12 * time.Second
	// reconcileTimeout bounds a reconciliation as a whole.
	reconcileTimeout = 30 * time.Second
	// busyDelay is when an object is looked at again that needs what another worker is reading.
	busyDelay = 250 * time.Millisecond
)

// errBusy says that another worker is reading what is needed: the object is looked at again soon, and no
// worker waits for it.
var errBusy = errors.New("another worker is reading it")

// boundedReader reads from the API server, each time within callTimeout.
type boundedReader struct{ client.Reader }

func (r boundedReader) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return r.Reader.Get(ctx, key, object, options...)
}

func (r boundedReader) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return r.Reader.List(ctx, list, options...)
}

// boundedWrites writes to the API server, each time within callTimeout. Its reads are from caches, which
// answer at once.
type boundedWrites struct{ client.Client }

func (c boundedWrites) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.Client.Create(ctx, object, options...)
}

func (c boundedWrites) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.Client.Update(ctx, object, options...)
}

func (c boundedWrites) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.Client.Patch(ctx, object, patch, options...)
}

func (c boundedWrites) Delete(ctx context.Context, object client.Object, options ...client.DeleteOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.Client.Delete(ctx, object, options...)
}

func (c boundedWrites) Status() client.SubResourceWriter { return boundedStatus{c.Client.Status()} }

type boundedStatus struct{ client.SubResourceWriter }

func (s boundedStatus) Update(ctx context.Context, object client.Object, options ...client.SubResourceUpdateOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.SubResourceWriter.Update(ctx, object, options...)
}

// boundedLive reads and writes at the API server, each time within callTimeout.
type boundedLive struct{ boundedWrites }

func (c boundedLive) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	return boundedReader{c.Client}.Get(ctx, key, object, options...)
}

func (c boundedLive) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return boundedReader{c.Client}.List(ctx, list, options...)
}

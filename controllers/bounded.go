package controllers

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// callTimeout bounds each request to the API server. A write of a Secret, which an admission webhook can
// delay, has the shorter secretWriteTimeout: the reconciliation still has time to report the failure.
const callTimeout = 12 * time.Second

// boundedReader reads from the API server, with callTimeout for each request.
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

// boundedWrites writes to the API server, with callTimeout for each request. It reads from the caches, without a timeout.
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

// boundedLive reads from and writes to the API server, with callTimeout for each request.
type boundedLive struct{ boundedWrites }

func (c boundedLive) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	return boundedReader{c.Client}.Get(ctx, key, object, options...)
}

func (c boundedLive) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return boundedReader{c.Client}.List(ctx, list, options...)
}

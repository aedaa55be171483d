// Package bounded gives each request to the API server a time limit.
package bounded

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// callTimeout bounds each request to the API server. A write of a Secret, which an admission webhook can
// delay, has the shorter writes.SecretTimeout: the reconciliation still has time to report the failure.
const callTimeout = 12 * time.Second

// Reader returns a reader from the API server, with a time limit for each request.
func Reader(below client.Reader) client.Reader { return reader{below} }

// reader reads from the API server, with callTimeout for each request.
type reader struct{ client.Reader }

func (r reader) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return r.Reader.Get(ctx, key, object, options...)
}

func (r reader) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return r.Reader.List(ctx, list, options...)
}

// Writes returns a client that writes to the API server, with a time limit for each request, and reads from the caches.
func Writes(below client.Client) client.Client { return writes{below} }

// writes is a client whose writes have callTimeout each. It reads from the caches, without a timeout.
type writes struct{ client.Client }

func (c writes) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.Client.Create(ctx, object, options...)
}

func (c writes) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.Client.Update(ctx, object, options...)
}

func (c writes) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.Client.Patch(ctx, object, patch, options...)
}

func (c writes) Delete(ctx context.Context, object client.Object, options ...client.DeleteOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.Client.Delete(ctx, object, options...)
}

func (c writes) Status() client.SubResourceWriter { return status{c.Client.Status()} }

type status struct{ client.SubResourceWriter }

func (s status) Update(ctx context.Context, object client.Object, options ...client.SubResourceUpdateOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.SubResourceWriter.Update(ctx, object, options...)
}

// Live returns a client that reads from and writes to the API server, with a time limit for each request.
func Live(below client.Client) client.Client { return live{writes{below}} }

// live reads from and writes to the API server, with callTimeout for each request.
type live struct{ writes }

func (c live) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	return reader{c.Client}.Get(ctx, key, object, options...)
}

func (c live) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return reader{c.Client}.List(ctx, list, options...)
}

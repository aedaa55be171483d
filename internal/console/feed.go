package console

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console/view"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

const (
	// chunk is how many objects a list of an API server without WatchList has.
	chunk = 500
	// betweenWatches is the time between two watches of one stream, if the API server ends each at once.
	betweenWatches = time.Second
)

// change is what a feed tells a stream: one of its fields besides kind and version.
type change struct {
	kind string
	// version is the resourceVersion after the change; empty while the feed lists what exists.
	version string
	key     *wire.KeyRow
	issuer  *wire.IssuerRow
	// gone is the UID of an object that was deleted.
	gone string
	// synced: all that exists was sent.
	synced bool
}

// source is a kind that a stream has.
type source struct {
	kind, resource string
	// namespaced objects can be those of one namespace only.
	namespaced bool
	list       func() client.ObjectList
	// read reads a line of a watch.
	read func(line []byte) (watch.Event, error)
	row  func(runtime.Object, *change)
}

// sources are the kinds of a stream by their names.
var sources = map[string]source{
	"keys": {
		kind: "keys", resource: keyResource, namespaced: true, list: func() client.ObjectList { return &v1alpha1.JWTRefreshKeyList{} },
		read: func(line []byte) (watch.Event, error) {
			return readEvent(line, func(meta metav1.ObjectMeta, spec *v1alpha1.JWTRefreshKeySpec, status *v1alpha1.JWTRefreshKeyStatus) runtime.Object {
				return &v1alpha1.JWTRefreshKey{ObjectMeta: meta, Spec: *spec, Status: *status}
			})
		},
		row: func(object runtime.Object, c *change) {
			if key, is := object.(*v1alpha1.JWTRefreshKey); is {
				row := view.KeyRow(key)
				c.key = &row
			}
		},
	},
	"issuers": {
		kind: "issuers", resource: issuerResource, list: func() client.ObjectList { return &v1alpha1.JWTIssuerList{} },
		read: func(line []byte) (watch.Event, error) {
			return readEvent(line, func(meta metav1.ObjectMeta, spec *v1alpha1.JWTIssuerSpec, status *v1alpha1.JWTIssuerStatus) runtime.Object {
				return &v1alpha1.JWTIssuer{ObjectMeta: meta, Spec: *spec, Status: *status}
			})
		},
		row: func(object runtime.Object, c *change) {
			if issuer, is := object.(*v1alpha1.JWTIssuer); is {
				row := view.IssuerRow(issuer)
				c.issuer = &row
			}
		},
	},
}

// errGone means that the API server no longer has the changes since a version: the stream begins again.
var errGone = errors.New("the changes since the version are gone")

// feedError is the error of a feed with its kind.
type feedError struct {
	source source
	err    error
}

func (f *feedError) Error() string { return f.source.kind + ": " + f.err.Error() }

func (f *feedError) Unwrap() error { return f.err }

// feed tells the changes of one kind. It holds one object at a time, and waits until the stream has taken its row: how fast the API
// server sends is up to the reader of the stream.
type feed struct {
	source
	p         *person
	namespace string
	clock     clock.Clock
	tell      func(context.Context, change) error
	// version is where the next watch begins; empty before the first.
	version string
}

// run tells all that exists, unless the feed has a version, and then each change, until the context or the API server ends it.
func (f *feed) run(ctx context.Context) error {
	err := f.begin(ctx)
	for err == nil {
		began := f.clock.Now()
		if err = f.follow(ctx, f.options(), false); err == nil && f.clock.Since(began) < betweenWatches {
			err = pause(ctx, f.clock, betweenWatches)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge) {
		return errGone
	}
	return &feedError{f.source, err}
}

// pause waits for a time, or until the context ends.
func pause(ctx context.Context, clock clock.Clock, wait time.Duration) error {
	timer := clock.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin tells what exists: as the first events of a watch, or by a list where the API server has no such watch. The browser of a feed
// that resumes knows it.
func (f *feed) begin(ctx context.Context) error {
	if f.version != "" {
		return nil
	}
	all := true
	err := f.follow(ctx, &metav1.ListOptions{
		SendInitialEvents: &all, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
	}, true)
	switch {
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err):
		return f.page(ctx)
	case apierrors.IsForbidden(err):
		return f.lacking(ctx, err)
	default:
		return err
	}
}

// lacking returns the refusal of the right that a person asks for first. The API server refuses the first watch for its verb, also to
// a person who may not list either.
func (f *feed) lacking(ctx context.Context, watch error) error {
	list := f.p.List(ctx, f.list(), client.InNamespace(f.namespace), client.Limit(1))
	if apierrors.IsForbidden(list) {
		return list
	}
	return watch
}

// options are those of a watch from the version on.
func (f *feed) options() *metav1.ListOptions {
	return &metav1.ListOptions{ResourceVersion: f.version, AllowWatchBookmarks: true}
}

// page tells what exists by a list in chunks.
func (f *feed) page(ctx context.Context) error {
	for next := ""; ; {
		list := f.list()
		if err := f.p.List(ctx, list, client.InNamespace(f.namespace), client.Limit(chunk), client.Continue(next)); err != nil {
			return err
		}
		err := meta.EachListItem(list, func(object runtime.Object) error {
			one := change{kind: f.kind}
			f.row(object, &one)
			return f.tell(ctx, one)
		})
		if err != nil {
			return err
		}
		if next = list.GetContinue(); next == "" {
			f.version = list.GetResourceVersion()
			return f.tell(ctx, change{kind: f.kind, version: f.version, synced: true})
		}
	}
}

// follow tells the changes of one watch until it ends. If it lists what exists first, a watch that ends before is an error.
func (f *feed) follow(ctx context.Context, options *metav1.ListOptions, listing bool) error {
	err := f.p.watch(ctx, f.source, f.namespace, options, func(event watch.Event) error {
		told, err := f.changeOf(event, &listing)
		if err != nil || told == nil {
			return err
		}
		return f.tell(ctx, *told)
	})
	if err != nil {
		return err
	}
	if listing && ctx.Err() == nil {
		return apierrors.NewServiceUnavailable("the API server ended the list of what exists")
	}
	return nil
}

// changeOf returns what a watch event tells; nil for nothing.
func (f *feed) changeOf(event watch.Event, listing *bool) (*change, error) {
	object, err := meta.Accessor(event.Object)
	if err != nil {
		return nil, fmt.Errorf("a watch of %s has an event without an object: %w", f.kind, err)
	}
	one := change{kind: f.kind}
	if !*listing {
		// The first events of a list are in no order: none is a version to begin at.
		f.version = object.GetResourceVersion()
	}
	switch event.Type {
	case watch.Bookmark:
		if *listing && object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
			*listing, one.synced = false, true
			f.version = object.GetResourceVersion()
		}
	case watch.Deleted:
		one.gone = string(object.GetUID())
	case watch.Added, watch.Modified:
		f.row(event.Object, &one)
	case watch.Error:
	}
	one.version = f.version
	if *listing && event.Type == watch.Bookmark {
		return nil, nil
	}
	return &one, nil
}

package freshview

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

const (
	// proveEvery is the interval of asking storage for its version.
	proveEvery = 20 * time.Second
	// watchFor is the duration of one watch. The API server ends each with a bookmark, which proves the view of a
	// kind without changes.
	watchFor = 20 * time.Second
	// streamFor is the duration of the watch that streams the initial objects.
	streamFor = time.Minute
	// watchGrace is how long a watch may exceed its duration before it counts as hung.
	watchGrace = 10 * time.Second
)

// SlowestProof is the longest time between two proofs of a view whose watch works: a question waits for the next one, and its answer
// for the end of a watch.
const SlowestProof = proveEvery + streamFor

// watchBackoff is the delay before a failed watch is retried. It is short, so that no replica stays behind for
// long when the API server is back.
var watchBackoff = wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 6, Cap: 5 * time.Second}

// watcher lists and watches the objects of one kind, and asks storage for its version.
type watcher struct {
	kind    schema.GroupVersionKind
	list    func() client.ObjectList
	options []client.ListOption
	reader  client.WithWatch
	clock   clock.WithTicker
	fresh   *freshness
}

// source lists and watches the kind. It asks storage for its version before it lists. A version that is read later
// may be newer than the list; a kind without changes would then not be proven before the end of the first watch.
func (w *watcher) source() cache.ListerWatcher {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, raw metav1.ListOptions) (runtime.Object, error) {
			if err := w.prove(ctx); err != nil {
				return nil, err
			}
			list := w.list()
			return list, w.reader.List(ctx, list, w.with(raw)...)
		},
		WatchFuncWithContext: func(ctx context.Context, raw metav1.ListOptions) (watch.Interface, error) {
			length := watchFor
			if ptr.Deref(raw.SendInitialEvents, false) {
				length = streamFor
				if err := w.prove(ctx); err != nil {
					return nil, err
				}
			}
			raw.TimeoutSeconds = ptr.To(int64(length / time.Second))
			ctx, cancel := context.WithTimeout(ctx, length+watchGrace)
			events, err := w.reader.Watch(ctx, w.list(), w.with(raw)...)
			if err != nil {
				cancel()
				return nil, err
			}
			return &bounded{Interface: events, cancel: cancel}, nil
		},
	}
}

func (w *watcher) with(raw metav1.ListOptions) []client.ListOption {
	return append(w.options[:len(w.options):len(w.options)], &client.ListOptions{Raw: &raw, Limit: raw.Limit, Continue: raw.Continue})
}

// bounded is a watch that ends after its duration, even if the connection hangs.
type bounded struct {
	watch.Interface
	cancel context.CancelFunc
}

func (b *bounded) Stop() {
	b.Interface.Stop()
	b.cancel()
}

// proveAgain asks storage for its version every proveEvery.
func (w *watcher) proveAgain(ctx context.Context) {
	ticker := w.clock.NewTicker(proveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			// A failure proves nothing, and the age of the view shows that.
			_ = w.prove(ctx)
		}
	}
}

// prove asks storage for its version, which the view must reach.
func (w *watcher) prove(ctx context.Context) error {
	at := w.clock.Now()
	version, err := w.storedVersion(ctx)
	if err != nil {
		return err
	}
	w.fresh.ask(at, version)
	return nil
}

// storedVersion returns the current version of the kind in storage. A list without a resourceVersion is as fresh
// as storage.
func (w *watcher) storedVersion(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, upstream.RequestTimeout)
	defer cancel()
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(w.kind.GroupVersion().WithKind(w.kind.Kind + "List"))
	err := w.reader.List(ctx, list, w.with(metav1.ListOptions{Limit: 1})...)
	return list.ResourceVersion, err
}

package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

const (
	// heartbeat is the time between two comments of a stream.
	heartbeat = 15 * time.Second
	// gather is how long a row waits for others to be sent with it.
	gather = 20 * time.Millisecond
	// mostRows is how many rows an event has.
	mostRows = 500
)

// changes answers GET api/stream: the rows of keys and issuers, and their changes.
func (s *Server) changes(w http.ResponseWriter, r *http.Request, p *person, ended <-chan struct{}) {
	kinds, err := kindsOf(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		select {
		case <-ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	t := &telling{Server: s, out: newSender(w, s.clock), p: p, namespace: r.URL.Query().Get("ns"), kinds: kinds}
	t.out.begin()
	// A browser that reconnects sends the header. A page that opens a stream again cannot set it, and says it in the query.
	err = t.run(ctx, resumeAt(cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("after")), kinds))
	var failedFeed *feedError
	if ctx.Err() == nil && errors.As(err, &failedFeed) {
		bye := byeOf(failedFeed, p, t.namespace)
		if bye.Failure.Code >= http.StatusInternalServerError {
			s.log.Error(cause(err), "stream failed", "kind", failedFeed.source.kind)
		}
		_ = t.out.event("bye", bye, false)
	}
}

// kindsOf returns the kinds that a request asks for.
func kindsOf(r *http.Request) ([]string, error) {
	kinds := strings.Split(r.URL.Query().Get("kind"), ",")
	slices.Sort(kinds)
	kinds = slices.Compact(kinds)
	for _, kind := range kinds {
		if _, known := sources[kind]; !known {
			return nil, fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "kind is keys, issuers, or both with a comma")
		}
	}
	return kinds, nil
}

// resourceVersion is what a version in an id can be.
var resourceVersion = regexp.MustCompile(`^[0-9A-Za-z]{1,64}$`)

// idOf returns the id of an event: the version of each kind.
func idOf(versions map[string]string) string {
	values := url.Values{}
	for kind, version := range versions {
		values.Set(kind, version)
	}
	return values.Encode()
}

// resumeAt returns the versions of an id; nil if it does not name each kind.
func resumeAt(id string, kinds []string) map[string]string {
	values, err := url.ParseQuery(id)
	if err != nil {
		return nil
	}
	versions := map[string]string{}
	for _, kind := range kinds {
		if !resourceVersion.MatchString(values.Get(kind)) {
			return nil
		}
		versions[kind] = values.Get(kind)
	}
	return versions
}

// telling is a stream of changes to one page.
type telling struct {
	*Server
	out       *sender
	p         *person
	namespace string
	kinds     []string
}

// run sends the changes since the versions, or all that exists without versions, until a feed or the writer fails. Where the API server
// no longer has the changes since a version, it sends all that exists again.
func (t *telling) run(ctx context.Context, versions map[string]string) error {
	var wait time.Duration
	for {
		batch := &batch{out: t.out, unsynced: len(t.kinds), versions: map[string]string{}}
		err := t.tell(ctx, batch, versions)
		if !errors.Is(err, errGone) {
			return err
		}
		if versions == nil {
			wait = nextWait(wait, batch.followed())
			if err := pause(ctx, t.clock, wait); err != nil {
				return err
			}
		}
		versions = nil
	}
}

const (
	// shortestWait and longestWait are how long a stream waits before it lists again. The longest is shorter than the time for which a
	// proxy keeps a quiet connection.
	shortestWait = time.Second
	longestWait  = 30 * time.Second
	// lasting is how long a stream follows changes until its list was worth its cost.
	lasting = time.Minute
)

// nextWait returns how long a stream waits before it lists again, by its last wait and how long it then followed changes. A list may take
// longer than the API server keeps the changes since its version: without a wait, each page would list again and again.
func nextWait(last, followed time.Duration) time.Duration {
	if followed >= lasting {
		return 0
	}
	return min(max(2*last, shortestWait), longestWait)
}

// tell sends the changes since the versions, or all that exists without versions, until a feed or the writer fails.
func (t *telling) tell(ctx context.Context, batch *batch, versions map[string]string) error {
	ctx, cancel := context.WithCancel(ctx)
	told, failures := make(chan change), make(chan error, len(t.kinds))
	var feeds sync.WaitGroup
	defer feeds.Wait()
	defer cancel()
	if err := batch.begin(versions); err != nil {
		return err
	}
	for _, kind := range t.kinds {
		f := &feed{source: sources[kind], p: t.p, namespace: t.namespace, clock: t.clock, version: versions[kind], tell: func(ctx context.Context, c change) error {
			select {
			case told <- c:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		feeds.Go(func() { failures <- f.run(ctx) })
	}
	beat := t.clock.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var due <-chan time.Time
		if batch.timer != nil {
			due = batch.timer.C()
		}
		var err error
		select {
		case c := <-told:
			err = batch.add(c)
		case <-due:
			err = batch.flush()
		case <-beat.C():
			if err = batch.flush(); err == nil {
				err = t.out.comment()
			}
		case failure := <-failures:
			return errors.Join(batch.flush(), failure)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// byeOf returns why a stream ends after the error of a feed.
func byeOf(f *feedError, p *person, namespace string) wire.Bye {
	bye := wire.Bye{Reason: "away", Failure: failureOf(explain(f.err, right{"list", f.source.resource, namespace, ""}))}
	switch {
	case apierrors.IsUnauthorized(f.err) && p.credential.Renew == nil && p.means != wire.Kubeconfig:
		bye.Reason = "expired"
	case apierrors.IsForbidden(f.err):
		bye.Reason, bye.Kind = "forbidden", f.source.kind
		if bye.Failure.Ask == "" {
			bye.Failure.Ask = right{"watch", f.source.resource, namespace, ""}.ask()
		}
	case apierrors.IsNotFound(f.err):
		bye.Reason, bye.Failure.Message = "missing", "the CRDs of Refresh Keys are not installed in this cluster"
	}
	return bye
}

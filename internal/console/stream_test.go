package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/refreshkeys/refreshkeys/test/framework/sample"
)

// watched is an API server of refresh keys whose watches a test plays.
type watched struct {
	// list answers a watch that begins with all that exists, and follow one that begins at a version.
	list, follow func(w *watcher, r *http.Request)
}

// watcher writes the events of a watch.
type watcher struct {
	http.ResponseWriter
	t *testing.T
}

// answer returns the handler of the API server.
func (a *watched) answer(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("sendInitialEvents") != "" {
			a.list(&watcher{w, t}, r)
			return
		}
		a.follow(&watcher{w, t}, r)
	}
}

// send sends an event with a key of a version.
func (w *watcher) send(kind watch.EventType, version string) {
	w.t.Helper()
	key := sample.Issued()
	key.ResourceVersion = version
	w.object(kind, key)
}

// synced sends the event after all that exists.
func (w *watcher) synced(version string) {
	w.t.Helper()
	w.object(watch.Bookmark, map[string]any{"metadata": map[string]any{
		"resourceVersion": version, "annotations": map[string]string{metav1.InitialEventsAnnotationKey: "true"},
	}})
}

func (w *watcher) object(kind watch.EventType, object any) {
	w.t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		w.t.Error(err)
	}
	w.text(fmt.Sprintf(`{"type":%q,"object":%s}`+"\n", kind, text))
}

func (w *watcher) text(text string) {
	_, _ = w.Write([]byte(text))
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// gone says that the API server no longer has the changes since a version.
func (w *watcher) gone() {
	status(w, http.StatusGone, metav1.StatusReasonExpired, "too old resource version")
}

func wait(_ *watcher, r *http.Request) { <-r.Context().Done() }

// following is a console whose API server a test plays, with a session.
func (a *watched) following(t *testing.T) (*fixture, *httptest.Server, string) {
	t.Helper()
	f := newFixture(t)
	session := f.signedIn(f.cluster.user("ada"))
	f.cluster.answers(a.answer(t))
	return f, f.listening(), session
}

var idLine = regexp.MustCompile(`(?m)^id: (.*)$`)

// named reads events until one has the name, and returns it with the id that the browser then has.
func (o *opened) named(name, id string) (event, last string) {
	o.t.Helper()
	for {
		event := o.event()
		if event == "" {
			o.t.Fatalf("the stream ends before %s", name)
		}
		if found := idLine.FindStringSubmatch(event); found != nil {
			id = found[1]
		}
		if strings.Contains(event, "event: "+name+"\n") {
			return event, id
		}
	}
}

// TestAStreamThatIsCutInItsList checks that a stream begins again after one that was cut while it sent all rows again, also where the API
// server accepts the version before: the page would take the rows that were not sent again for deleted ones.
func TestAStreamThatIsCutInItsList(t *testing.T) {
	for _, c := range []struct {
		name string
		// next returns the path and the id of the next request, by the id of the last event.
		next func(path, id string) (string, string)
	}{
		{"the browser connects again", func(path, id string) (string, string) { return path, id }},
		{"the page opens the stream again", func(_, id string) (string, string) {
			return "/api/stream?kind=keys&after=" + url.QueryEscape(id), ""
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &watched{
				list:   func(w *watcher, r *http.Request) { w.send(watch.Added, "7"); wait(w, r) },
				follow: func(w *watcher, _ *http.Request) { w.gone() },
			}
			f, served, session := a.following(t)
			path := "/api/stream?kind=keys&after=" + url.QueryEscape("keys=5")
			stream := f.streamAt(served, path, session)
			_, id := stream.named("synced", "")
			_, id = stream.named("reset", id)
			_ = stream.answer.Body.Close()
			f.cluster.answers((&watched{list: wait, follow: wait}).answer(t))
			path, id = c.next(path, id)
			if event := f.streamAfter(served, path, session, id).event(); !strings.Contains(event, "event: reset\n") {
				t.Errorf("the next stream begins with %q", event)
			}
		})
	}
}

// TestAWatchThatIsCut checks that a watch which ends within a line ends as one whose connection is lost: the stream watches on, and
// while the API server lists, the page opens it again.
func TestAWatchThatIsCut(t *testing.T) {
	const half = `{"type":"MODIFIED","object":{"metadata":{"uid":"`
	for _, c := range []struct {
		name string
		end  func()
	}{
		{"the answer ends", func() {}},
		{"the connection ends", func() { panic(http.ErrAbortHandler) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cut := make(chan struct{})
			a := &watched{list: func(w *watcher, _ *http.Request) {
				w.send(watch.Added, "7")
				w.synced("7")
				w.text(half)
				close(cut)
				c.end()
			}, follow: func(w *watcher, r *http.Request) {
				if r.URL.Query().Get("resourceVersion") != "7" {
					t.Errorf("the next watch is that of %s", r.URL.RawQuery)
				}
				w.send(watch.Modified, "8")
				wait(w, r)
			}}
			f, served, session := a.following(t)
			stream := f.streamAt(served, "/api/stream?kind=keys", session)
			stream.named("synced", "")
			<-cut
			ticking(f, t)
			if event, _ := stream.named("put", ""); !strings.Contains(event, `"version":"8"`) {
				t.Errorf("after the cut, the stream sends %q", event)
			}

			a.list = func(w *watcher, _ *http.Request) { w.send(watch.Added, "7"); w.text(half); c.end() }
			f.cluster.answers(a.answer(t))
			event, _ := f.streamAt(served, "/api/stream?kind=keys", session).named("bye", "")
			if !strings.Contains(event, `"reason":"away"`) || !strings.Contains(event, "ended the list") {
				t.Errorf("after a cut in the list, the stream ends with %q", event)
			}
		})
	}
}

// TestTheLogSaysWhyAStreamFailed checks that the log has the cause where the page is sent to it.
func TestTheLogSaysWhyAStreamFailed(t *testing.T) {
	a := &watched{list: func(w *watcher, _ *http.Request) { w.text("this is no event\n") }}
	f, served, session := a.following(t)
	event, _ := f.streamAt(served, "/api/stream?kind=keys", session).named("bye", "")
	if !strings.Contains(event, "its log says more") || !strings.Contains(f.logged(), "invalid character") {
		t.Errorf("the stream ends with %q, and the log is\n%s", event, f.logged())
	}
}

// ticking lets the clock run until the end of the test.
func ticking(f *fixture, t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	var run sync.WaitGroup
	run.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				f.fake.Step(50 * time.Millisecond)
			}
		}
	})
	t.Cleanup(func() { close(done); run.Wait() })
}

// TestAListThatIsTooOldAtItsEnd checks that a stream waits longer each time before it lists again, where the API server no longer has the
// changes since a list.
func TestAListThatIsTooOldAtItsEnd(t *testing.T) {
	lists := make(chan time.Time, 8)
	var f *fixture
	a := &watched{list: func(w *watcher, _ *http.Request) {
		lists <- f.fake.Now()
		w.send(watch.Added, "7")
		w.synced("7")
	}, follow: func(w *watcher, _ *http.Request) { w.gone() }}
	f, served, session := a.following(t)
	stream := f.streamAt(served, "/api/stream?kind=keys&after="+url.QueryEscape("keys=5"), session)
	began := f.fake.Now()
	stream.named("reset", "")
	if first := <-lists; !first.Equal(began) {
		t.Errorf("after %s, all that exists is sent to a page whose version is too old", first.Sub(began))
	}
	ticking(f, t)
	last := began
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		next := <-lists
		if waited := next.Sub(last); waited < want {
			t.Errorf("the stream lists again after %s, want %s", waited, want)
		}
		last = next
	}
}

func TestNextWait(t *testing.T) {
	for _, c := range []struct {
		name                 string
		last, followed, want time.Duration
	}{
		{"after the first list", 0, 0, time.Second},
		{"after the next one", time.Second, 10 * time.Second, 2 * time.Second},
		{"after many", 20 * time.Second, 0, 30 * time.Second},
		{"after a list that lasted", 30 * time.Second, time.Minute, 0},
	} {
		if got := nextWait(c.last, c.followed); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

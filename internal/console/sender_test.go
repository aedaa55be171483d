package console

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// TestABrowserThatDoesNotRead checks that a stream ends when its browser does not take an event in time, and only then.
func TestABrowserThatDoesNotRead(t *testing.T) {
	const (
		// bound is the time for one event, by a clock that is behind by the rest of slowest.
		bound = time.Second
		// All events are more than connections hold that are not read. A browser that reads gets few of them.
		events, few, size = 64, 8, 1 << 20
		// giveUp is when an event without a limit is given up.
		giveUp = 20 * bound
	)
	row := strings.Repeat("x", size)
	for _, c := range []struct {
		name         string
		http2, reads bool
	}{
		{name: "HTTP/1.1"}, {name: "HTTP/2", http2: true}, {name: "HTTP/1.1, which reads", reads: true}, {name: "HTTP/2, which reads", http2: true, reads: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			began, ended, count := time.Now(), make(chan error, 1), events
			if c.reads {
				count = few
			}
			f.stream("GET /api/test/rows", func(w http.ResponseWriter, _ *http.Request, _ *person, _ <-chan struct{}) {
				behind := clocktesting.NewFakeClock(began)
				out := newSender(w, behind)
				out.begin()
				var err error
				for n := 0; n < count && err == nil; n++ {
					behind.SetTime(time.Now().Add(bound - slowest))
					err = out.event("put", row, false)
				}
				ended <- err
			})
			served := httptest.NewUnstartedServer(nil)
			served.Config, served.EnableHTTP2 = f.HTTPServer(nil), c.http2
			served.StartTLS()
			t.Cleanup(served.Close)
			stream := f.streamAt(served, "/api/test/rows", f.signedIn(f.cluster.user("jane")))
			if stream.answer.ProtoMajor == 2 != c.http2 {
				t.Fatalf("the stream is of %s", stream.answer.Proto)
			}
			if c.reads {
				if n, err := io.Copy(io.Discard, stream.answer.Body); err != nil || n < int64(count*size) {
					t.Errorf("%d bytes are read, and then: %v", n, err)
				}
			}
			select {
			case err := <-ended:
				if (err == nil) != c.reads || (!c.reads && time.Since(began) < bound) {
					t.Errorf("after %s, the stream ends with: %v", time.Since(began), err)
				}
			case <-time.After(giveUp):
				t.Error("the stream waits for its browser without a limit")
			}
		})
	}
}

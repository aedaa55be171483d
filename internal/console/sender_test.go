package console

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// TestABrowserThatDoesNotRead checks that a stream ends when its browser does not take an event in time, and only then.
func TestABrowserThatDoesNotRead(t *testing.T) {
	const (
		// All events are more than connections hold that are not read. A browser that reads gets few of them.
		events, few, size = 64, 8, 1 << 20
		// bound is the time for one event, by a clock that is behind by the rest of slowest. A browser that reads has more time than a
		// busy machine needs; after this time an event without a limit is given up.
		bound, giveUp = time.Second, slowest
	)
	row := strings.Repeat("x", size)
	for _, c := range []struct {
		name         string
		http2, reads bool
		count        int
		bound        time.Duration
	}{
		{name: "HTTP/1.1", count: events, bound: bound},
		{name: "HTTP/2", http2: true, count: events, bound: bound},
		{name: "HTTP/1.1, which reads", reads: true, count: few, bound: giveUp},
		{name: "HTTP/2, which reads", http2: true, reads: true, count: few, bound: giveUp},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			began, opened, ended := time.Now(), make(chan struct{}), make(chan error, 1)
			f.stream("GET /api/test/rows", func(w http.ResponseWriter, _ *http.Request, _ *person, _ <-chan struct{}) {
				behind := clocktesting.NewFakeClock(began)
				out := newSender(w, behind)
				out.begin()
				// The time of the first event begins when the browser has the stream.
				err := out.control.Flush()
				<-opened
				for n := 0; n < c.count && err == nil; n++ {
					behind.SetTime(time.Now().Add(c.bound - slowest))
					err = out.event("put", row, false)
				}
				ended <- err
			})
			served := httptest.NewUnstartedServer(nil)
			served.Config, served.EnableHTTP2 = f.HTTPServer(nil), c.http2
			served.StartTLS()
			t.Cleanup(served.Close)
			open := sync.OnceFunc(func() { close(opened) })
			t.Cleanup(open)
			stream := f.streamAt(served, "/api/test/rows", f.signedIn(f.cluster.user("jane")))
			open()
			if stream.answer.ProtoMajor == 2 != c.http2 {
				t.Fatalf("the stream is of %s", stream.answer.Proto)
			}
			if c.reads {
				if n, err := io.Copy(io.Discard, stream.answer.Body); err != nil || n < int64(c.count*size) {
					t.Errorf("%d bytes are read, and then: %v", n, err)
				}
			}
			select {
			case err := <-ended:
				if (err == nil) != c.reads || (!c.reads && time.Since(began) < c.bound) {
					t.Errorf("after %s, the stream ends with: %v", time.Since(began), err)
				}
			case <-time.After(giveUp):
				t.Error("the stream waits for its browser without a limit")
			}
		})
	}
}

// deadlines is a response that records the deadlines that it gets.
type deadlines struct {
	*httptest.ResponseRecorder

	set []time.Time
}

func (d *deadlines) SetWriteDeadline(deadline time.Time) error {
	d.set = append(d.set, deadline)
	return nil
}

// TestEachEventHasItsOwnTime checks that the time for an event begins with the event: a stream of any length goes on.
func TestEachEventHasItsOwnTime(t *testing.T) {
	began := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	fake, response := clocktesting.NewFakeClock(began), &deadlines{ResponseRecorder: httptest.NewRecorder()}
	out := newSender(response, fake)
	out.begin()
	for _, send := range []func() error{
		out.reset, out.comment, func() error { return out.event("put", "row", true) },
	} {
		fake.Step(slowest)
		if err := send(); err != nil {
			t.Fatal(err)
		}
		if at := len(response.set); at == 0 || !response.set[at-1].Equal(fake.Now().Add(slowest)) {
			t.Errorf("at %s the deadlines are %v, and the last must be in %s", fake.Now(), response.set, slowest)
		}
	}
	if len(response.set) != 3 {
		t.Errorf("3 events set %d deadlines", len(response.set))
	}
}

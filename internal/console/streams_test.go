package console

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// opened is a stream of a console over a real connection.
type opened struct {
	t      *testing.T
	answer *http.Response
	lines  *bufio.Reader
}

// listening serves the console over TLS and HTTP/2.
func (f *fixture) listening() *httptest.Server {
	f.t.Helper()
	served := httptest.NewUnstartedServer(nil)
	served.Config = f.HTTPServer(nil)
	served.EnableHTTP2 = true
	served.StartTLS()
	f.t.Cleanup(served.Close)
	return served
}

func (f *fixture) streamOf(served *httptest.Server, session string) *opened {
	f.t.Helper()
	return f.streamAt(served, "/api/test/stream", session)
}

func (f *fixture) streamAt(served *httptest.Server, path, session string) *opened {
	f.t.Helper()
	return f.streamAfter(served, path, session, "")
}

// streamAfter opens a stream as a browser does that has the id of an event.
func (f *fixture) streamAfter(served *httptest.Server, path, session, id string) *opened {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, served.URL+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Host = host
	r.AddCookie(&http.Cookie{Name: f.cookie.name, Value: session})
	if id != "" {
		r.Header.Set("Last-Event-ID", id)
	}
	answer, err := served.Client().Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = answer.Body.Close() })
	return &opened{t: f.t, answer: answer, lines: bufio.NewReader(answer.Body)}
}

// event reads the next event; empty at the end of the stream.
func (o *opened) event() string {
	o.t.Helper()
	var event strings.Builder
	for {
		line, err := o.lines.ReadString('\n')
		if err == io.EOF || line == "\n" {
			return event.String()
		}
		if err != nil {
			o.t.Fatal(err)
		}
		event.WriteString(line)
	}
}

// TestHowAStreamEnds checks that the page learns why its stream ends.
func TestHowAStreamEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(f *fixture, served *httptest.Server, session string)
		want string
	}{
		{"the idle time is over", func(f *fixture, _ *httptest.Server, _ string) { f.fake.Step(30 * time.Minute) }, `"reason":"expired"`},
		{"a sign-out in another tab", func(f *fixture, _ *httptest.Server, session string) {
			f.do(call{method: "POST", path: "/api/logout", body: "{}", session: session})
		}, `"reason":"expired"`},
		{"a sign-in in another tab", func(f *fixture, _ *httptest.Server, session string) {
			f.try(wire.Login{Token: f.cluster.user("bob")}, session)
		}, `"reason":"expired"`},
		{"a shutdown", func(_ *fixture, served *httptest.Server, _ string) {
			go func() { _ = served.Config.Shutdown(context.Background()) }()
		}, `"reason":"away"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			session := f.signedIn(f.cluster.user("ada"))
			served := f.listening()
			stream := f.streamOf(served, session)
			if stream.answer.ProtoMajor != 2 || !strings.Contains(stream.event(), "synced") {
				t.Fatalf("no stream over HTTP/2: %+v", stream.answer)
			}
			if _, streams := f.sessions.counts(); streams != 1 {
				t.Errorf("%d streams are counted", streams)
			}
			gomega.NewWithT(t).Eventually(f.fake.HasWaiters).Should(gomega.BeTrue(), "the timer of the session")
			c.end(f, served, session)
			if got := stream.event(); !strings.Contains(got, "event: bye") || !strings.Contains(got, c.want) {
				t.Errorf("the stream ends with %q", got)
			}
			if got := stream.event(); got != "" {
				t.Errorf("after its end the stream sends %q", got)
			}
		})
	}
}

// renewable returns the id of a session whose credential lives five minutes and is renewed by renew.
func (f *fixture) renewable(renew func() error) string {
	f.t.Helper()
	var of func() *Credential
	of = func() *Credential {
		made, err := f.proven(&wire.Login{Token: f.cluster.user("ada")})
		if err != nil {
			f.t.Fatal(err)
		}
		made.Until = f.fake.Now().Add(5 * time.Minute)
		made.Renew = func(context.Context) (*Credential, error) { return of(), renew() }
		return made
	}
	p, err := f.identify(f.t.Context(), of())
	if err != nil {
		f.t.Fatal(err)
	}
	_, id, err := f.sessions.begin(p)
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

// TestAStreamEndsForARenewal checks that a stream ends a minute before its credential, also while no other request comes, and that its
// next opening renews the credential: no watch outlives one.
func TestAStreamEndsForARenewal(t *testing.T) {
	f := newFixture(t)
	renewals := 0
	id := f.renewable(func() error { renewals++; return nil })
	served := f.listening()
	for n := range 3 {
		stream := f.streamOf(served, id)
		if got := stream.event(); !strings.Contains(got, "synced") || renewals != n {
			t.Fatalf("after %d renewals, the stream begins with %q", renewals, got)
		}
		// One timer is that of the session, the other that of the stream.
		gomega.NewWithT(t).Eventually(f.fake.Waiters).Should(gomega.Equal(2))
		f.fake.Step(4*time.Minute - time.Second)
		if got := f.fake.Waiters(); got != 2 {
			t.Error("the stream ends before the renewal")
		}
		f.fake.Step(time.Second)
		if got := stream.event(); !strings.Contains(got, "event: bye") || !strings.Contains(got, `"reason":"renewed"`) || stream.event() != "" {
			t.Errorf("the stream ends with %q", got)
		}
	}
}

// TestAStreamAfterARenewalThatFailed checks that a stream does not end at once while the provider is away, that it tries again, and that
// it ends with the credential.
func TestAStreamAfterARenewalThatFailed(t *testing.T) {
	now := time.Now()
	p := &person{since: now, credential: &Credential{Until: now.Add(time.Hour)}}
	for _, c := range []struct{ name, now, want string }{
		{"long before the end", "0s", "59m"},
		{"just before the renewal", "58m59s", "59m"},
		{"after a renewal that failed", "59m", "59m10s"},
		{"shortly before the end", "59m55s", "60m"},
	} {
		at, want := now.Add(durationOf(t, c.now)), now.Add(durationOf(t, c.want))
		if got := p.nextRenewal(at); !got.Equal(want) {
			t.Errorf("%s: the stream ends after %s, want %s", c.name, got.Sub(now), c.want)
		}
	}
	f := newFixture(t)
	failures := 0
	id := f.renewable(func() error { failures++; return upstream.ErrUnavailable })
	f.fake.Step(4 * time.Minute)
	stream := f.streamOf(f.listening(), id)
	if got := stream.event(); !strings.Contains(got, "synced") || failures != 1 {
		t.Fatalf("after %d failures, the stream begins with %q", failures, got)
	}
	gomega.NewWithT(t).Eventually(f.fake.Waiters).Should(gomega.Equal(2))
	f.fake.Step(betweenRenewals)
	if got := stream.event(); !strings.Contains(got, `"reason":"renewed"`) {
		t.Errorf("the stream ends with %q", got)
	}
}

func durationOf(t *testing.T, text string) time.Duration {
	t.Helper()
	parsed, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// connection is an answer that takes note of a use after its handler has returned: net/http then panics.
type connection struct {
	*httptest.ResponseRecorder
	returned, late atomic.Bool
}

// SetWriteDeadline is what http.ResponseController calls.
func (c *connection) SetWriteDeadline(time.Time) error {
	if c.returned.Load() {
		c.late.Store(true)
	}
	return nil
}

// TestAStreamThatEndedIsNotTouched checks that the end of a session, right after the end of its stream, does not reach the answer.
func TestAStreamThatEndedIsNotTouched(t *testing.T) {
	f := newFixture(t)
	f.stream("GET /api/test/refused", func(_ http.ResponseWriter, _ *http.Request, p *person, _ <-chan struct{}) {
		p.refusals.refused.Store(true)
	})
	token := f.cluster.user("ada")
	for range 300 {
		r := httptest.NewRequest(http.MethodGet, "https://"+host+"/api/test/refused", nil)
		r.AddCookie(&http.Cookie{Name: f.cookie.name, Value: f.signedIn(token)})
		answer := &connection{ResponseRecorder: httptest.NewRecorder()}
		f.ServeHTTP(answer, r)
		answer.returned.Store(true)
		runtime.Gosched()
		if living, _ := f.sessions.counts(); living != 0 {
			t.Fatal("a session whose credential was refused goes on")
		}
		if answer.late.Load() {
			t.Fatal("the deadline of an answer was set after its handler had returned")
		}
	}
}

// TestStreamsOfASession checks the limit of streams, and that a stream that ends makes room.
func TestStreamsOfASession(t *testing.T) {
	f := newFixture(t)
	session := f.signedIn(f.cluster.user("ada"))
	served := f.listening()
	var streams []*opened
	for range streamsPerSession {
		streams = append(streams, f.streamOf(served, session))
	}
	if answer := f.streamOf(served, session).answer; answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") == "" {
		t.Errorf("one stream more: %d", answer.StatusCode)
	}
	_ = streams[0].answer.Body.Close()
	gomega.NewWithT(t).Eventually(func() int { _, counted := f.sessions.counts(); return counted }).Should(gomega.Equal(streamsPerSession - 1))
	if answer := f.streamOf(served, session).answer; answer.StatusCode != http.StatusOK {
		t.Errorf("in the place of one that ended: %d", answer.StatusCode)
	}
}

// TestAutomaticRequestsAreNoActivity checks which requests keep a session from becoming idle.
func TestAutomaticRequestsAreNoActivity(t *testing.T) {
	automatic := map[string]string{wire.AutomaticHeader: "true"}
	for _, c := range []struct {
		name    string
		request call
		goesOn  bool
	}{
		{"a read of the person", call{method: "GET", path: "/api/test/shop/billing"}, true},
		{"a question of the person who they are", call{method: "GET", path: "/api/me"}, true},
		{"a read of the page", call{method: "GET", path: "/api/test/shop/billing", headers: automatic}, false},
		{"a question of the page who the person is", call{method: "GET", path: "/api/me", headers: automatic}, false},
		{"a question of the page that has a body", call{method: "POST", path: "/api/test", body: "{}", headers: automatic}, false},
		{"another value of the header", call{method: "GET", path: "/api/me", headers: map[string]string{wire.AutomaticHeader: "false"}}, true},
	} {
		f := newFixture(t)
		c.request.session = f.signedIn(f.cluster.user("ada"))
		for range 2 {
			f.fake.Step(14 * time.Minute)
			if answer := f.do(c.request); answer.StatusCode != http.StatusOK {
				t.Fatalf("%s: %d before the idle time", c.name, answer.StatusCode)
			}
		}
		f.fake.Step(2 * time.Minute)
		if got := f.meIs(c.request.session).SignedIn; got != c.goesOn {
			t.Errorf("%s: the session goes on: %t, want %t", c.name, got, c.goesOn)
		}
	}
}

// TestAStreamIsNoActivity checks that the opening of a stream does not keep a session from becoming idle, and that another request does.
func TestAStreamIsNoActivity(t *testing.T) {
	f := newFixture(t)
	session := f.signedIn(f.cluster.user("ada"))
	served := f.listening()
	f.fake.Step(20 * time.Minute)
	f.streamOf(served, session)
	f.fake.Step(9 * time.Minute)
	if !f.meIs(session).SignedIn {
		t.Fatal("the session ended before its idle time")
	}
	f.fake.Step(29 * time.Minute)
	stream := f.streamOf(served, session)
	stream.event()
	f.fake.Step(time.Minute)
	if got := stream.event(); !strings.Contains(got, `"reason":"expired"`) || f.meIs(session).SignedIn {
		t.Errorf("after the idle time the stream says %q", got)
	}
}

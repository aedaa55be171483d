package service

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// apiConnection is the connection of a replica to the API server. It can be cut, so that every request fails at
// once, or its watches can hang: they stay open, and no event arrives.
type apiConnection struct {
	next http.RoundTripper

	mu   sync.Mutex
	cut  bool
	hung chan struct{} // closed when watches go on; nil while they do
}

var errCut = errors.New("the line is cut")

func (l *apiConnection) RoundTrip(request *http.Request) (*http.Response, error) {
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	if cut {
		return nil, errCut
	}
	response, err := l.next.RoundTrip(request)
	if err == nil && request.URL.Query().Get("watch") == "true" {
		response.Body = &hangable{ReadCloser: response.Body, line: l, gone: request.Context().Done()}
	}
	return response, err
}

func (l *apiConnection) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

func (l *apiConnection) hang(hung bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if hung {
		l.hung = make(chan struct{})
	} else {
		close(l.hung)
		l.hung = nil
	}
}

// hangable is the stream of a watch. Events that arrive while it hangs are lost with the connection.
type hangable struct {
	io.ReadCloser
	line *apiConnection
	gone <-chan struct{}
}

func (h *hangable) Read(into []byte) (int, error) {
	n, err := h.ReadCloser.Read(into)
	h.line.mu.Lock()
	hung := h.line.hung
	cut := h.line.cut
	h.line.mu.Unlock()
	if cut {
		return 0, errCut
	}
	if hung == nil {
		return n, err
	}
	select {
	case <-hung:
		return 0, errCut
	case <-h.gone:
		return 0, context.Canceled
	}
}

// wire gives a replica its own connection, and a clock for its proofs of freshness.
func (l *apiConnection) wire(monotonic clock.WithTicker) func(*rest.Config, *registry.Options) {
	return func(config *rest.Config, options *registry.Options) {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { l.next = next; return l })
		options.Monotonic = monotonic
	}
}

// TestAPIServerAway checks that known refresh keys are exchanged for maxStaleness and then refused as unavailable.
// What must be recorded is refused at once with temporarily_unavailable. The service recovers by itself.
func TestAPIServerAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		fail, mend func(*apiConnection)
		// writes means that writes to the API server succeed meanwhile.
		writes bool
	}{
		{"no request gets through", func(l *apiConnection) { l.set(true) }, func(l *apiConnection) { l.set(false) }, false},
		{"watches hang, and the rest is answered", func(l *apiConnection) { l.hang(true) }, func(l *apiConnection) { l.hang(false) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t, clock.RealClock{})
			h.Issuer()
			h.Manage()
			monotonic, line := clocktesting.NewFakeClock(time.Now()), &apiConnection{}
			r := h.Replica(line.wire(monotonic))
			scheduled, device := h.Key("scheduled"), h.Key("device", oneTime(time.Minute))
			held, once := h.AwaitRevision(scheduled, 1), h.AwaitRevision(device, 1)
			shown := h.workload("till")
			h.outcomes(held, "200", r)

			c.fail(line)
			h.Expect(h.Refresh(r, held).Outcome()).To(gomega.Equal("200"), "known keys are exchanged within maxStaleness")
			if !c.writes {
				for what, a := range map[string]*operator.Answer{
					"a one-time exchange": h.Refresh(r, once), "a revocation": h.Revoke(r, held),
					"a login": h.signIn(r, shown),
				} {
					h.Expect(a.Outcome()).To(gomega.Equal("503 temporarily_unavailable"), what)
				}
			}
			// The watch should report this event.
			h.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.Name + "-later"}})
			for range 32 {
				monotonic.Step(20 * time.Second)
				h.Expect(h.Refresh(r, held).Outcome()).To(gomega.BeElementOf("200", "503 temporarily_unavailable"))
			}
			late := h.Refresh(r, held)
			h.Expect(late.Outcome()).To(gomega.Equal("503 temporarily_unavailable"), "ten minutes are over")
			h.Expect(late.Header.Get("Retry-After")).NotTo(gomega.BeEmpty())

			c.mend(line)
			h.Eventually(func() string {
				monotonic.Step(20 * time.Second)
				return h.Refresh(r, held).Outcome()
			}, 4*patience, 200*time.Millisecond).Should(gomega.Equal("200"))
			h.Expect(h.Refresh(r, once).Outcome()).To(gomega.Equal("200"))
			h.Expect(h.signIn(r, shown).Outcome()).To(gomega.Equal("200"))
		})
	}
}

// TestAnIdleClusterIsFresh checks that the view of an idle cluster is proven repeatedly: first within a minute
// after the start, then more often.
func TestAnIdleClusterIsFresh(t *testing.T) {
	t.Parallel()
	h := newFixture(t, clock.RealClock{})
	r := h.Replica()
	var oldest, late time.Duration
	for end := time.Now().Add(75 * time.Second); time.Now().Before(end); {
		oldest = max(oldest, r.Staleness())
		began := time.Now()
		select {
		case <-t.Context().Done():
			return
		case <-time.After(time.Second):
			late = max(late, time.Since(began)-time.Second)
		}
	}
	t.Logf("in 75 s the view was never proven longer ago than %s", oldest.Round(time.Millisecond))
	// On a busy machine each of the steps of a proof can be as late as the looks of this test are.
	h.Expect(oldest).To(gomega.BeNumerically("<", 65*time.Second+5*late))
}

// busyAPIServer is an API server with writes to another kind, which is slow to return the version of storage.
type busyAPIServer struct {
	next  http.RoundTripper
	write func()
}

func (b *busyAPIServer) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Query().Get("limit") == "1" {
		b.write()
	}
	return b.next.RoundTrip(request)
}

// TestAReplicaStartsInABusyCluster checks that a replica is ready at once, and not only when the first watch ends
// with its bookmark.
func TestAReplicaStartsInABusyCluster(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	// A watch gets a bookmark a second after its start, and the next after a minute.
	write := func() {
		for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
			busywork := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, GenerateName: "busywork-"}}
			if err := h.Admin.Create(h.Ctx, busywork); err != nil {
				t.Errorf("the cluster is not busy: %v", err)
			}
		}
	}
	begun := time.Now()
	h.Replica(func(config *rest.Config, _ *registry.Options) {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &busyAPIServer{next, write} })
	})
	t.Logf("the replica was ready after %s", time.Since(begun).Round(time.Millisecond))
}

// TestARevocationThatIsNeverAnswered checks that a client gets an answer although the API server does not answer.
func TestARevocationThatIsNeverAnswered(t *testing.T) {
	h := newManaged(t, clock.RealClock{})
	hung := &silentAPIServer{}
	r := h.Replica(func(config *rest.Config, _ *registry.Options) {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { hung.next = next; return hung })
	})
	held := h.AwaitRevision(h.Key("till"), 1)
	h.outcomes(held, "200", r)
	hung.set(true)
	h.Expect(h.Revoke(r, held).Outcome()).To(gomega.Equal("503 temporarily_unavailable"))
	hung.set(false)
	h.Expect(h.Revoke(r, held).Outcome()).To(gomega.Equal("200"))
}

// silentAPIServer accepts requests and never answers.
type silentAPIServer struct {
	next http.RoundTripper
	mu   sync.Mutex
	on   bool
}

func (m *silentAPIServer) set(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on = on
}

func (m *silentAPIServer) RoundTrip(request *http.Request) (*http.Response, error) {
	m.mu.Lock()
	on := m.on
	m.mu.Unlock()
	if on {
		<-request.Context().Done()
		return nil, request.Context().Err()
	}
	return m.next.RoundTrip(request)
}

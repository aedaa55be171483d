package service

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

const (
	// clientsAtOnce is how many clients send requests at the same time.
	clientsAtOnce = 16
	// remembered is more than how many addresses or users the cache of a limit holds.
	remembered = 1<<14 + 100
	// heapGrowth is how much the live heap may grow until all caches are full: those of limits, of user agents and of unknown keys.
	heapGrowth = 24 << 20
	// heapLeak is how much it may grow by the second half of the requests, with any number of them.
	heapLeak = 2 << 20
	// residentMost is the most memory of the process.
	residentMost = 256 << 20
)

// TestSoakAnonymousRequests sends anonymous requests of all kinds from many addresses to a replica with a real API server. No request writes, the
// requests to the API server keep to their limits, memory stays bounded, and a person who comes afterwards signs in with two writes. The long
// form fills the caches first: then a number of requests and half of it leave the same heap.
func TestSoakAnonymousRequests(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Manage()
	p := newProvider(t)
	entry := p.entry()
	h.signInIssuer(&entry, "jane", "joe", "person")
	replica := h.processes(1)[0]
	seen := &outcomes{provider: p.callback(), seen: map[string]map[int]int{}}
	// The first ones make what a replica has once: connections to the API server and parsed templates.
	h.flood(replica, seen, 0, clientsAtOnce)
	next, count := clientsAtOnce, 4_000/len(anonymousRequests)+1
	empty := replica.liveHeap()
	if os.Getenv("SOAK") == "true" {
		h.flood(replica, seen, next, remembered, "the login page", "an unknown user")
		next, count = next+remembered, 100_000/len(anonymousRequests)+1
	}
	before := replica.liveHeap()
	replica.api.taken()

	began := time.Now()
	h.flood(replica, seen, next, count/2)
	half := replica.liveHeap()
	h.flood(replica, seen, next+count/2, count-count/2)
	took := time.Since(began)
	calls, after, resident := replica.api.taken(), replica.liveHeap(), replica.residentPeak()
	t.Logf("%d requests of %d clients in %s: %d writes, %d reads and %d reviews at the API server",
		count*len(anonymousRequests), count, took.Round(time.Second), len(calls.writes), calls.reads, calls.reviews)
	t.Logf("live heap: %.1f MiB at first, %.1f MiB before the requests, %.1f MiB after half of them, %.1f MiB after all; most resident memory: %.1f MiB",
		mebibytes(empty), mebibytes(before), mebibytes(half), mebibytes(after), mebibytes(resident))
	seen.check(t)
	h.Expect(slices.Compact(calls.writes)).To(gomega.BeEmpty(), "writes of anonymous requests")
	h.Expect(after-empty).To(gomega.BeNumerically("<", heapGrowth), "growth of the live heap")
	h.Expect(after-half).To(gomega.BeNumerically("<", heapLeak), "growth of the live heap by the second half")
	h.Expect(resident).To(gomega.BeNumerically("<", residentMost), "most resident memory")
	// Lists for unknown keys, TokenReviews, and the proofs that the views are fresh.
	h.Expect(calls.reads).To(gomega.BeNumerically("<", 200+30*int(took/time.Second+1)), "reads")
	h.Expect(calls.reviews).To(gomega.BeNumerically("<", 200*int(took/time.Second+2)), "reviews")

	person := h.newAttempt(h.balanced([]*process{replica}).service, "person")
	h.Expect(person.through(signIns[0].steps[:4], func(int) {})).To(gomega.Equal(finishes), "a person who comes afterwards")
	h.Expect(replica.api.taken().writes).To(gomega.HaveLen(2), "the writes of a sign-in")
}

// flood sends requests of anonymous clients with numbers from first on, each from an address of its own: one of each kind, or of those kinds
// only.
func (h *fixture) flood(replica *process, seen *outcomes, first, count int, only ...string) {
	h.T.Helper()
	transport := h.trusting()
	var group errgroup.Group
	group.SetLimit(clientsAtOnce)
	for n := range count {
		group.Go(func() error {
			s := &anonymousClient{number: first + n, issuer: h.URL(), agent: fmt.Sprintf("client/%d", first+n), callback: seen.provider}
			own := transport.Clone()
			dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(s.number>>8), byte(s.number))}}
			own.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, replica.address)
			}
			defer own.CloseIdleConnections()
			s.client = &http.Client{Transport: own, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			return s.visit(h.Ctx, seen, only)
		})
	}
	h.Expect(group.Wait()).To(gomega.Succeed())
}

// outcomes counts the statuses of each kind of request.
type outcomes struct {
	// provider is the path for answers of the provider.
	provider string

	mu   sync.Mutex
	seen map[string]map[int]int
}

func (o *outcomes) add(kind string, status int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen[kind] == nil {
		o.seen[kind] = map[int]int{}
	}
	o.seen[kind][status]++
}

// check checks that each kind was answered with all the statuses that it must have, and with no other.
func (o *outcomes) check(t *testing.T) {
	t.Helper()
	for i := range anonymousRequests {
		kind := &anonymousRequests[i]
		got := slices.Sorted(maps.Keys(o.seen[kind.name]))
		if kind.limited {
			got = slices.DeleteFunc(got, func(status int) bool { return slices.Contains(limited, status) && !slices.Contains(kind.want, status) })
		}
		if !slices.Equal(got, kind.want) {
			t.Errorf("%s: statuses %v, want all of %v", kind.name, o.seen[kind.name], kind.want)
		}
	}
}

// liveHeap returns what the last garbage collection of the process marked. It waits for two more: the first may have begun before.
func (p *process) liveHeap() int {
	p.h.T.Helper()
	const enough = 2
	from := p.metric("go_gc_cycles_total_gc_cycles_total")
	p.h.Eventually(func() int { return p.metric("go_gc_cycles_total_gc_cycles_total") - from }, harness.Patience, time.Millisecond).
		Should(gomega.BeNumerically(">", enough))
	return p.metric("go_gc_heap_live_bytes")
}

// metric returns a metric without labels.
func (p *process) metric(name string) int {
	p.h.T.Helper()
	for line := range strings.Lines(p.metrics()) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			p.h.Expect(err).NotTo(gomega.HaveOccurred())
			return int(number)
		}
	}
	p.h.T.Fatalf("the process has no metric %s", name)
	return 0
}

// residentPeak returns the most resident memory of the process.
func (p *process) residentPeak() int {
	p.h.T.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	p.h.Expect(err).NotTo(gomega.HaveOccurred())
	var kilobytes int
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	_, err = fmt.Sscan(rest, &kilobytes)
	p.h.Expect(err).NotTo(gomega.HaveOccurred())
	return kilobytes << 10
}

func mebibytes(bytes int) float64 { return float64(bytes) / (1 << 20) }

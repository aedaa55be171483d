package service

import (
	"container/heap"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// sharing is the behaviour of processes that share a token file without a lock.
type sharing struct {
	grace time.Duration
	// writes is the longest time from an answer to the write of the file.
	writes time.Duration
	// retry returns the longest wait before the n-th retry after a lost answer.
	retry func(n int) time.Duration
	// suspended is the longest time that a process is sometimes suspended between the answer and the write.
	suspended time.Duration
}

const (
	holdersCount   = 7
	holdersFor     = 27 * time.Hour
	holdersAccess  = 300 * time.Second
	holdersLost    = 0.05
	holdersSuspend = 0.02
)

// event is the next action of a process.
type event struct {
	at time.Time
	do func()
}

type agenda []event

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }

func (a *agenda) Push(x any) {
	if next, ok := x.(event); ok {
		*a = append(*a, next)
	}
}

func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// file is the shared file: the last writer wins.
type file struct {
	token    string
	revision int64
}

// tokenSharers are the processes and their counters.
type tokenSharers struct {
	*fixture
	sharing
	random   *rand.Rand
	clock    *clocktesting.FakePassiveClock
	agenda   agenda
	replicas []*operator.Replica
	key      *v1alpha1.JWTRefreshKey
	file     file
	// own is when the access token of each process ends. Processes do not share access tokens.
	own [holdersCount]time.Time

	exchanges, lost, late, stale, highest int64
	signedOut                             []string

	counting sync.Mutex
	asked    map[string]int
}

func (h *tokenSharers) after(d time.Duration, do func()) {
	heap.Push(&h.agenda, event{h.clock.Now().Add(d), do})
}

func (h *tokenSharers) count(what string) {
	h.counting.Lock()
	defer h.counting.Unlock()
	h.asked[what]++
}

func (h *tokenSharers) upTo(most time.Duration) time.Duration {
	return time.Duration(h.random.Int64N(int64(most)))
}

// works simulates a process that regularly needs an access token, and reads the file for it.
func (h *tokenSharers) works(process int) {
	h.after(5*time.Second+h.upTo(40*time.Second), func() {
		if h.clock.Now().Before(h.own[process]) {
			h.works(process)
			return
		}
		read := h.file
		h.after(h.upTo(5*time.Second), func() { h.exchange(process, read, 0) })
	})
}

// exchange sends the token that was read, which may be outdated, to one of the replicas.
func (h *tokenSharers) exchange(process int, read file, losses int) {
	r := h.replicas[h.random.IntN(len(h.replicas))]
	got := h.fixture.Refresh(r, read.token)
	h.exchanges++
	if got.Outcome() != "200" {
		h.signedOut = append(h.signedOut, h.clock.Now().Format(time.TimeOnly)+": "+got.Outcome())
		return
	}
	wrote, accessEnd := file{token: got.Text("refresh_token")}, h.clock.Now().Add(holdersAccess)
	if wrote.token == "" {
		wrote.token = read.token
	}
	wrote.revision = h.revisionOf(wrote.token)
	if wrote.revision > read.revision && read.revision < h.highest {
		h.late++
	}
	if wrote.revision > h.highest {
		h.highest = wrote.revision
		for _, r := range h.replicas {
			h.sees(r, h.key, h.highest)
		}
	}
	if h.random.Float64() < holdersLost {
		h.lost++
		h.after(time.Second+h.upTo(h.retry(losses)), func() { h.exchange(process, read, losses+1) })
		return
	}
	h.own[process] = accessEnd
	delay := h.upTo(h.writes)
	if h.suspended > 0 && h.random.Float64() < holdersSuspend {
		delay += h.upTo(h.suspended)
	}
	h.after(delay, func() {
		if wrote.revision < h.file.revision {
			h.stale++
		}
		h.file = wrote
		h.works(process)
	})
}

func (h *tokenSharers) revisionOf(compact string) int64 {
	h.T.Helper()
	var object struct{ Revision int64 }
	raw, err := json.Marshal(h.says(compact)["refreshkeys.dev"])
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(json.Unmarshal(raw, &object)).To(gomega.Succeed())
	return object.Revision
}

// asks counts requests for refresh keys to the API server, without watches.
type asks struct {
	next  http.RoundTripper
	count func(what string)
}

func (a *asks) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := a.next.RoundTrip(request)
	if err == nil && strings.Contains(request.URL.Path, "/jwtrefreshkeys/") {
		what := request.Method
		if response.StatusCode == http.StatusConflict {
			what += " (lost)"
		}
		a.count(what)
	}
	return response, err
}

// play runs the processes for the simulated time, and returns their counters.
func (s sharing) play(t *testing.T, seed uint64) *tokenSharers {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))
	h := &tokenSharers{fixture: newFixture(t, clock), sharing: s, clock: clock, random: rand.New(rand.NewPCG(seed, 27)), asked: map[string]int{}}
	h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.AccessToken = &v1alpha1.IssuerAccessTokenSpec{Lifetime: &metav1.Duration{Duration: holdersAccess}}
	})
	h.Manage()
	// The processes act one after the other, so nothing is concurrent.
	for range 2 {
		h.replicas = append(h.replicas, h.Replica(func(config *rest.Config, o *registry.Options) {
			o.Monotonic = clocktesting.NewFakeClock(clock.Now())
			config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &asks{next, h.count} })
		}))
	}
	h.key = h.fixture.Key("shared", oneTime(s.grace))
	h.file = file{token: h.AwaitRevision(h.key, 1), revision: 1}
	h.highest = 1
	for process := range holdersCount {
		h.works(process)
	}
	end := clock.Now().Add(holdersFor)
	for len(h.agenda) > 0 && len(h.signedOut) == 0 {
		next, _ := heap.Pop(&h.agenda).(event)
		if next.at.After(end) {
			break
		}
		clock.SetTime(next.at)
		next.do()
		for _, r := range h.replicas {
			r.ReportUses(h.Ctx)
		}
	}
	return h
}

// TestSevenProcessesOneTokenFile checks that seven processes that share one token file without a lock for 27 hours
// are never signed out. They use two replicas, access tokens of 300 s, and lose 5 % of the answers. That holds
// with a grace of 10m and writes that are minutes late, and with a grace of 30s and retries within it. The API
// server gets about one write for each token.
func TestSevenProcessesOneTokenFile(t *testing.T) {
	for name, c := range map[string]struct {
		sharing
		// mostTokens and mostReports are the maximum writes an hour.
		mostTokens, mostReports float64
	}{
		"a grace of 10m, writes up to four minutes late": {sharing{
			grace: 10 * time.Minute, writes: 3 * time.Second, suspended: 4 * time.Minute,
			retry: func(n int) time.Duration { return min(time.Duration(10<<n)*time.Second, 90*time.Second) },
		}, 6, 2},
		"a grace of 30s, retried within it and written at once": {sharing{
			grace: 30 * time.Second, writes: 100 * time.Millisecond,
			retry: func(n int) time.Duration { return time.Duration(2<<min(n, 2)) * time.Second },
		}, 80, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := c.play(t, 11)
			status := h.status(h.key)
			hours := holdersFor.Hours()
			tokens, reports := float64(h.asked[http.MethodPut])/hours, float64(h.asked[http.MethodPatch])/hours
			t.Logf("%d exchanges, %d answers lost, %d tokens presented late, %d stale writes of the file; %d revisions", h.exchanges, h.lost, h.late, h.stale, h.highest)
			t.Logf("the API server was asked: %v; %.2f claims and %.2f reports of use an hour, %.2f writes for each token",
				h.asked, tokens, reports, float64(h.asked[http.MethodPut]+h.asked[http.MethodPatch])/float64(h.highest))
			h.Expect(h.signedOut).To(gomega.BeEmpty(), "a process is signed out")
			h.Expect(status.RevokedAt).To(gomega.BeNil())
			h.Expect(h.exchanges).To(gomega.BeNumerically(">", 1500), "too little happened")
			h.Expect(h.lost).To(gomega.BeNumerically(">", h.exchanges/50))
			h.Expect(h.late).To(gomega.BeNumerically(">", 20), "no process was late")
			if c.suspended > 0 {
				h.Expect(h.stale).To(gomega.BeNumerically(">", 0), "no process wrote an older token over a newer one")
			}
			h.Expect(tokens).To(gomega.BeNumerically("<=", c.mostTokens+0.1), "a line advances at most once per grace")
			h.Expect(reports).To(gomega.BeNumerically("<=", c.mostReports+0.1), "reports of use")
			h.Expect(h.asked["PUT (lost)"]).To(gomega.BeZero())
		})
	}
}

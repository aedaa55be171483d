package service

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// TestUseIsRecorded checks the recorded time and device of the last use of a token.
func TestUseIsRecorded(t *testing.T) {
	h := newManaged(t, clock.RealClock{})
	r := h.Replica(func(_ *rest.Config, o *registry.Options) { o.Spread = func(time.Duration) time.Duration { return 0 } })
	key := h.Key("till")
	held := h.AwaitRevision(key, 1)
	agent := "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 " + strings.Repeat("x", 300)
	before := time.Now().Truncate(time.Second)
	a := h.Post(r, "/token", map[string][]string{"grant_type": {"refresh_token"}, "refresh_token": {held}, "device_id": {"till-17"}}, "User-Agent", agent)
	after := time.Now()
	h.Expect(a.Outcome()).To(gomega.Equal("200"))
	h.Eventually(func() *v1alpha1.SeenDevice {
		h.Expect(h.Reload(key)).To(gomega.Succeed())
		return key.Status.DeviceInfo
	}).ShouldNot(gomega.BeNil())
	seen := key.Status.DeviceInfo
	h.Expect(seen.UserAgent).To(gomega.Equal(agent[:256]))
	h.Expect(seen.Browser).To(gomega.HavePrefix("Chrome 140"))
	h.Expect(seen.OS).To(gomega.Equal("Linux x86_64"))
	h.Expect(seen.ID).To(gomega.Equal("till-17"))
	h.Expect(seen.IPAddress).To(gomega.Equal("127.0.0.1"))
	h.Expect(key.Status.LastUsedRevision).To(gomega.BeEquivalentTo(1))
	h.Expect(key.Status.LastUsed.Time).To(gomega.And(gomega.BeTemporally(">=", before), gomega.BeTemporally("<=", after)))
}

// TestShutdownRecordsUse checks that unwritten uses are written at shutdown.
func TestShutdownRecordsUse(t *testing.T) {
	h := newManaged(t, clock.RealClock{})
	r := h.Replica(func(_ *rest.Config, o *registry.Options) {
		o.Spread = func(most time.Duration) time.Duration { return most }
	})
	key := h.Key("till")
	held := h.AwaitRevision(key, 1)
	h.Expect(h.Refresh(r, held).Outcome()).To(gomega.Equal("200"))
	r.Stop()
	h.Expect(h.status(key).LastUsed).NotTo(gomega.BeNil())
}

// TestUseCostsFewWrites checks that each key in use at three replicas costs one status write in ten minutes.
func TestUseCostsFewWrites(t *testing.T) {
	const keys, rounds = 50, 20
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := newManaged(t, clock)
	var replicas []*operator.Replica
	var writes atomic.Int64
	for range 3 {
		replicas = append(replicas, h.Replica(func(config *rest.Config, _ *registry.Options) {
			config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &writeCounter{next: next, count: &writes} })
		}))
	}
	held := make([]string, keys)
	all := make([]*v1alpha1.JWTRefreshKey, keys)
	for i := range all {
		all[i] = h.Key(fmt.Sprintf("key-%02d", i))
	}
	for i, key := range all {
		held[i] = h.AwaitRevision(key, 1)
	}
	for round := range rounds {
		clock.SetTime(clock.Now().Add(10 * time.Minute / rounds))
		for i, r := range replicas {
			for j := range keys / 5 {
				h.Expect(h.Refresh(r, held[(round*7+i+j*3)%keys]).Outcome()).To(gomega.Equal("200"))
			}
			r.ReportUses(h.Ctx)
			// The clock stands still here: half a minute passes between two rounds, and far less until a replica sees a write.
			h.awaitViews(replicas)
		}
	}
	t.Logf("%d exchanges of %d keys at 3 replicas in ten minutes cost %d writes", 3*rounds*(keys/5), keys, writes.Load())
	h.Expect(writes.Load()).To(gomega.BeNumerically(">=", keys*9/10), "uses are not recorded")
	h.Expect(writes.Load()).To(gomega.BeNumerically("<=", keys*11/10), "too many writes")
}

// awaitViews waits until all replicas see the recorded uses of all refresh keys.
func (h *fixture) awaitViews(replicas []*operator.Replica) {
	h.T.Helper()
	h.Await("all replicas see the recorded uses", func() error {
		var keys v1alpha1.JWTRefreshKeyList
		if err := h.Admin.List(h.Ctx, &keys, client.InNamespace(h.Name)); err != nil {
			return err
		}
		for i := range keys.Items {
			key := &keys.Items[i]
			for n, r := range replicas {
				if seen := r.Key(client.ObjectKeyFromObject(key)); !seen.Status.LastUsed.Equal(key.Status.LastUsed) {
					return fmt.Errorf("replica %d sees %s used at %s, and it is recorded at %s", n, key.Name, seen.Status.LastUsed, key.Status.LastUsed)
				}
			}
		}
		return nil
	})
}

// writeCounter counts the status writes of a replica.
type writeCounter struct {
	next  http.RoundTripper
	count *atomic.Int64
}

func (w *writeCounter) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet && strings.HasSuffix(request.URL.Path, "/status") {
		w.count.Add(1)
	}
	return w.next.RoundTrip(request)
}

// TestUseKeepsToABudget checks that due uses are written within the limit, and that uses that decide whether a key
// ends are exempt.
func TestUseKeepsToABudget(t *testing.T) {
	const keys, prompt, aLook, aSecond = 60, 5, 40, 20
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := newManaged(t, clock)
	var writes atomic.Int64
	r := h.Replica(func(config *rest.Config, o *registry.Options) {
		// Reports are only written when the test calls ReportUses.
		o.Monotonic = clocktesting.NewFakeClock(clock.Now())
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &writeCounter{next: next, count: &writes} })
	})
	all := make([]*v1alpha1.JWTRefreshKey, keys)
	for i := range all {
		all[i] = h.Key(fmt.Sprintf("key-%02d", i), func(k *v1alpha1.JWTRefreshKey) {
			if i < prompt {
				k.Spec.IdleTimeout = &metav1.Duration{Duration: time.Hour}
			}
		})
	}
	for _, key := range all {
		h.Expect(h.Refresh(r, h.AwaitRevision(key, 1)).Outcome()).To(gomega.Equal("200"))
	}
	h.Expect(writes.Load()).To(gomega.BeZero(), "nothing is due yet by this clock")
	clock.SetTime(clock.Now().Add(time.Minute))
	began := time.Now()
	r.ReportUses(h.Ctx)
	h.Expect(writes.Load()).To(gomega.BeEquivalentTo(aLook+prompt), "at one look")
	h.Expect(time.Since(began)).To(gomega.BeNumerically(">", (aLook-2)*time.Second/aSecond), "all at once")
	for _, key := range all[:prompt] {
		h.Expect(h.status(key).LastUsed).NotTo(gomega.BeNil(), "the use of a key with an idleTimeout was delayed")
	}
	r.ReportUses(h.Ctx)
	h.Expect(writes.Load()).To(gomega.BeEquivalentTo(keys), "by and by all are written")
}

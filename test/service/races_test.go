package service

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

func oneTime(grace time.Duration) func(*v1alpha1.JWTRefreshKey) {
	return func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse, RetryGrace: &metav1.Duration{Duration: grace}}
	}
}

// TestAThousandUsesAtOnce uses a one-time token a thousand times at two replicas, and checks that all uses get the
// same successor.
func TestAThousandUsesAtOnce(t *testing.T) {
	// Few connections are kept open, since many handshakes at once would dominate the measured time. One carries
	// 250 requests at once.
	const uses, connections = 1000, 8
	h := newManaged(t, clock.RealClock{})
	replicas := []*operator.Replica{h.Replica(), h.Replica()}
	key := h.Key("device", oneTime(10*time.Minute))
	held := h.AwaitRevision(key, 1)

	clients := make([]*operator.Replica, connections)
	for i := range clients {
		clients[i] = h.connected(replicas[i%2])
	}
	answers := make([]*operator.Answer, uses)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() {
			<-start
			answers[i] = h.Refresh(clients[i%connections], held)
		})
	}
	began := time.Now()
	close(start)
	group.Wait()
	outcomes, successors := map[string]int{}, map[string]int{}
	for _, a := range answers {
		outcomes[a.Outcome()]++
		if a.Outcome() == "200" {
			successors[a.Text("refresh_token")]++
		}
	}
	t.Logf("%d uses in %s: %v", uses, time.Since(began).Round(time.Millisecond), outcomes)
	h.Expect(successors).To(gomega.HaveLen(1), "so many successors came of one token")
	for outcome := range outcomes {
		h.Expect(outcome).To(gomega.BeElementOf("200", "400 invalid_grant"))
	}
	h.Expect(h.status(key).Revision).To(gomega.BeEquivalentTo(2))
	h.Expect(key.Status.RevokedAt).To(gomega.BeNil())
}

// TestRevokeAgainstRefresh revokes a token at one replica while it is used at both. It checks that the first
// replica refuses at once, the other within the watch's delay, and that no successor is accepted after the
// revocation.
func TestRevokeAgainstRefresh(t *testing.T) {
	const rounds = 200
	h, one, two := newReplicas(t, clock.RealClock{})
	delays := make([]time.Duration, 0, rounds)
	keys := make([]*v1alpha1.JWTRefreshKey, rounds)
	for i := range keys {
		keys[i] = h.Key(fmt.Sprintf("device-%03d", i), oneTime(10*time.Minute))
	}
	for _, key := range keys {
		delays = append(delays, h.revokeWhileInUse(key, one, two))
	}
	slices.Sort(delays)
	t.Logf("the other replica refused after %s at the median, %s at p99, %s at most", delays[rounds/2], delays[rounds*99/100-1], delays[rounds-1])
}

// revokeWhileInUse returns how long the other replica exchanged the token after the revocation was answered.
func (h *fixture) revokeWhileInUse(key *v1alpha1.JWTRefreshKey, one, two *operator.Replica) time.Duration {
	h.T.Helper()
	held := h.AwaitRevision(key, 1)
	successors := make(chan string, 2)
	var group sync.WaitGroup
	for _, r := range []*operator.Replica{one, two} {
		group.Go(func() { successors <- h.Refresh(r, held).Text("refresh_token") })
	}
	h.Expect(h.Revoke(one, held).Outcome()).To(gomega.Equal("200"))
	revoked := time.Now()
	h.Expect(h.Refresh(one, held).Outcome()).To(gomega.Equal("400 invalid_grant"), "the replica that answered 200 still exchanges the token")
	h.Eventually(func() string { return h.Refresh(two, held).Outcome() }, patience, time.Millisecond).Should(gomega.Equal("400 invalid_grant"))
	delay := time.Since(revoked)
	group.Wait()
	close(successors)
	tokens := map[string]bool{held: true}
	for successor := range successors {
		tokens[successor] = true
	}
	delete(tokens, "")
	for successor := range maps.Keys(tokens) {
		for _, r := range []*operator.Replica{one, two} {
			h.Expect(h.Refresh(r, successor).Outcome()).To(gomega.Equal("400 invalid_grant"), "a token of the revoked line lives on")
		}
	}
	return delay
}

// TestAClaimWhoseAnswerIsLost checks that a retry at another replica gets the same successor if the claim is
// stored and its answer was lost.
func TestAClaimWhoseAnswerIsLost(t *testing.T) {
	h := newManaged(t, clock.RealClock{})
	words := &lostAnswer{}
	one := h.Replica(func(config *rest.Config, _ *registry.Options) {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { words.next = next; return words })
	})
	two := h.Replica()
	key := h.Key("device", oneTime(time.Minute))
	held := h.AwaitRevision(key, 1)
	words.armed.Store(true)
	h.Expect(h.Refresh(one, held).Outcome()).To(gomega.Equal("503 temporarily_unavailable"), "the answer was lost, and nothing else is known")
	h.retries(two, key, held)
}

// retries uses a first token again after its claim is stored and its answer is lost.
func (h *fixture) retries(r *operator.Replica, key *v1alpha1.JWTRefreshKey, held string) {
	h.T.Helper()
	h.Expect(h.status(key).Revision).To(gomega.BeEquivalentTo(2), "the claim is on record")

	retried := h.Refresh(r, held)
	h.Expect(retried.Outcome()).To(gomega.Equal("200"))
	h.Expect(token.Hash(retried.Text("refresh_token"))).To(gomega.Equal(key.Status.TokenHash), "the successor that was claimed")
	h.Expect(h.Refresh(r, retried.Text("refresh_token")).Outcome()).To(gomega.Equal("200"))
}

// lostAnswer is a connection that breaks after the API server has executed the request.
type lostAnswer struct {
	next  http.RoundTripper
	armed atomic.Bool
}

func (l *lostAnswer) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(request)
	if err == nil && request.Method == http.MethodPut && l.armed.Load() {
		response.Body.Close()
		return nil, errCut
	}
	return response, err
}

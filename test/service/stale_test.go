package service

import (
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// behind starts a replica with watches that can hang while the API server still answers its requests.
func (h *fixture) behind() (*operator.Replica, *apiConnection) {
	h.T.Helper()
	l := &apiConnection{}
	return h.Replica(l.wire(clocktesting.NewFakeClock(time.Now()))), l
}

// TestAReinstatedKeyAtAStaleReplica checks that a replica that has not received the end of a revocation does not
// refuse the new token permanently.
func TestAReinstatedKeyAtAStaleReplica(t *testing.T) {
	h := newManaged(t, clock.RealClock{})
	r, line := h.behind()
	for name, change := range map[string]func(*v1alpha1.JWTRefreshKey){
		"scheduled": func(*v1alpha1.JWTRefreshKey) {}, "device": oneTime(time.Minute),
	} {
		key := h.Key(name, change)
		held := h.AwaitRevision(key, 1)
		h.Expect(h.Revoke(r, held).Outcome()).To(gomega.Equal("200"))
		line.hang(true)
		h.Annotate(key, v1alpha1.AnnotationRotate, "again")
		next := h.AwaitRevision(key, 2)
		h.Expect(h.Refresh(r, next).Outcome()).To(gomega.Equal("200"), "%s: the token in the Secret is refused", name)
		h.Expect(h.Refresh(r, held).Outcome()).To(gomega.Equal("400 invalid_grant"), "%s: the revoked one is dead permanently", name)
		line.hang(false)
	}
}

// TestASigningKeyThatAStaleReplicaLacks checks that all requests with a token of an unknown signing key wait until
// it is read, and not only the first.
func TestASigningKeyThatAStaleReplicaLacks(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	issuer := h.Issuer()
	h.Manage()
	gate := &gate{closed: make(chan struct{}), met: make(chan struct{}, 1)}
	l := &apiConnection{}
	r := h.Replica(l.wire(clocktesting.NewFakeClock(time.Now())), func(config *rest.Config, _ *registry.Options) {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { gate.next = next; return gate })
	})
	key := h.Key("orders")
	h.AwaitRevision(key, 1)
	l.hang(true)
	defer l.hang(false)
	h.withdrawAll(issuer)
	next := h.AwaitRevision(key, 2)

	gate.shut()
	var group sync.WaitGroup
	outcomes := make(chan string, 2)
	group.Go(func() { outcomes <- h.Refresh(r, next).Outcome() })
	<-gate.met
	group.Go(func() { outcomes <- h.Refresh(r, next).Outcome() })
	h.Consistently(outcomes, 500*time.Millisecond, harness.PollEvery).ShouldNot(gomega.Receive(), "judged before the keys were read")
	gate.open()
	group.Wait()
	for range 2 {
		h.Expect(<-outcomes).To(gomega.Equal("200"))
	}
}

// gate delays lists of signing keys.
type gate struct {
	next   http.RoundTripper
	mu     sync.Mutex
	closed chan struct{}
	armed  bool
	met    chan struct{}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = true
}

func (g *gate) open() { close(g.closed) }

func (g *gate) RoundTrip(request *http.Request) (*http.Response, error) {
	g.mu.Lock()
	armed := g.armed
	g.mu.Unlock()
	query := request.URL.Query()
	if armed && strings.HasSuffix(request.URL.Path, "/secrets") && query.Get("watch") == "" && query.Get("limit") == "" {
		select {
		case g.met <- struct{}{}:
		default:
		}
		<-g.closed
	}
	return g.next.RoundTrip(request)
}

// TestASigningKeyMadeAfterALookUp checks that a stale replica that has just looked up another client's unknown kid
// still finds a signing key that is made after that.
func TestASigningKeyMadeAfterALookUp(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	issuer := h.Issuer()
	h.Manage()
	r, line := h.behind()
	key := h.Key("orders")
	held := h.AwaitRevision(key, 1)
	h.outcomes(held, "200", r)
	line.hang(true)
	defer line.hang(false)
	h.Expect(h.Refresh(r, signedByUnknown(held)).Outcome()).To(gomega.Equal("400 invalid_grant"))
	h.withdrawAll(issuer)
	h.Expect(h.Refresh(r, h.AwaitRevision(key, 2)).Outcome()).To(gomega.Equal("200"))
}

// signedByUnknown returns a token with the kid of a signing key that does not exist.
func signedByUnknown(held string) string {
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"not-known-yet","typ":"rt+jwt"}`))
	_, rest, _ := strings.Cut(held, ".")
	return header + "." + rest
}

// withdrawAll withdraws the refresh signing keys. The next one is published already and is withdrawn, too; the one
// after it is made and active at once.
func (h *fixture) withdrawAll(issuer *v1alpha1.JWTIssuer) {
	h.T.Helper()
	var kids []string
	h.Expect(h.Reload(issuer)).To(gomega.Succeed())
	for _, known := range issuer.Status.Keys {
		if string(known.Use) == string(keyring.Refresh) {
			kids = append(kids, known.KID)
		}
	}
	h.Annotate(issuer, v1alpha1.AnnotationWithdrawKey, strings.Join(kids, ","))
}

// TestSigningKeysThatCannotBeRead checks that no token is refused permanently while the signing keys cannot be read,
// neither in the first request nor in later ones.
func TestSigningKeysThatCannotBeRead(t *testing.T) {
	h := newManaged(t, clock.RealClock{})
	r, line := h.behind()
	held := h.AwaitRevision(h.Key("orders"), 1)
	h.outcomes(held, "200", r)
	line.set(true)
	defer line.set(false)
	for range 3 {
		h.Expect(h.Refresh(r, signedByUnknown(held)).Outcome()).To(gomega.Equal("503 temporarily_unavailable"))
	}
}

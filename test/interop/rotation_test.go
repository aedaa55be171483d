package interop

import (
	"testing"
	"time"

	"github.com/onsi/gomega"
	"golang.org/x/oauth2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// secretReader is a program's TokenSource that reads the Secret each time.
type secretReader struct {
	fixture  *fixture
	key      *v1alpha1.JWTRefreshKey
	endpoint oauth2.Endpoint
}

func (r *secretReader) Token() (*oauth2.Token, error) {
	held, err := r.fixture.held(r.key)
	if err != nil {
		return nil, err
	}
	config := &oauth2.Config{Endpoint: r.endpoint}
	return config.TokenSource(r.fixture.clientContext(), &oauth2.Token{RefreshToken: held}).Token()
}

// TestRotationUnderRealClients checks that no exchange fails while a key rotates with the default overlap. Three
// programs keep their token in memory, offset across one lifetime of an access token, and one reads the Secret
// each time. Another program has a key that was rotated, and sends no request for more than a day; its token is
// still accepted, since the next token was not used. After it uses the next token, and does not use the old one
// for the overlap, the old one is refused, and the key stays active.
func TestRotationUnderRealClients(t *testing.T) {
	const (
		life      = 12 * time.Hour
		access    = 15 * time.Minute
		rotations = 3
	)
	start := time.Now().Truncate(time.Second)
	h := newFixture(t, start, 0)
	key := h.key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Lifetime = &metav1.Duration{Duration: life} })
	provider, held := h.discovery(), h.AwaitRevision(key, 1)

	reader := &holder{name: "reader", fixture: h, verify: h.verifier(provider), source: oauth2.ReuseTokenSource(nil, &secretReader{h, key, provider.Endpoint()})}
	clients := []*holder{h.inMemory("first", provider, held), h.inMemory("second", provider, held), h.inMemory("third", provider, held), reader}
	begins := func(client int) time.Time { return start.Add(time.Duration(client) * access / 3) }

	silentKey := h.key("night")
	before := h.AwaitRevision(silentKey, 1)
	silent := h.inMemory("silent", provider, before)
	h.Annotate(silentKey, v1alpha1.AnnotationRotate, "hygiene")
	h.AwaitRevision(silentKey, 2)

	revision := int64(1)
	var rotatedAt time.Time
	// It ends before the next renewal is due: the operator would make it at any moment from then on.
	for now := start; revision <= rotations || now.Before(key.Status.RenewalTime.Time); now = now.Add(time.Minute) {
		h.clock.SetTime(now)
		if revision <= rotations && !now.Before(key.Status.RenewalTime.Time) {
			revision, rotatedAt = revision+1, now
			h.touch(key)
			h.AwaitRevision(key, revision)
		}
		for i, client := range clients {
			if now.Before(begins(i)) {
				continue
			}
			if err := client.access(); err != nil {
				t.Errorf("at revision %d, %s after it was issued: %v", revision, now.Sub(rotatedAt), err)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	for _, client := range clients {
		h.Expect(token.Hash(client.token.RefreshToken)).To(gomega.Equal(key.Status.TokenHash), "%s does not hold the current token at the end", client.name)
		t.Logf("%s: %d exchanges over %s and %d rotations, none failed", client.name, client.exchanges, h.clock.Since(start), rotations)
	}

	h.Expect(h.clock.Since(start)).To(gomega.BeNumerically(">", 24*time.Hour))
	h.Expect(silent.access()).To(gomega.Succeed())
	h.Expect(token.Hash(silent.token.RefreshToken)).To(gomega.Equal(silentKey.Status.TokenHash), "it was not given the token that followed its own")
	h.retires(silentKey, silent)
	stale := h.inMemory("stale", provider, before)
	h.Expect(stale.access()).To(gomega.MatchError(gomega.ContainSubstring("invalid_grant")), "a retired token was exchanged")
	h.Expect(silent.access()).To(gomega.Succeed(), "the key lives")
}

// retires uses the current token of a key until the earlier ones have retired.
func (h *fixture) retires(key *v1alpha1.JWTRefreshKey, client *holder) {
	h.T.Helper()
	h.Eventually(func() int {
		h.clock.SetTime(h.clock.Now().Add(5 * time.Minute))
		h.Expect(client.access()).To(gomega.Succeed())
		h.uses.ReportUses(h.Ctx)
		h.touch(key)
		return len(key.Status.Previous)
	}).Should(gomega.BeZero(), "the superseded token never retired")
}

package faults

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/onsi/gomega"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// staleReadCase is a change that happens while a manager is stopped between its read of a key and its write
// of the Secret. The manager must not write what it decided before.
type staleReadCase struct {
	name string
	key  func(*v1alpha1.JWTRefreshKey)
	// hold matches the answer that is held back from the manager.
	hold func(e apiCall, answer int) bool
	// trigger makes the manager read. meanwhile runs while the answer is held back.
	trigger, meanwhile func(*staleReadFixture)
	// after requests something that the manager does after the interrupted work.
	after func(*staleReadFixture)
	// writes is how often this manager writes the Secret from the read on, including after.
	writes int
}

var staleReadCases = []staleReadCase{
	{
		name: "the Secret holds a later token", key: overlapMax(0), hold: matchAnswer(http.MethodPut, keyStatus, http.StatusOK),
		trigger: (*staleReadFixture).rotate,
		meanwhile: func(h *staleReadFixture) {
			_, stop := h.startSecondManager(crash{})
			h.awaitOwnRevision(2)
			h.rotate()
			h.awaitOwnRevision(3)
			h.awaitSupersededRetired()
			stop()
		},
		after:  func(h *staleReadFixture) { h.rotate(); h.awaitOwnRevision(4) },
		writes: 1,
	},
	{
		name: "status records a later token, and the Secret is deleted", hold: matchAnswer(http.MethodGet, keySecret, http.StatusNotFound),
		trigger: (*staleReadFixture).deleteSecret,
		meanwhile: func(h *staleReadFixture) {
			h.Annotate(h.keyRef(), v1alpha1.AnnotationRotateNow, "leak")
			wire, stop := h.startSecondManager(crash{1, after})
			h.Eventually(func() bool { return wire.crashed(h.name) }).Should(gomega.BeTrue(), "the second manager issued no later token")
			stop()
		},
		after:  func(h *staleReadFixture) { h.awaitOwnRevision(2); h.rotate(); h.awaitOwnRevision(3) },
		writes: 2,
	},
	{
		name: "the key is revoked, and the Secret is deleted", hold: matchAnswer(http.MethodGet, keySecret, http.StatusNotFound),
		trigger: (*staleReadFixture).deleteSecret,
		meanwhile: func(h *staleReadFixture) {
			_, stop := h.startSecondManager(crash{})
			harness.Edit(h.Harness, h.keyRef(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true })
			h.awaitKeyReason(h.keyRef(), v1alpha1.ReasonRevoked)
			stop()
		},
		after: func(h *staleReadFixture) {
			harness.Edit(h.Harness, h.keyRef(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = false })
			h.awaitOwnRevision(2)
		},
		writes: 1,
	},
	{
		name: "the key is recreated", key: retained, hold: matchAnswer(http.MethodGet, keySecret, http.StatusOK),
		trigger:   (*staleReadFixture).recreateKey,
		meanwhile: (*staleReadFixture).recreateKey,
		after:     func(h *staleReadFixture) { h.awaitOwnRevision(1) },
		writes:    1,
	},
}

// TestAStaleReadWritesNoOldToken holds a manager between its read and its write while other managers work.
// The manager does not write a token from before that, which would be refused.
func TestAStaleReadWritesNoOldToken(t *testing.T) {
	for _, tc := range staleReadCases {
		t.Run(tc.name, func(t *testing.T) {
			h := newStaleReadFixture(t, &tc)
			writesBefore := len(h.journal.ofOwner(h.name))
			h.held.armed.Store(true)
			tc.trigger(h)
			h.Eventually(h.held.holding, harness.Patience).Should(gomega.BeClosed(), "the manager made no matching request")
			tc.meanwhile(h)
			close(h.held.release)
			tc.after(h)
			h.watcher.catchUp(h.name)
			var written []*entry
			for _, e := range h.journal.ofOwner(h.name)[writesBefore:] {
				if e.generation == 1 && e.kind == keySecret {
					written = append(written, e)
				}
			}
			h.Expect(written).To(gomega.HaveLen(tc.writes), "writes of the Secret by the held manager:\n%s", formatEntries(h.journal.ofOwner(h.name)[writesBefore:]))
			h.Expect(h.watcher.violationsIn(h.name)).To(gomega.Succeed())
		})
	}
}

// staleReadFixture is an issuer fixture with a manager that can be held.
type staleReadFixture struct {
	*issuerFixture
	tc      *staleReadCase
	held    *heldAnswer
	watcher *invariantWatcher
}

func newStaleReadFixture(t *testing.T, tc *staleReadCase) *staleReadFixture {
	t.Helper()
	h := &staleReadFixture{issuerFixture: newIssuerFixtureWithoutManager(t), tc: tc}
	h.held = &heldAnswer{matches: tc.hold, holding: make(chan struct{}), release: make(chan struct{})}
	h.watcher = h.startWatcher(onlyNamespace(h.name))
	wire := newWire(h.journal, 1)
	h.stop = h.startManager(func(next http.RoundTripper) http.RoundTripper { return h.held.wrap(wire.wrap(next)) })
	h.awaitIssuerReason(h.name, v1alpha1.ReasonKeysReady)
	h.issueKey(keyName, tc.shape)
	return h
}

func (c *staleReadCase) shape(key *v1alpha1.JWTRefreshKey) {
	if c.key != nil {
		c.key(key)
	}
}

func (h *staleReadFixture) rotate() {
	h.Annotate(h.keyRef(), v1alpha1.AnnotationRotate, harness.UniqueName("rotate"))
}

func (h *staleReadFixture) awaitOwnRevision(revision int64) {
	h.T.Helper()
	h.awaitRevision([]*v1alpha1.JWTRefreshKey{h.keyRef()}, revision)
}

// awaitSupersededRetired waits until the superseded tokens are retired.
func (h *staleReadFixture) awaitSupersededRetired() {
	h.T.Helper()
	h.Eventually(func() (int, error) {
		key, err := harness.Get(h.Harness, h.keyRef())
		return len(key.Status.Previous), err
	}).Should(gomega.BeZero(), "number of superseded tokens")
}

func (h *staleReadFixture) deleteSecret() {
	h.watcher.expectDamage(clientKey(h.keyRef()), true)
	h.Expect(h.Admin.Delete(h.Ctx, secretNamed(h.name, keyName))).To(gomega.Succeed())
}

// recreateKey deletes and creates the key. The Secret of the earlier key remains, with a token that is
// refused.
func (h *staleReadFixture) recreateKey() {
	held, err := h.tokenIn(h.name, keyName)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.watcher.expectRefusal(token.Hash(held))
	h.Expect(h.Admin.Delete(h.Ctx, h.keyRef())).To(gomega.Succeed())
	h.fixture.createKey(h.name, keyName, h.name, h.tc.shape)
}

// startSecondManager starts a manager that is not held, and that crashes as planned.
func (h *staleReadFixture) startSecondManager(at crash) (*wire, func()) {
	h.T.Helper()
	wire := newWire(h.journal, 2)
	if at.write > 0 {
		wire.arm(h.name, at)
	}
	return wire, h.startManager(wire.wrap)
}

func matchAnswer(verb string, kind kind, want int) func(apiCall, int) bool {
	return func(e apiCall, answer int) bool {
		return e.verb == verb && e.kind == kind && e.name == keyName && answer == want
	}
}

// heldAnswer holds back one answer of the API server until release is closed.
type heldAnswer struct {
	matches func(e apiCall, answer int) bool
	armed   atomic.Bool
	holding chan struct{}
	release chan struct{}
}

func (a *heldAnswer) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		if err == nil && a.matches(apiCallOf(request, nil), response.StatusCode) && a.armed.CompareAndSwap(true, false) {
			close(a.holding)
			select {
			case <-a.release:
			case <-request.Context().Done():
			}
		}
		return response, err
	})
}

package faults

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/onsi/gomega"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// slumber is what goes on while a manager sleeps between its look at a key and its write of
// the Secret. What it then writes must not be what it had in mind before.
type slumber struct {
	name string
	key  func(*v1alpha1.JWTRefreshKey)
	// over is the answer that the manager falls asleep over.
	over func(e errand, answer int) bool
	// lulls makes the manager look, and meanwhile is done while it sleeps.
	lulls, meanwhile func(*sleeper)
	// after asks the manager for something that it comes to after what it had in mind.
	after func(*sleeper)
	// writes is how often it writes the Secret from the moment that it looked, after included.
	writes int
}

var slumbers = []slumber{
	{
		name: "a later token is in the Secret", key: overlapMax(0), over: answered(http.MethodPut, keyStatus, http.StatusOK),
		lulls: (*sleeper).rotate,
		meanwhile: func(s *sleeper) {
			_, stop := s.another(crash{})
			s.reaches(2)
			s.rotate()
			s.reaches(3)
			s.onlyOneIsAccepted()
			stop()
		},
		after:  func(s *sleeper) { s.rotate(); s.reaches(4) },
		writes: 1,
	},
	{
		name: "a later token is on record, and the Secret is gone", over: answered(http.MethodGet, keySecret, http.StatusNotFound),
		lulls: (*sleeper).loseTheSecret,
		meanwhile: func(s *sleeper) {
			annotate(s.scene, s.theKey(), v1alpha1.AnnotationRotateNow, "leak")
			wire, stop := s.another(crash{1, after})
			s.Eventually(func() bool { return wire.crashed(s.name) }, patience, pollEvery).Should(gomega.BeTrue(), "the other manager has made no later token")
			stop()
		},
		after:  func(s *sleeper) { s.reaches(2); s.rotate(); s.reaches(3) },
		writes: 2,
	},
	{
		name: "the key is revoked, and the Secret is gone", over: answered(http.MethodGet, keySecret, http.StatusNotFound),
		lulls: (*sleeper).loseTheSecret,
		meanwhile: func(s *sleeper) {
			_, stop := s.another(crash{})
			edit(s.scene, s.theKey(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true })
			s.keyBecomes(s.theKey(), v1alpha1.ReasonRevoked)
			stop()
		},
		after: func(s *sleeper) {
			edit(s.scene, s.theKey(), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = false })
			s.reaches(2)
		},
		writes: 1,
	},
	{
		name: "the key is made again", key: retained, over: answered(http.MethodGet, keySecret, http.StatusOK),
		lulls:     (*sleeper).remakeTheKey,
		meanwhile: (*sleeper).remakeTheKey,
		after:     func(s *sleeper) { s.reaches(1) },
		writes:    1,
	},
}

// TestAManagerThatSleptWritesNoOldToken lets a manager sleep between its look and its write,
// while others go on. A token that was made, or found on record, before that is not put into
// the Secret any more, where its readers would find it refused.
func TestAManagerThatSleptWritesNoOldToken(t *testing.T) {
	for _, slumber := range slumbers {
		t.Run(slumber.name, func(t *testing.T) {
			s := newSleeper(t, &slumber)
			looked := len(s.journal.of(s.name))
			s.nap.armed.Store(true)
			slumber.lulls(s)
			s.Eventually(s.nap.asleep, patience).Should(gomega.BeClosed(), "there was nothing to fall asleep over")
			slumber.meanwhile(s)
			close(s.nap.over)
			slumber.after(s)
			s.witness.catchUp(s.name)
			var written []*entry
			for _, e := range s.journal.of(s.name)[looked:] {
				if e.generation == 1 && e.kind == keySecret {
					written = append(written, e)
				}
			}
			s.Expect(written).To(gomega.HaveLen(slumber.writes), "the manager that slept wrote the Secret from what it saw before:\n%s", told(s.journal.of(s.name)[looked:]))
			s.Expect(s.witness.said(s.name)).To(gomega.Succeed())
		})
	}
}

// sleeper is a house whose manager takes a nap.
type sleeper struct {
	*house
	slumber *slumber
	nap     *nap
	witness *witness
}

func newSleeper(t *testing.T, slumber *slumber) *sleeper {
	t.Helper()
	s := &sleeper{house: newHouseWithout(t), slumber: slumber}
	s.nap = &nap{at: slumber.over, asleep: make(chan struct{}), over: make(chan struct{})}
	s.witness = s.startWitness(func(namespace string) string {
		if namespace == s.name {
			return s.name
		}
		return ""
	})
	wire := newWire(s.journal, 1)
	s.stop = s.startManager(func(next http.RoundTripper) http.RoundTripper { return s.nap.wrap(wire.wrap(next)) })
	s.issuerBecomes(s.name, v1alpha1.ReasonKeysReady)
	s.issued(keyName, slumber.shape)
	return s
}

func (s *slumber) shape(key *v1alpha1.JWTRefreshKey) {
	if s.key != nil {
		s.key(key)
	}
}

func (s *sleeper) rotate() {
	annotate(s.scene, s.theKey(), v1alpha1.AnnotationRotate, name("rotate"))
}

func (s *sleeper) reaches(revision int64) {
	s.t.Helper()
	s.allReach([]*v1alpha1.JWTRefreshKey{s.theKey()}, revision)
}

// onlyOneIsAccepted waits until the superseded tokens have retired.
func (s *sleeper) onlyOneIsAccepted() {
	s.t.Helper()
	s.Eventually(func() (int, error) {
		key, err := get(s.scene, s.theKey())
		return len(key.Status.Previous), err
	}, patience, pollEvery).Should(gomega.BeZero(), "superseded tokens")
}

func (s *sleeper) loseTheSecret() {
	s.witness.plunder(clientKey(s.theKey()), true)
	s.Expect(s.admin.Delete(s.ctx, secretNamed(s.name, keyName))).To(gomega.Succeed())
}

// remakeTheKey leaves the Secret of the earlier one, with a token that is dead.
func (s *sleeper) remakeTheKey() {
	held, err := s.tokenIn(s.name, keyName)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	s.witness.kill(token.Hash(held))
	s.Expect(s.admin.Delete(s.ctx, s.theKey())).To(gomega.Succeed())
	s.scene.key(s.name, keyName, s.name, s.slumber.shape)
}

// another starts a second manager, which is awake until it crashes.
func (s *sleeper) another(at crash) (*wire, func()) {
	s.t.Helper()
	wire := newWire(s.journal, 2)
	if at.write > 0 {
		wire.arm(s.name, at)
	}
	return wire, s.startManager(wire.wrap)
}

func answered(verb string, kind kind, want int) func(errand, int) bool {
	return func(e errand, answer int) bool {
		return e.verb == verb && e.kind == kind && e.name == keyName && answer == want
	}
}

// nap keeps one answer of the API server back until it is over.
type nap struct {
	at     func(e errand, answer int) bool
	armed  atomic.Bool
	asleep chan struct{}
	over   chan struct{}
}

func (n *nap) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		if err == nil && n.at(errandOf(request, nil), response.StatusCode) && n.armed.CompareAndSwap(true, false) {
			close(n.asleep)
			select {
			case <-n.over:
			case <-request.Context().Done():
			}
		}
		return response, err
	})
}

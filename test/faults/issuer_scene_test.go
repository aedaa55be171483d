package faults

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// house is an issuer and a namespace of the same name, with a clock that the test moves and
// one manager.
type house struct {
	*scene
	name  string
	clock *clocktesting.FakePassiveClock
	stop  func()
}

func newHouse(t *testing.T, change ...func(*v1alpha1.JWTIssuer)) *house {
	t.Helper()
	h := newHouseWithout(t, change...)
	h.stop = h.startManager(newWire(h.journal, 1).wrap)
	return h
}

// newHouseWithout has no manager yet.
func newHouseWithout(t *testing.T, change ...func(*v1alpha1.JWTIssuer)) *house {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := &house{scene: newScene(t, clock), name: name("house"), clock: clock}
	h.namespace(h.name)
	h.issuer(h.name, change...)
	return h
}

func (h *house) theIssuer() *v1alpha1.JWTIssuer {
	return &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: h.name}}
}

// issued makes a key, and returns it with its first token.
func (h *house) issued(name string, change ...func(*v1alpha1.JWTRefreshKey)) (*v1alpha1.JWTRefreshKey, string) {
	h.t.Helper()
	key := h.scene.key(h.name, name, h.name, change...)
	h.allReach([]*v1alpha1.JWTRefreshKey{key}, 1)
	held, err := h.tokenIn(h.name, name)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return key, held
}

// pass lets time go by, and makes the manager look at the issuer and the keys again.
func (h *house) pass(d time.Duration, keys ...*v1alpha1.JWTRefreshKey) {
	h.t.Helper()
	h.clock.SetTime(h.clock.Now().Add(d))
	touch(h.scene, h.theIssuer())
	for _, key := range keys {
		touch(h.scene, newKey(key.Namespace, key.Name, h.name))
	}
}

func (h *house) accepts(compact string, want registry.Standing) {
	h.t.Helper()
	standing, err := h.verifier.Accept(h.ctx, compact, h.name)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(standing).To(gomega.Equal(want))
}

// refuses: nothing accepts the token now, be it that it could not be judged.
func (h *house) refuses(compact string) {
	h.t.Helper()
	standing, err := h.verifier.Accept(h.ctx, compact, h.name)
	h.Expect(err).To(gomega.HaveOccurred(), "token %s is accepted with standing %d", token.Hash(compact), standing)
}

// issuerBecomes waits for the reason of Ready of an issuer, and returns the message.
func (s *scene) issuerBecomes(name, reason string) (message string) {
	s.t.Helper()
	issuer := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: name}}
	s.Eventually(func() string {
		if _, err := get(s, issuer); err != nil {
			return err.Error()
		}
		got, _ := readyOf(issuer.Status.Conditions)
		return got
	}, patience, pollEvery).Should(gomega.Equal(reason), func() string { return s.log.tail(name) })
	return meta.FindStatusCondition(issuer.Status.Conditions, v1alpha1.ConditionReady).Message
}

// keyBecomes waits for the reason of Ready of a key.
func (s *scene) keyBecomes(key *v1alpha1.JWTRefreshKey, reason string) {
	s.t.Helper()
	s.Eventually(func() string {
		if _, err := get(s, key); err != nil {
			return err.Error()
		}
		got, _ := readyOf(key.Status.Conditions)
		return got
	}, patience, pollEvery).Should(gomega.Equal(reason), func() string { return s.log.tail(`"` + key.Name + `"`) })
}

// keysOnRecord waits until an issuer's status shows the keys in its Secret, and returns them.
func (s *scene) keysOnRecord(name string) *keyring.Rings {
	s.t.Helper()
	var rings *keyring.Rings
	s.Eventually(func() error {
		issuer, err := get(s, newIssuer(name))
		if err != nil {
			return err
		}
		if rings, err = s.ringsOf(name); err != nil {
			return err
		}
		return keysOnRecord(issuer, rings)
	}, patience, pollEvery).Should(gomega.Succeed())
	return rings
}

// show tells the states of the keys of a ring, sorted.
func show(rings *keyring.Rings, use keyring.Use) string {
	var states []string
	for _, key := range rings.Keys() {
		if key.Use == use {
			states = append(states, string(key.State))
		}
	}
	slices.Sort(states)
	return strings.Join(states, " ")
}

func signing(change func(*v1alpha1.SigningSpec)) func(*v1alpha1.JWTIssuer) {
	return func(i *v1alpha1.JWTIssuer) {
		if i.Spec.Signing == nil {
			i.Spec.Signing = &v1alpha1.SigningSpec{}
		}
		change(i.Spec.Signing)
	}
}

// lasting is a policy that grants anybody any audience for so long.
func lasting(d time.Duration) func(*v1alpha1.JWTIssuer) {
	return func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{MaxLifetime: &metav1.Duration{Duration: d}}}}
	}
}

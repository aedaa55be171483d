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
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// issuerHarness is a harness with one manager, an issuer and a namespace of the same name, and a clock that
// the test sets.
type issuerHarness struct {
	*harness
	name  string
	clock *clocktesting.FakePassiveClock
	stop  func()
}

func newIssuerHarness(t *testing.T, change ...func(*v1alpha1.JWTIssuer)) *issuerHarness {
	t.Helper()
	h := newIssuerHarnessWithoutManager(t, change...)
	h.stop = h.startManager(newWire(h.journal, 1).wrap)
	return h
}

// newIssuerHarnessWithoutManager does the same without starting the manager.
func newIssuerHarnessWithoutManager(t *testing.T, change ...func(*v1alpha1.JWTIssuer)) *issuerHarness {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := &issuerHarness{harness: newHarness(t, clock), name: uniqueName("house"), clock: clock}
	h.createNamespace(h.name)
	h.createIssuer(h.name, change...)
	return h
}

func (h *issuerHarness) issuerRef() *v1alpha1.JWTIssuer {
	return &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: h.name}}
}

// issueKey creates a refresh key, and returns it with its first token.
func (h *issuerHarness) issueKey(name string, change ...func(*v1alpha1.JWTRefreshKey)) (*v1alpha1.JWTRefreshKey, string) {
	h.t.Helper()
	key := h.harness.createKey(h.name, name, h.name, change...)
	h.awaitRevision([]*v1alpha1.JWTRefreshKey{key}, 1)
	held, err := h.tokenIn(h.name, name)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return key, held
}

// advance moves the clock, and makes the manager reconcile the issuer and the keys.
func (h *issuerHarness) advance(d time.Duration, keys ...*v1alpha1.JWTRefreshKey) {
	h.t.Helper()
	h.clock.SetTime(h.clock.Now().Add(d))
	touch(h.harness, h.issuerRef())
	for _, key := range keys {
		touch(h.harness, newKey(key.Namespace, key.Name, h.name))
	}
}

func (h *issuerHarness) expectAccepted(compact string, want lifecycle.Standing) {
	h.t.Helper()
	standing, err := h.verifier.Accept(h.ctx, compact, h.name)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(standing).To(gomega.Equal(want))
}

// expectRefused checks that the token is not accepted now. An error of the verification counts, too.
func (h *issuerHarness) expectRefused(compact string) {
	h.t.Helper()
	standing, err := h.verifier.Accept(h.ctx, compact, h.name)
	h.Expect(err).To(gomega.HaveOccurred(), "token %s is accepted with standing %d", token.Hash(compact), standing)
}

// awaitIssuerReason waits until the condition Ready of an issuer has a reason, and returns the message.
func (h *harness) awaitIssuerReason(name, reason string) (message string) {
	h.t.Helper()
	issuer := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: name}}
	h.Eventually(func() string {
		if _, err := get(h, issuer); err != nil {
			return err.Error()
		}
		got, _ := readyOf(issuer.Status.Conditions)
		return got
	}, waitTimeout, pollEvery).Should(gomega.Equal(reason), func() string { return h.log.tail(name) })
	return meta.FindStatusCondition(issuer.Status.Conditions, v1alpha1.ConditionReady).Message
}

// awaitKeyReason waits until the condition Ready of a refresh key has a reason.
func (h *harness) awaitKeyReason(key *v1alpha1.JWTRefreshKey, reason string) {
	h.t.Helper()
	h.Eventually(func() string {
		if _, err := get(h, key); err != nil {
			return err.Error()
		}
		got, _ := readyOf(key.Status.Conditions)
		return got
	}, waitTimeout, pollEvery).Should(gomega.Equal(reason), func() string { return h.log.tail(`"` + key.Name + `"`) })
}

// awaitKeysInStatus waits until an issuer's status lists the signing keys in its Secret, and returns them.
func (h *harness) awaitKeysInStatus(name string) *keyring.Rings {
	h.t.Helper()
	var rings *keyring.Rings
	h.Eventually(func() error {
		issuer, err := get(h, newIssuer(name))
		if err != nil {
			return err
		}
		if rings, err = h.ringsOf(name); err != nil {
			return err
		}
		return keysInStatus(issuer, rings)
	}, waitTimeout, pollEvery).Should(gomega.Succeed())
	return rings
}

// keyStates returns the sorted states of the signing keys in a ring.
func keyStates(rings *keyring.Rings, use keyring.Use) string {
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

// maxLifetime sets a policy that grants everything for at most this lifetime.
func maxLifetime(d time.Duration) func(*v1alpha1.JWTIssuer) {
	return func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{MaxLifetime: &metav1.Duration{Duration: d}}}}
	}
}

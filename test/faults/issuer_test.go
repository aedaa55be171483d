package faults

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/onsi/gomega"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// TestManagersThatStartTogetherMakeOneKey starts two to four managers at once, ten times, and checks that
// one of them creates the signing keys and all of them use these.
func TestManagersThatStartTogetherMakeOneKey(t *testing.T) {
	const rounds = 10
	lost := 0
	for round := range rounds {
		h := newHarness(t, clock.RealClock{})
		issuer := uniqueName("start")
		h.createIssuer(issuer)
		managers := 2 + round%3
		stops := make([]func(), managers)
		ready := make(chan struct{})
		var starting sync.WaitGroup
		for i := range managers {
			wire := newWire(h.journal, i+1)
			starting.Go(func() {
				<-ready
				stops[i] = h.startManager(wire.wrap)
			})
		}
		close(ready)
		starting.Wait()
		h.awaitIssuerReason(issuer, v1alpha1.ReasonKeysReady)
		rings := h.awaitKeysInStatus(issuer)
		for _, stop := range stops {
			stop()
		}
		created, answered := 0, map[int]int{}
		for _, e := range h.journal.ofOwner(issuer) {
			answered[e.answer]++
			if e.kind == signingKeys && e.effective() {
				created++
			}
		}
		lost += answered[http.StatusConflict]
		again, err := h.ringsOf(issuer)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		h.Expect(again.Equal(rings)).To(gomega.BeTrue(), "round %d: the signing keys changed", round)
		h.Expect(created).To(gomega.Equal(1), "round %d, %d managers: writes of the signing keys\n%s", round, managers, formatEntries(h.journal.ofOwner(issuer)))
		h.Expect(keyStates(rings, keyring.Refresh) + ", " + keyStates(rings, keyring.Access)).To(gomega.Equal("Active Pending, Active Pending"))
	}
	t.Logf("%d rounds, %d conflicts with another manager", rounds, lost)
	s := gomega.NewWithT(t)
	s.Expect(lost).To(gomega.BeNumerically(">", 0), "no writes of two managers conflicted")
}

// TestAlgorithms checks for each algorithm that its tokens verify and that their header names it.
func TestAlgorithms(t *testing.T) {
	h := newIssuerHarness(t)
	for _, algorithm := range []keyring.Algorithm{keyring.ES256, keyring.ES384, keyring.RS256, keyring.EdDSA} {
		issuer := uniqueName(strings.ToLower(string(algorithm)))
		h.createIssuer(issuer, signing(func(s *v1alpha1.SigningSpec) { s.Algorithm = v1alpha1.SigningAlgorithm(algorithm) }))
		key := h.harness.createKey(h.name, "key-"+strings.ToLower(string(algorithm)), issuer)
		h.awaitRevision([]*v1alpha1.JWTRefreshKey{key}, 1)
		held, err := h.tokenIn(h.name, key.Name)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		standing, err := h.verifier.Accept(h.ctx, held, issuer)
		h.Expect(err).NotTo(gomega.HaveOccurred(), "%s", algorithm)
		h.Expect(standing).To(gomega.Equal(lifecycle.StandingCurrent))
		header, err := base64.RawURLEncoding.DecodeString(strings.Split(held, ".")[0])
		h.Expect(err).NotTo(gomega.HaveOccurred())
		var said struct{ Alg, Typ, Kid string }
		h.Expect(json.Unmarshal(header, &said)).To(gomega.Succeed())
		h.Expect(said.Alg).To(gomega.BeEquivalentTo(algorithm))
		h.Expect(said.Typ).To(gomega.Equal("rt+jwt"))
		h.Expect(said.Kid).To(gomega.Equal(key.Status.KeyID))

		// A token that is signed again from status is identical, with every algorithm.
		h.Expect(h.admin.Delete(h.ctx, secretNamed(h.name, key.Name))).To(gomega.Succeed())
		h.Eventually(func() (string, error) { return h.tokenIn(h.name, key.Name) }, waitTimeout, pollEvery).Should(gomega.Equal(held), "%s", algorithm)
	}
}

// TestOneURLHasOneIssuer checks that the newer of two issuers with the same URL waits until the older is
// deleted.
func TestOneURLHasOneIssuer(t *testing.T) {
	h := newIssuerHarness(t)
	key, held := h.issueKey("of-the-older")
	younger := uniqueName("younger")
	h.createIssuer(younger, func(i *v1alpha1.JWTIssuer) { i.Spec.URL = "https://" + h.name + ".example.com" })
	h.Expect(h.awaitIssuerReason(younger, v1alpha1.ReasonURLConflict)).To(gomega.ContainSubstring(h.name))
	waiting := h.harness.createKey(h.name, "of-the-younger", younger)
	h.awaitKeyReason(waiting, v1alpha1.ReasonIssuerNotReady)
	h.expectAccepted(held, lifecycle.StandingCurrent)

	h.Expect(h.admin.Delete(h.ctx, h.issuerRef())).To(gomega.Succeed())
	h.awaitIssuerReason(younger, v1alpha1.ReasonKeysReady)
	h.awaitRevision([]*v1alpha1.JWTRefreshKey{waiting}, 1)
	h.awaitKeyReason(key, v1alpha1.ReasonIssuerNotFound)
	h.expectRefused(held)
}

// TestADeletedIssuerComesBack checks that deleting an issuer makes its tokens refused, and that creating it
// again makes the same tokens accepted.
func TestADeletedIssuerComesBack(t *testing.T) {
	h := newIssuerHarness(t)
	key, held := h.issueKey("orders")
	rings := h.awaitKeysInStatus(h.name)

	h.Expect(h.admin.Delete(h.ctx, h.issuerRef())).To(gomega.Succeed())
	h.expectRefused(held)
	h.awaitKeyReason(key, v1alpha1.ReasonIssuerNotFound)
	h.expectRefused(held)

	h.Expect(h.admin.Create(h.ctx, newIssuer(h.name))).To(gomega.Succeed())
	h.awaitIssuerReason(h.name, v1alpha1.ReasonKeysReady)
	h.awaitRevision([]*v1alpha1.JWTRefreshKey{key}, 1)
	h.expectAccepted(held, lifecycle.StandingCurrent)
	h.Expect(h.awaitKeysInStatus(h.name).Equal(rings)).To(gomega.BeTrue(), "the signing keys changed")
	now, err := h.tokenIn(h.name, key.Name)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(now).To(gomega.Equal(held))
}

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
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// TestManagersThatStartTogetherMakeOneKey starts two to four managers at the same moment,
// again and again: the keys that one of them made are those of all.
func TestManagersThatStartTogetherMakeOneKey(t *testing.T) {
	const rounds = 10
	lost := 0
	for round := range rounds {
		s := newScene(t, clock.RealClock{})
		issuer := name("start")
		s.issuer(issuer)
		managers := 2 + round%3
		stops := make([]func(), managers)
		ready := make(chan struct{})
		var starting sync.WaitGroup
		for i := range managers {
			wire := newWire(s.journal, i+1)
			starting.Go(func() {
				<-ready
				stops[i] = s.startManager(wire.wrap)
			})
		}
		close(ready)
		starting.Wait()
		s.issuerBecomes(issuer, v1alpha1.ReasonKeysReady)
		rings := s.keysOnRecord(issuer)
		for _, stop := range stops {
			stop()
		}
		created, answered := 0, map[int]int{}
		for _, e := range s.journal.of(issuer) {
			answered[e.answer]++
			if e.kind == signingKeys && e.effective() {
				created++
			}
		}
		lost += answered[http.StatusConflict]
		again, err := s.ringsOf(issuer)
		s.Expect(err).NotTo(gomega.HaveOccurred())
		s.Expect(again.Equal(rings)).To(gomega.BeTrue(), "round %d: the keys changed", round)
		s.Expect(created).To(gomega.Equal(1), "round %d, %d managers: the keys were written more than once\n%s", round, managers, told(s.journal.of(issuer)))
		s.Expect(show(rings, keyring.Refresh) + ", " + show(rings, keyring.Access)).To(gomega.Equal("Active Pending, Active Pending"))
	}
	t.Logf("%d rounds, %d writes lost to another manager", rounds, lost)
	s := gomega.NewWithT(t)
	s.Expect(lost).To(gomega.BeNumerically(">", 0), "no two managers ever met")
}

// TestAlgorithms: each algorithm issues a token that verifies, and says so in its header.
func TestAlgorithms(t *testing.T) {
	h := newHouse(t)
	for _, algorithm := range []keyring.Algorithm{keyring.ES256, keyring.ES384, keyring.RS256, keyring.EdDSA} {
		issuer := name(strings.ToLower(string(algorithm)))
		h.issuer(issuer, signing(func(s *v1alpha1.SigningSpec) { s.Algorithm = v1alpha1.SigningAlgorithm(algorithm) }))
		key := h.scene.key(h.name, "key-"+strings.ToLower(string(algorithm)), issuer)
		h.allReach([]*v1alpha1.JWTRefreshKey{key}, 1)
		held, err := h.tokenIn(h.name, key.Name)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		standing, err := h.verifier.Accept(h.ctx, held, issuer)
		h.Expect(err).NotTo(gomega.HaveOccurred(), "%s", algorithm)
		h.Expect(standing).To(gomega.Equal(registry.Current))
		header, err := base64.RawURLEncoding.DecodeString(strings.Split(held, ".")[0])
		h.Expect(err).NotTo(gomega.HaveOccurred())
		var said struct{ Alg, Typ, Kid string }
		h.Expect(json.Unmarshal(header, &said)).To(gomega.Succeed())
		h.Expect(said.Alg).To(gomega.BeEquivalentTo(algorithm))
		h.Expect(said.Typ).To(gomega.Equal("rt+jwt"))
		h.Expect(said.Kid).To(gomega.Equal(key.Status.KeyID))

		// What is made again from status is the same to the byte, whatever the algorithm.
		h.Expect(h.admin.Delete(h.ctx, secretNamed(h.name, key.Name))).To(gomega.Succeed())
		h.Eventually(func() (string, error) { return h.tokenIn(h.name, key.Name) }, patience, pollEvery).Should(gomega.Equal(held), "%s", algorithm)
	}
}

// TestOneURLHasOneIssuer: the younger of two issuers with one URL waits, and takes over when
// the older goes.
func TestOneURLHasOneIssuer(t *testing.T) {
	h := newHouse(t)
	key, held := h.issued("of-the-older")
	younger := name("younger")
	h.issuer(younger, func(i *v1alpha1.JWTIssuer) { i.Spec.URL = "https://" + h.name + ".example.com" })
	h.Expect(h.issuerBecomes(younger, v1alpha1.ReasonURLConflict)).To(gomega.ContainSubstring(h.name))
	waiting := h.scene.key(h.name, "of-the-younger", younger)
	h.keyBecomes(waiting, v1alpha1.ReasonIssuerNotReady)
	h.accepts(held, registry.Current)

	h.Expect(h.admin.Delete(h.ctx, h.theIssuer())).To(gomega.Succeed())
	h.issuerBecomes(younger, v1alpha1.ReasonKeysReady)
	h.allReach([]*v1alpha1.JWTRefreshKey{waiting}, 1)
	h.keyBecomes(key, v1alpha1.ReasonIssuerNotFound)
	h.refuses(held)
}

// TestADeletedIssuerComesBack: deleting an issuer stops its tokens, and making it again
// brings them back, the very same ones.
func TestADeletedIssuerComesBack(t *testing.T) {
	h := newHouse(t)
	key, held := h.issued("orders")
	rings := h.keysOnRecord(h.name)

	h.Expect(h.admin.Delete(h.ctx, h.theIssuer())).To(gomega.Succeed())
	h.refuses(held)
	h.keyBecomes(key, v1alpha1.ReasonIssuerNotFound)
	h.refuses(held)

	h.Expect(h.admin.Create(h.ctx, newIssuer(h.name))).To(gomega.Succeed())
	h.issuerBecomes(h.name, v1alpha1.ReasonKeysReady)
	h.allReach([]*v1alpha1.JWTRefreshKey{key}, 1)
	h.accepts(held, registry.Current)
	h.Expect(h.keysOnRecord(h.name).Equal(rings)).To(gomega.BeTrue(), "the keys are the same")
	now, err := h.tokenIn(h.name, key.Name)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(now).To(gomega.Equal(held))
}

package faults

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/acceptance"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestWithdrawalIsPaced withdraws the signing key of 300 refresh keys. Their tokens are refused at once,
// and issued again no faster than configured. Other keys do not wait.
func TestWithdrawalIsPaced(t *testing.T) {
	const (
		keys      = 300
		perSecond = 50
	)
	h := newFixture(t, clock.RealClock{})
	owner := harness.UniqueName("withdrawal")
	h.CreateNamespace(owner, nil)
	h.CreateIssuer(owner)
	h.startManager(newWire(h.journal, 1).wrap, func(o *controllers.Options) { o.ReissuePerSecond = perSecond })
	all := make([]*v1alpha1.JWTRefreshKey, keys)
	for i := range all {
		all[i] = newKey(owner, fmt.Sprintf("key-%03d", i), owner)
	}
	inParallel(all, func(key *v1alpha1.JWTRefreshKey) { h.Expect(h.Admin.Create(h.Ctx, key)).To(gomega.Succeed()) })
	h.awaitRevision(all, 1)
	before := h.journal.tokensOf(owner)
	h.Expect(before).To(gomega.HaveLen(keys))
	kid := all[0].Status.KeyID
	known := len(h.journal.ofOwner(owner))

	h.Annotate(harness.NewIssuer(owner), v1alpha1.AnnotationWithdrawKey, kid)
	h.Eventually(func() error { return h.hasSigningKey(owner, kid) }, harness.Patience, 5*time.Millisecond).ShouldNot(gomega.Succeed())
	created := time.Now()
	bystander := h.createKey(owner, "bystander", owner)
	inParallel(before, func(compact string) {
		if _, err := h.verifier.Accept(h.Ctx, compact, owner); !errors.Is(err, acceptance.ErrRefused) {
			t.Errorf("token %s of the withdrawn signing key: got error %v, want a refusal", token.Hash(compact), err)
		}
	})
	h.awaitRevision([]*v1alpha1.JWTRefreshKey{bystander}, 1)
	h.awaitRevision(all, 2)
	writes := map[kind][]time.Time{}
	var bystanderIssued time.Time
	for _, e := range h.journal.ofOwner(owner)[known:] {
		if e.name == bystander.Name {
			bystanderIssued = e.at
		} else {
			writes[e.kind] = append(writes[e.kind], e.at)
		}
	}
	h.Expect(writes[keySecret]).To(gomega.HaveLen(keys), "writes of Secrets")
	h.Expect(writes[keyStatus]).To(gomega.HaveLen(2*keys), "writes of status: one for the token line and one for Ready of each key")
	again := slices.SortedFunc(slices.Values(writes[keySecret]), time.Time.Compare)
	h.Expect(bystanderIssued).To(gomega.BeTemporally("<", again[keys/2]), "a new key waited for the keys that are issued again")
	took, worst := burst(writes[keySecret], perSecond)
	t.Logf("%d keys issued again in %s, at most %d above the rate of %d per second; a new key took %s",
		keys, took.Round(time.Millisecond), worst, perSecond, bystanderIssued.Sub(created).Round(time.Millisecond))
	// A burst of one second is allowed. A delay between the decision and the write moves writes together. The
	// bystander shows how long such a delay is on this machine.
	delay := max(time.Second/5, bystanderIssued.Sub(created))
	h.Expect(float64(worst)).To(gomega.BeNumerically("<=", perSecond+perSecond*delay.Seconds()))
	h.Expect(took).To(gomega.BeNumerically(">", (keys-perSecond)/perSecond*time.Second*9/10))

	list := acceptList{}
	for _, key := range append(all, bystander) {
		current, err := harness.Get(h.Harness, key)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		h.Expect(current.Status.KeyID).NotTo(gomega.Equal(kid))
		list.add(current)
	}
	if err := list.verify(h, owner, owner); err != nil {
		t.Error(err)
	}
}

// burst returns how long the writes took, and by how many they exceeded a steady rate at most.
func burst(writes []time.Time, perSecond int) (took time.Duration, worst int) {
	writes = slices.SortedFunc(slices.Values(writes), time.Time.Compare)
	for i := range writes {
		for j := i; j < len(writes); j++ {
			allowed := int(writes[j].Sub(writes[i]).Seconds() * float64(perSecond))
			worst = max(worst, j-i+1-allowed)
		}
	}
	return writes[len(writes)-1].Sub(writes[0]), worst
}

// awaitRevision waits until refresh keys are Ready at a revision, and their Secrets hold its token.
func (h *fixture) awaitRevision(keys []*v1alpha1.JWTRefreshKey, revision int64) {
	h.T.Helper()
	for _, key := range keys {
		h.Eventually(func() error {
			if _, err := harness.Get(h.Harness, key); err != nil {
				return err
			}
			if reason, ready := readyOf(key.Status.Conditions); !ready || key.Status.Revision != revision {
				return fmt.Errorf("key %s: got Ready %v for reason %s at revision %d, want revision %d", key.Name, ready, reason, key.Status.Revision, revision)
			}
			return h.secretHoldsCurrent(key)
		}).Should(gomega.Succeed(), func() string { return h.log.tail(`"` + key.Name + `"`) })
	}
}

// secretHoldsCurrent returns an error if the Secret of a key does not hold the current token.
func (h *fixture) secretHoldsCurrent(key *v1alpha1.JWTRefreshKey) error {
	held, err := h.tokenIn(key.Namespace, key.Status.SecretName)
	if err == nil && token.Hash(held) != key.Status.TokenHash {
		err = fmt.Errorf("key %s: the Secret does not hold the token of revision %d", key.Name, key.Status.Revision)
	}
	return err
}

func (h *fixture) tokenIn(namespace, name string) (string, error) {
	secret, err := harness.Get(h.Harness, secretNamed(namespace, name))
	return string(secret.Data[v1alpha1.SecretToken]), err
}

// ringsOf returns the signing keys of an issuer.
func (h *fixture) ringsOf(issuer string) (*keyring.Rings, error) {
	secret, err := harness.Get(h.Harness, signingKeysSecret(issuer))
	if err != nil {
		return nil, err
	}
	return keyring.Decode(secret.Data)
}

func (h *fixture) hasSigningKey(issuer, kid string) error {
	rings, err := h.ringsOf(issuer)
	if err != nil {
		return err
	}
	if _, there := rings.Lookup(keyring.Refresh, kid); !there {
		return fmt.Errorf("signing key %s is not in the refresh ring", kid)
	}
	return nil
}

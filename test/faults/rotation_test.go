package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// TestKeysRotateByTheClock walks the clock through several lives of signing keys. Each goes
// from Pending to Active to Retiring and then goes; status shows what the Secret holds; and
// what was signed is accepted as long as it lives.
func TestKeysRotateByTheClock(t *testing.T) {
	const (
		step  = 10 * time.Minute
		steps = 36
	)
	h := newHouse(t, hourlyKeys, lasting(2*time.Hour))
	key, _ := h.issued("orders", lifetime(2*time.Hour), renewBefore(time.Hour))
	lives := lives{}
	for range steps {
		h.pass(step, key)
		h.Eventually(func() error { return h.atRest(key) }, patience, pollEvery).Should(gomega.Succeed(), func() string { return h.log.tail(h.name) })
		rings := h.keysOnRecord(h.name)
		if err := lives.follow(rings); err != nil {
			t.Error(err)
		}
		for _, use := range []keyring.Use{keyring.Refresh, keyring.Access} {
			h.Expect(show(rings, use)).To(gomega.HavePrefix("Active Pending"))
		}
		list := roll{}
		list.enter(key)
		if err := list.call(h.scene, h.name, h.name); err != nil {
			t.Error(err)
		}
	}
	ended := 0
	for _, state := range lives {
		if state == gone {
			ended++
		}
	}
	t.Logf("%d keys seen, %d of them lived to their end, and %d revisions", len(lives), ended, key.Status.Revision)
	h.Expect(ended).To(gomega.BeNumerically(">=", 2))
	h.Expect(key.Status.Revision).To(gomega.BeNumerically(">=", 5))
}

// lives are the states in which keys were last seen, by kid.
type lives map[string]keyring.State

// gone is the state of a key that is no longer in a ring.
const gone keyring.State = "gone"

// follow takes down the next states of all keys, and returns an error for a step that no
// key may take. Only the first keys of a ring sign at once.
func (l lives) follow(rings *keyring.Rings) error {
	now := map[string]keyring.State{}
	for _, key := range rings.Keys() {
		now[key.ID] = key.State
	}
	first := len(l) == 0
	for kid := range l {
		if _, there := now[kid]; !there {
			now[kid] = gone
		}
	}
	for kid, state := range now {
		before, known := l[kid]
		allowed := state == before || state == next[before] || (first && !known)
		if !allowed {
			return fmt.Errorf("key %s was %q and is %q", kid, before, state)
		}
		l[kid] = state
	}
	return nil
}

// next is the state that follows on each; the empty one is that of a key not made yet.
var next = map[keyring.State]keyring.State{
	"": keyring.Pending, keyring.Pending: keyring.Active, keyring.Active: keyring.Retiring, keyring.Retiring: gone,
}

// atRest: nothing is due for the issuer or for the key, which is read anew.
func (h *house) atRest(key *v1alpha1.JWTRefreshKey) error {
	if err := h.settledKeys(); err != nil {
		return err
	}
	now := h.clock.Now()
	if _, err := get(h.scene, key); err != nil {
		return err
	}
	if due := key.Status.RenewalTime; due == nil || !due.After(now) {
		return fmt.Errorf("a renewal is due since %s", due)
	}
	for _, earlier := range key.Status.Previous {
		if !earlier.ExpiresAt.After(now) {
			return fmt.Errorf("revision %d is to be retired", earlier.Revision)
		}
	}
	return h.secretHoldsCurrent(key)
}

// TestARetiringKeyWaitsForLivingTokens: a policy that was tightened after a token was issued
// must not take the key away that the token needs.
func TestARetiringKeyWaitsForLivingTokens(t *testing.T) {
	h := newHouse(t, hourlyKeys, lasting(100*time.Hour))
	key, held := h.issued("orders", lifetime(48*time.Hour), never)
	kid := key.Status.KeyID

	edit(h.scene, h.theIssuer(), lasting(2*time.Hour))
	h.keyBecomes(key, v1alpha1.ReasonPolicyDenied)
	h.refuses(held)
	h.pass(61 * time.Minute)
	h.Eventually(func() string { return h.stateOf(kid) }, patience, pollEvery).Should(gomega.Equal("Retiring"))
	for range 4 {
		// After the two hours that the policy allows now, and long after.
		h.pass(3 * time.Hour)
		h.Eventually(h.settledKeys, patience, pollEvery).Should(gomega.Succeed())
		h.Expect(h.stateOf(kid)).To(gomega.Equal("Retiring"), "the token lives still")
	}
	edit(h.scene, h.theIssuer(), lasting(100*time.Hour))
	h.keyBecomes(key, v1alpha1.ReasonIssued)
	h.accepts(held, registry.Current)

	h.pass(48 * time.Hour)
	h.Eventually(func() string { return h.stateOf(kid) }, patience, pollEvery).Should(gomega.Equal("gone"), "the token is over")
	h.refuses(held)
}

// settledKeys: no change of the signing keys is due, and status shows them.
func (h *house) settledKeys() error {
	rings, err := h.ringsOf(h.name)
	if err != nil {
		return err
	}
	now := h.clock.Now()
	if due := rings.NextChange(keyring.Schedule{Algorithm: keyring.ES256, RotateAfter: time.Hour, Prepublish: time.Minute}, now); !due.After(now) {
		return fmt.Errorf("a change of the signing keys is due since %s", due)
	}
	issuer, err := get(h.scene, h.theIssuer())
	if err != nil {
		return err
	}
	return keysOnRecord(issuer, rings)
}

// stateOf is the state of a key of the refresh ring.
func (h *house) stateOf(kid string) string {
	rings, err := h.ringsOf(h.name)
	if err != nil {
		return err.Error()
	}
	if key, there := rings.Lookup(keyring.Refresh, kid); there {
		return string(key.State)
	}
	return string(gone)
}

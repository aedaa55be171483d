package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// TestKeysRotateByTheClock advances the clock through several lifetimes of signing keys. Each key changes
// from Pending to Active to Retiring and is then removed. The status matches the Secret. Every token is
// accepted until it expires.
func TestKeysRotateByTheClock(t *testing.T) {
	const (
		step  = 10 * time.Minute
		steps = 36
	)
	h := newIssuerHarness(t, hourlyKeys, maxLifetime(2*time.Hour))
	key, _ := h.issueKey("orders", lifetime(2*time.Hour), renewBefore(time.Hour))
	states := signingKeyStates{}
	for range steps {
		h.advance(step, key)
		h.Eventually(func() error { return h.nothingDue(key) }, waitTimeout, pollEvery).Should(gomega.Succeed(), func() string { return h.log.tail(h.name) })
		rings := h.awaitKeysInStatus(h.name)
		if err := states.record(rings); err != nil {
			t.Error(err)
		}
		for _, use := range []keyring.Use{keyring.Refresh, keyring.Access} {
			h.Expect(keyStates(rings, use)).To(gomega.HavePrefix("Active Pending"))
		}
		list := acceptList{}
		list.add(key)
		if err := list.verify(h.harness, h.name, h.name); err != nil {
			t.Error(err)
		}
	}
	ended := 0
	for _, state := range states {
		if state == gone {
			ended++
		}
	}
	t.Logf("%d signing keys, %d of them removed, %d revisions", len(states), ended, key.Status.Revision)
	h.Expect(ended).To(gomega.BeNumerically(">=", 2))
	h.Expect(key.Status.Revision).To(gomega.BeNumerically(">=", 5))
}

// signingKeyStates holds the last seen state of each signing key, by kid.
type signingKeyStates map[string]keyring.State

// gone is the state of a signing key that is no longer in a ring.
const gone keyring.State = "gone"

// record stores the next states of all signing keys, and returns an error for a transition that is not
// allowed. Only the first keys of a ring are Active at once.
func (l signingKeyStates) record(rings *keyring.Rings) error {
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
		allowed := state == before || state == nextState[before] || (first && !known)
		if !allowed {
			return fmt.Errorf("signing key %s changed from %q to %q", kid, before, state)
		}
		l[kid] = state
	}
	return nil
}

// nextState maps each state to the one that follows. The empty state is that of a key that does not exist
// yet.
var nextState = map[keyring.State]keyring.State{
	"": keyring.Pending, keyring.Pending: keyring.Active, keyring.Active: keyring.Retiring, keyring.Retiring: gone,
}

// nothingDue reads the key and returns nil if nothing is due for it or for the issuer.
func (h *issuerHarness) nothingDue(key *v1alpha1.JWTRefreshKey) error {
	if err := h.signingKeysSettled(); err != nil {
		return err
	}
	now := h.clock.Now()
	if _, err := get(h.harness, key); err != nil {
		return err
	}
	if due := key.Status.RenewalTime; due == nil || !due.After(now) {
		return fmt.Errorf("a renewal has been due since %s", due)
	}
	for _, earlier := range key.Status.Previous {
		if !earlier.ExpiresAt.After(now) {
			return fmt.Errorf("revision %d is not retired yet", earlier.Revision)
		}
	}
	return h.secretHoldsCurrent(key)
}

// TestARetiringKeyWaitsForLivingTokens checks that a policy that is tightened after a token was issued does
// not remove the signing key of that token.
func TestARetiringKeyWaitsForLivingTokens(t *testing.T) {
	h := newIssuerHarness(t, hourlyKeys, maxLifetime(100*time.Hour))
	key, held := h.issueKey("orders", lifetime(48*time.Hour), never)
	kid := key.Status.KeyID

	edit(h.harness, h.issuerRef(), maxLifetime(2*time.Hour))
	h.awaitKeyReason(key, v1alpha1.ReasonPolicyDenied)
	h.expectRefused(held)
	h.advance(61 * time.Minute)
	h.Eventually(func() string { return h.stateOf(kid) }, waitTimeout, pollEvery).Should(gomega.Equal("Retiring"))
	for range 4 {
		// This is past the two hours that the policy now allows.
		h.advance(3 * time.Hour)
		h.Eventually(h.signingKeysSettled, waitTimeout, pollEvery).Should(gomega.Succeed())
		h.Expect(h.stateOf(kid)).To(gomega.Equal("Retiring"), "the token has not expired yet")
	}
	edit(h.harness, h.issuerRef(), maxLifetime(100*time.Hour))
	h.awaitKeyReason(key, v1alpha1.ReasonIssued)
	h.expectAccepted(held, lifecycle.StandingCurrent)

	h.advance(48 * time.Hour)
	h.Eventually(func() string { return h.stateOf(kid) }, waitTimeout, pollEvery).Should(gomega.Equal("gone"), "the token has expired")
	h.expectRefused(held)
}

// signingKeysSettled returns nil if no change of the signing keys is due and status lists them.
func (h *issuerHarness) signingKeysSettled() error {
	rings, err := h.ringsOf(h.name)
	if err != nil {
		return err
	}
	now := h.clock.Now()
	if due := rings.NextChange(keyring.Schedule{Algorithm: keyring.ES256, RotateAfter: time.Hour, Prepublish: time.Minute}, now); !due.After(now) {
		return fmt.Errorf("a change of the signing keys has been due since %s", due)
	}
	issuer, err := get(h.harness, h.issuerRef())
	if err != nil {
		return err
	}
	return keysInStatus(issuer, rings)
}

// stateOf returns the state of a signing key for refresh tokens.
func (h *issuerHarness) stateOf(kid string) string {
	rings, err := h.ringsOf(h.name)
	if err != nil {
		return err.Error()
	}
	if key, there := rings.Lookup(keyring.Refresh, kid); there {
		return string(key.State)
	}
	return string(gone)
}

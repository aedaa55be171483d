package identity

import (
	"fmt"
	"testing"
)

// TestANetworkAtItsLimitLeavesItsSite checks that the attempts of a /64 beyond its limit do not count against its /48, so that they lock no other /64
// of it out, and that the limit of the /48 holds over many networks.
func TestANetworkAtItsLimitLeavesItsSite(t *testing.T) {
	attempts, err := NewAddressAttempts()
	if err != nil {
		t.Fatal(err)
	}
	allowed := 0
	for range 2 * triesOfSite {
		if attempts.Allow("2001:db8:0:1::1", noon) {
			allowed++
		}
	}
	if allowed != triesOfAddress {
		t.Errorf("a /64 has %d attempts, want %d", allowed, triesOfAddress)
	}
	if !attempts.Left("2001:db8:0:2::1", noon) || !attempts.Allow("2001:db8:0:2::1", noon) {
		t.Error("a /64 at its limit locks another /64 of its /48 out")
	}
	allowed++
	for network := range 2 * triesOfSite {
		if attempts.Allow(fmt.Sprintf("2001:db8:0:%x::1", network+3), noon) {
			allowed++
		}
	}
	if allowed != triesOfSite {
		t.Errorf("a /48 has %d attempts, want %d", allowed, triesOfSite)
	}
	if attempts.Left("2001:db8:0:ffff::1", noon) || !attempts.Left("2001:db8:1::1", noon) {
		t.Error("the limit of a /48 is not that of this /48 alone")
	}
}

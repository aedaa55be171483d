package identity

import (
	"net/netip"
	"time"
)

// triesOfAddress and triesOfSite are the bursts of attempts; againForAddress and againForSite are the times after which one more attempt is
// allowed. A site is a /48 of IPv6, which one customer of a provider can have.
const (
	triesOfAddress, triesOfSite   = 20, 100
	againForAddress, againForSite = 3 * time.Second, 600 * time.Millisecond
)

// AddressAttempts limits how often an address may try: for IPv4 the address itself; for IPv6 its /64, of which one host can use all
// addresses, and its /48.
type AddressAttempts struct{ ofNetwork, ofSite *Attempts }

// NewAddressAttempts returns an AddressAttempts.
func NewAddressAttempts() (*AddressAttempts, error) {
	ofNetwork, err := NewAttempts(triesOfAddress, againForAddress)
	if err != nil {
		return nil, err
	}
	ofSite, err := NewAttempts(triesOfSite, againForSite)
	return &AddressAttempts{ofNetwork: ofNetwork, ofSite: ofSite}, err
}

// Allow reports whether the address may try now, and counts the attempt. An attempt that the network refuses does not count for its site, so that no
// network locks its neighbours out.
func (a *AddressAttempts) Allow(address string, now time.Time) bool {
	if !a.ofNetwork.Allow(network(address, networkBits), now) {
		return false
	}
	site := network(address, siteBits)
	return site == address || a.ofSite.Allow(site, now)
}

// Left reports whether the address may try now, and counts nothing.
func (a *AddressAttempts) Left(address string, now time.Time) bool {
	if site := network(address, siteBits); site != address && !a.ofSite.Left(site, now) {
		return false
	}
	return a.ofNetwork.Left(network(address, networkBits), now)
}

// networkBits and siteBits are the lengths of the prefixes of IPv6 that attempts are counted for.
const networkBits, siteBits = 64, 48

// Network returns the network that attempts are counted for: the address itself for IPv4, and its /64 for IPv6, since one host can use all
// addresses of a /64.
func Network(address string) string { return network(address, networkBits) }

// network returns the prefix of an IPv6 address, and any other address as it is.
func network(address string, bits int) string {
	at, err := netip.ParseAddr(address)
	if err != nil || at.Unmap().Is4() {
		return address
	}
	prefix, err := at.WithZone("").Prefix(bits)
	if err != nil {
		return address
	}
	return prefix.String()
}

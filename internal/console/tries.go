package console

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/memo"
)

const (
	// triesOfAddress and triesOfAll bound the tries to sign in a second, of one address and of all. One address alone cannot use up the
	// tries of all.
	triesOfAddress = 10
	triesOfAll     = 50
	// mostAddresses is how many addresses are remembered, and rememberAddress for how long: in less, an address gets all its tries back.
	mostAddresses   = 10_000
	rememberAddress = time.Minute
	// sharedBits is the length of the prefix that one client has of IPv6.
	sharedBits = 64
)

// tries bounds the tries to sign in.
type tries struct {
	clock clock.PassiveClock
	all   *rate.Limiter

	mu   sync.Mutex
	each *memo.Memo[netip.Prefix, *rate.Limiter]
}

func newTries(clock clock.PassiveClock) *tries {
	return &tries{
		clock: clock, all: rate.NewLimiter(triesOfAll, triesOfAll), each: memo.New[netip.Prefix, *rate.Limiter](mostAddresses, clock),
	}
}

// take uses up a try of the address of a request: an error if it has none left, or if all together have none.
func (t *tries) take(r *http.Request) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, from := t.clock.Now(), clientOf(r.RemoteAddr)
	own, known := t.each.Get(from)
	if !known {
		own = rate.NewLimiter(triesOfAddress, triesOfAddress)
	}
	t.each.Put(from, own, now.Add(rememberAddress))
	// The own tries first: those above them use up none of the others.
	if !own.AllowN(now, 1) || !t.all.AllowN(now, 1) {
		return fail(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "too many people sign in at this moment; try again in a second")
	}
	return nil
}

// clientOf returns the addresses that one client has, by an address with a port. All addresses that cannot be read are one client.
func clientOf(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	address := at.Addr().Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = sharedBits
	}
	client, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return client
}

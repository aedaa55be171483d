package console

import (
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/identity"
)

// triesOfAddress and triesOfAll bound the tries to sign in a second, of one address and of all. One address alone cannot use up the tries of
// all.
const (
	triesOfAddress = 10
	triesOfAll     = 50
)

// tries bounds the tries to sign in.
type tries struct {
	clock clock.PassiveClock
	each  *identity.Attempts
	all   *rate.Limiter
}

func newTries(clock clock.PassiveClock) (*tries, error) {
	each, err := identity.NewAttempts(triesOfAddress, time.Second/triesOfAddress)
	return &tries{clock: clock, each: each, all: rate.NewLimiter(triesOfAll, triesOfAll)}, err
}

// take uses up a try of the address of a request: an error if it has none left, or if all together have none.
func (t *tries) take(r *http.Request) error {
	now := t.clock.Now()
	// The own tries first: those above them use up none of the others.
	if !t.each.Allow(clientOf(r.RemoteAddr), now) || !t.all.AllowN(now, 1) {
		return fail(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "too many people sign in at this moment; try again in a second")
	}
	return nil
}

// clientOf returns the name of the network of a client, by an address with a port. All addresses that cannot be read are one client.
func clientOf(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	return identity.Network(at.Addr().Unmap().String())
}

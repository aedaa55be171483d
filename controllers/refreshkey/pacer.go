package refreshkey

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// pacer limits the rate of changes that one event causes for many keys. The withdrawal of a signing key must not send
// ten thousand writes to the API server at once.
type pacer struct {
	clock   clock.PassiveClock
	limiter *rate.Limiter

	mu    sync.Mutex
	turns map[types.NamespacedName]time.Time
}

func newPacer(clock clock.PassiveClock, perSecond float64) *pacer {
	return &pacer{
		clock: clock, limiter: rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond))), turns: map[types.NamespacedName]time.Time{},
	}
}

// turn returns how long a key has to wait; 0 if it is its turn, which the call consumes.
func (p *pacer) turn(key types.NamespacedName) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	at, waiting := p.turns[key]
	if !waiting {
		at = now.Add(p.limiter.ReserveN(now, 1).DelayFrom(now))
	}
	if wait := at.Sub(now); wait > 0 {
		p.turns[key] = at
		return wait
	}
	delete(p.turns, key)
	return 0
}

// forget removes the turn of a key that does not need it.
func (p *pacer) forget(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.turns, key)
}

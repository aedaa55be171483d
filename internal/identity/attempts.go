package identity

import (
	"crypto/sha256"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// rememberedTries is the maximum number of names with counted attempts.
const rememberedTries = 1 << 14

// Attempts limits how often a name may try.
type Attempts struct {
	burst int
	again rate.Limit
	known *lru.Cache[[sha256.Size]byte, *rate.Limiter]
	mu    sync.Mutex
}

// NewAttempts returns an Attempts that allows each name a burst of attempts, and one more after each period of
// again.
func NewAttempts(burst int, again time.Duration) (*Attempts, error) {
	known, err := lru.New[[sha256.Size]byte, *rate.Limiter](rememberedTries)
	return &Attempts{burst: burst, again: rate.Every(again), known: known}, err
}

// Allow reports whether the name may try now, and counts the attempt.
func (a *Attempts) Allow(who string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	name := sha256.Sum256([]byte(who))
	limiter, ok := a.known.Get(name)
	if !ok {
		limiter = rate.NewLimiter(a.again, a.burst)
		a.known.Add(name, limiter)
	}
	return limiter.AllowN(now, 1)
}

// Left reports whether the name may try now, and counts nothing.
func (a *Attempts) Left(who string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	limiter, ok := a.known.Get(sha256.Sum256([]byte(who)))
	return !ok || limiter.TokensAt(now) >= 1
}

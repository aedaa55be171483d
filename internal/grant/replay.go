package grant

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// rememberedProofs is how many proofs a replica remembers: with nonces of 30 s enough for 4,369
// exchanges with a proof a second, which is more than a core verifies, in 20 MB at the most. To
// forget one early would be to accept it twice, so beyond that no proof is accepted for now.
const rememberedProofs = 1 << 17

var errReplayed = errors.New("the proof was used before")

// proofID is a proof by its key and its jti.
type proofID [sha256.Size]byte

// identify: the thumbprint is always 43 characters, so that no other pair gives the same.
func identifyProof(thumbprint, jti string) proofID {
	return sha256.Sum256([]byte(thumbprint + " " + jti))
}

// replays remembers the proofs that were used at this replica, each until its nonce is over:
// after that the nonce refuses it (RFC 9449 §11.1). Other replicas do not know of them.
type replays struct {
	clock clock.PassiveClock
	most  int

	mu   sync.Mutex
	seen map[proofID]struct{}
	// ending are those of seen by the second in which they are over, and swept the last that was
	// cleared away.
	ending map[int64][]proofID
	swept  int64
}

func newReplays(clock clock.PassiveClock, most int) *replays {
	return &replays{clock: clock, most: most, seen: map[proofID]struct{}{}, ending: map[int64][]proofID{}}
}

// use remembers a proof; errReplayed where it is known, and registry.ErrUnavailable where there
// is no room.
func (r *replays) use(id proofID, until time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(r.clock.Now().Unix())
	if _, known := r.seen[id]; known {
		return errReplayed
	}
	if len(r.seen) >= r.most {
		return fmt.Errorf("%w: too many DPoP proofs are in use", registry.ErrUnavailable)
	}
	r.seen[id] = struct{}{}
	r.ending[until.Unix()] = append(r.ending[until.Unix()], id)
	return nil
}

// sweep forgets what is over. It looks at most once a second.
func (r *replays) sweep(now int64) {
	if now == r.swept {
		return
	}
	r.swept = now
	for second, ids := range r.ending {
		// A proof that ends within this second is good for some of it.
		if second >= now {
			continue
		}
		for _, id := range ids {
			delete(r.seen, id)
		}
		delete(r.ending, second)
	}
}

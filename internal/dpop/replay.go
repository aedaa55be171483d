package dpop

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// rememberedProofs is the maximum number of proofs that a replica stores. With nonces of 30 s it allows 4,369
// exchanges with a proof a second, more than a core verifies, in at most 20 MB. Forgetting a proof early would
// accept it twice, so a full memory refuses new proofs.
const rememberedProofs = 1 << 17

var errReplayed = errors.New("the proof was used before")

// proofID identifies a proof by its key and its jti.
type proofID [sha256.Size]byte

// identifyProof returns the proofID. A thumbprint always has 43 characters, so no two pairs collide.
func identifyProof(thumbprint, jti string) proofID {
	return sha256.Sum256([]byte(thumbprint + " " + jti))
}

// replays stores the proofs that were used at this replica, each until its nonce ends; then the nonce refuses it
// (RFC 9449 §11.1). Replicas do not share them.
type replays struct {
	clock clock.PassiveClock
	most  int

	mu   sync.Mutex
	seen map[proofID]struct{}
	// ending lists the proofs of seen by the second in which they end, and swept is the second of the last sweep.
	ending map[int64][]proofID
	swept  int64
}

func newReplays(clock clock.PassiveClock, most int) *replays {
	return &replays{clock: clock, most: most, seen: map[proofID]struct{}{}, ending: map[int64][]proofID{}}
}

// use stores a proof. It returns errReplayed if the proof is known, and upstream.ErrUnavailable if the memory is
// full.
func (r *replays) use(id proofID, until time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(r.clock.Now().Unix())
	if _, known := r.seen[id]; known {
		return errReplayed
	}
	if len(r.seen) >= r.most {
		return upstream.Unavailable("too many DPoP proofs are in use")
	}
	r.seen[id] = struct{}{}
	r.ending[until.Unix()] = append(r.ending[until.Unix()], id)
	return nil
}

// sweep removes the proofs with a nonce that has ended, at most once a second.
func (r *replays) sweep(now int64) {
	if now == r.swept {
		return
	}
	r.swept = now
	for second, ids := range r.ending {
		// A proof that ends within this second is still valid for a part of it.
		if second >= now {
			continue
		}
		for _, id := range ids {
			delete(r.seen, id)
		}
		delete(r.ending, second)
	}
}

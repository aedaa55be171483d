package dpop

import (
	"errors"
	"strconv"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// TestReplays checks that a proof, identified by its client key and jti, is known until its nonce ends.
func TestReplays(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(t0)
	r := newReplays(clock, 10)
	end := t0.Add(nonceFor)
	for _, c := range []struct {
		name            string
		after           time.Duration
		thumbprint, jti string
		want            error
	}{
		{"first", 0, "key", "1", nil},
		{"again", 0, "key", "1", errReplayed},
		{"another of the key's", 0, "key", "2", nil},
		{"another key's of the same jti", 0, "other", "1", nil},
		{"again, in the last second of its nonce", nonceFor, "key", "1", errReplayed},
		{"once its nonce is over", nonceFor + time.Second, "key", "1", nil},
	} {
		clock.SetTime(t0.Add(c.after))
		if err := r.use(identifyProof(c.thumbprint, c.jti), end.Add(c.after)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestReplaysAreBounded checks that a full memory refuses new proofs, forgets none early, and accepts proofs again
// after the nonces have ended.
func TestReplaysAreBounded(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(t0)
	const most = 100
	r := newReplays(clock, most)
	id := func(i int) proofID { return identifyProof("key", strconv.Itoa(i)) }
	for i := range most {
		if err := r.use(id(i), t0.Add(nonceFor)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.use(id(most), t0.Add(nonceFor)); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("beyond the bound: %v", err)
	}
	for i := range most {
		if err := r.use(id(i), t0.Add(nonceFor)); !errors.Is(err, errReplayed) {
			t.Fatalf("%d was forgotten: %v", i, err)
		}
	}
	clock.SetTime(t0.Add(nonceFor + time.Second))
	if err := r.use(id(most), t0.Add(2*nonceFor)); err != nil {
		t.Errorf("after the nonces are over: %v", err)
	}
	if len(r.seen) != 1 || len(r.ending) != 1 {
		t.Errorf("%d proofs in %d seconds are kept, want the one that is still valid", len(r.seen), len(r.ending))
	}
}

// TestReplaysAtOnce checks that only one of many concurrent uses of a proof is accepted.
func TestReplaysAtOnce(t *testing.T) {
	r := newReplays(clocktesting.NewFakePassiveClock(t0), rememberedProofs)
	results := make(chan error)
	for range 64 {
		go func() { results <- r.use(identifyProof("key", "1"), t0.Add(nonceFor)) }()
	}
	won := 0
	for range 64 {
		if err := <-results; err == nil {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d uses of one proof were accepted", won)
	}
}

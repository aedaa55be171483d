package main

import (
	"context"
	"fmt"
	"time"
)

// cachedPerKey is the limit for the live heap of one key in the token service, in bytes.
const cachedPerKey = 3 << 10

// measureServiceMemory compares a replica with many keys to one with none.
func measureServiceMemory(ctx context.Context, s *service, r *report) error {
	if missing := s.settings.serviceMemoryKeys - s.made; missing > 0 {
		if _, err := s.issue(ctx, batch{name: "cached", keys: missing}, asTheyCome); err != nil {
			return err
		}
	}
	if err := s.start(ctx, 1); err != nil {
		return err
	}
	heap, err := s.liveHeap(ctx)
	if err != nil {
		return err
	}
	peak, err := residentPeak(s.replicas[0].Pid())
	if err != nil {
		return err
	}
	perKey := (heap - s.emptyHeap) / float64(s.made)
	r.add(&figure{
		what: fmt.Sprintf("live heap per key of a token service replica, %d keys", s.made), measured: kib(perKey), limit: kib(cachedPerKey),
		ratio: fmt.Sprintf("%.2f", perKey/cachedPerKey), target: "at most " + kib(cachedPerKey), met: perKey <= cachedPerKey,
		note: fmt.Sprintf("%s with the keys, %s without any; most resident memory of that process: %s", mib(heap), mib(s.emptyHeap), mib(peak)),
	})
	return s.stop(ctx)
}

// liveHeap returns what the last garbage collection of the first replica marked; see liveHeap of
// the manager.
func (s *service) liveHeap(ctx context.Context) (float64, error) {
	const pauseBetween = 5 * time.Millisecond
	return s.metrics.liveHeap(ctx, pauseBetween)
}

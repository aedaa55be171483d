package main

import (
	"context"
	"fmt"
	"time"
)

// heapPerKey is the limit for the live heap of one key at rest, in bytes.
const heapPerKey = 6 << 10

// scrapeEvery is the interval of scrapes while a garbage collection is awaited.
const scrapeEvery = 20 * time.Millisecond

// measureMemory compares a manager with many keys at rest to one with none. Both have just
// started, so that they hold only their caches.
func measureMemory(ctx context.Context, l *lab, r *report) error {
	if err := l.fill(ctx, l.settings.memoryKeys); err != nil {
		return err
	}
	keys := l.keysAtRest()
	if err := l.restartManager(ctx); err != nil {
		return err
	}
	if err := l.awaitRest(ctx, keys, time.Second); err != nil {
		return err
	}
	heap, err := l.metrics.liveHeap(ctx, scrapeEvery)
	if err != nil {
		return err
	}
	peak, err := residentPeak(l.manager.Pid())
	if err != nil {
		return err
	}
	perKey := (heap - l.emptyHeap) / float64(keys)
	r.add(&figure{
		what: fmt.Sprintf("live heap per key, %d keys at rest", keys), measured: kib(perKey), limit: kib(heapPerKey),
		ratio: fmt.Sprintf("%.2f", perKey/heapPerKey), target: "at most " + kib(heapPerKey), met: perKey <= heapPerKey,
		note: fmt.Sprintf("%s with the keys, %s without any; most resident memory of that process: %s", mib(heap), mib(l.emptyHeap), mib(peak)),
	})
	return nil
}

// measureEmptyHeap measures at the beginning, with an issuer and no key.
func (l *lab) measureEmptyHeap(ctx context.Context) (err error) {
	if err := l.restartManager(ctx); err != nil {
		return err
	}
	if err := l.awaitRest(ctx, 0, time.Second); err != nil {
		return err
	}
	l.emptyHeap, err = l.metrics.liveHeap(ctx, scrapeEvery)
	return err
}

// liveHeap returns what the last garbage collection marked. It waits for two more full collections:
// the first may have begun earlier, and the second frees what finalizers held. The
// garbage of the scrapes triggers the collections.
func (s *scraper) liveHeap(ctx context.Context, every time.Duration) (float64, error) {
	const enough = 2
	from := -1.0
	for {
		seen, err := s.read(ctx)
		if err != nil {
			return 0, err
		}
		cycles := seen.sum("go_gc_cycles_total_gc_cycles_total")
		if from < 0 {
			from = cycles
		}
		if cycles > from+enough {
			return seen.sum("go_gc_heap_live_bytes"), nil
		}
		if err := pause(ctx, every); err != nil {
			return 0, err
		}
	}
}

func kib(bytes float64) string { return fmt.Sprintf("%.2f KiB", bytes/1024) }
func mib(bytes float64) string { return fmt.Sprintf("%.1f MiB", bytes/(1<<20)) }

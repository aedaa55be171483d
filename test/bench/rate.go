package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	// rateAtLeast is the required share of the floor's rate.
	rateAtLeast = 0.65
	// answeredWithin is the limit for the p99 of exchanges at half the highest rate.
	answeredWithin = 10 * time.Millisecond
	rateTurns      = 3
	// latencyClients is more than the number of concurrent requests.
	latencyClients = 64
	latencyWindows = 21
	latencyWindow  = time.Second
)

// measureExchangeRate compares the rates of exchanges on one core, and measures the
// latency at half the rate.
func measureExchangeRate(ctx context.Context, s *service, r *report) error {
	keys, err := s.exchangedKeys(ctx)
	if err != nil {
		return err
	}
	return s.onOneCore(ctx, s.recordExchange, func(pair *pair) error { return s.compareRate(ctx, pair, keys, r) })
}

func (s *service) compareRate(ctx context.Context, pair *pair, keys []issuedKey, r *report) error {
	seen := requestsOf(keys)
	if err := send(ctx, pair.service.address, 0, int64(len(keys)), cycle(seen[kindService])); err != nil {
		return err
	}
	var rates, busy [2]float64
	for range rateTurns {
		for i, server := range []*served{pair.floor, pair.service} {
			rate, share, err := server.saturate(ctx, s.settings.rateFor, cycle(seen[server.kind]))
			if err != nil {
				return err
			}
			rates[i], busy[i] = rates[i]+rate/rateTurns, busy[i]+share/rateTurns
		}
	}
	ratio := rates[1] / rates[0]
	r.add(&figure{
		what: fmt.Sprintf("exchanges a second on one core, %d keys", len(keys)), measured: fmt.Sprintf("%.0f/s", rates[1]),
		limit: fmt.Sprintf("%.0f/s", rates[0]), ratio: fmt.Sprintf("%.2f", ratio), target: fmt.Sprintf("at least %.2f", rateAtLeast), met: ratio >= rateAtLeast,
		note: fmt.Sprintf("%d turns of %s each over %d connections; the service used %.0f%% of the core, the reference server %.0f%%: for each second of processor time %.0f exchanges against %.0f (%.2f)",
			rateTurns, s.settings.rateFor, connections, 100*busy[1], 100*busy[0], rates[1]/busy[1], rates[0]/busy[0], ratio*busy[0]/busy[1]),
	})
	return measureLatency(ctx, pair, rates[1]/2, cycle(seen[kindService]), r)
}

// measureLatency measures the latency of exchanges at a rate, and of requests to the floor at the
// same rate, in turns. A shared machine sometimes stalls for some milliseconds,
// and stalls during 1 % of the time determine the p99. The result is therefore the p99 of
// the median window, and the p99 of all windows together is reported in the note.
func measureLatency(ctx context.Context, pair *pair, rate float64, of requests, r *report) error {
	// Garbage collections of the client would count as the server's time.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	floor, err := dialAll(ctx, pair.floor.address, latencyClients)
	if err != nil {
		return err
	}
	defer closeAll(floor)
	service, err := dialAll(ctx, pair.service.address, latencyClients)
	if err != nil {
		return err
	}
	defer closeAll(service)
	var bare, took latencies
	for range latencyWindows {
		runtime.GC()
		if err := errors.Join(bare.window(ctx, floor, rate, of), took.window(ctx, service, rate, of)); err != nil {
			return err
		}
	}
	p99 := took.median(0.99)
	r.add(&figure{
		what: "p99 of exchanges at half that rate", measured: milliseconds(p99), limit: milliseconds(answeredWithin),
		ratio:  fmt.Sprintf("%.2f", float64(p99)/float64(answeredWithin)),
		target: "under " + milliseconds(answeredWithin), met: p99 < answeredWithin,
		note: fmt.Sprintf("requests start at random times; latency counts from the scheduled start; the value is the median of the p99 of %d windows of %s; %s; the reference server at the same rate: %s, %s",
			latencyWindows, latencyWindow, took.describe(), milliseconds(bare.median(0.99)), bare.describe()),
	})
	return nil
}

// latencies holds the durations of requests, by window.
type latencies [][]time.Duration

func (l *latencies) window(ctx context.Context, over []*connection, rate float64, of requests) error {
	took, err := sendAt(ctx, over, rate, latencyWindow, of)
	*l = append(*l, took)
	return err
}

// median returns the median of the windows' percentiles.
func (l latencies) median(share float64) time.Duration {
	var each []time.Duration
	for _, window := range l {
		each = append(each, percentile(window, share))
	}
	return percentile(sorted(each), 0.5)
}

func (l latencies) describe() string {
	all := sorted(l...)
	return fmt.Sprintf("all %d requests: median %s, p99 %s, 99.9%% within %s",
		len(all), milliseconds(percentile(all, 0.5)), milliseconds(percentile(all, 0.99)), milliseconds(percentile(all, 0.999)))
}

// saturate returns the requests a second that a server answers, and the share of a core that it
// uses.
func (s *served) saturate(ctx context.Context, length time.Duration, of requests) (rate, busy float64, err error) {
	before, err := processorSeconds(s.pid)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	answered, err := sendFor(ctx, s.address, length, of)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", s.kind, err)
	}
	took := time.Since(began).Seconds()
	after, err := processorSeconds(s.pid)
	return float64(answered) / took, (after - before) / took, err
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f ms", 1000*d.Seconds()) }

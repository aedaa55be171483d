package main

import (
	"context"
	"fmt"
	"time"
)

const (
	restWatched = 30 * time.Second
	readyWithin = 10 * time.Second
)

// measureRestart restarts the manager with keys at rest: it has nothing to write, and should
// complete quickly.
func measureRestart(ctx context.Context, l *lab, r *report) error {
	if err := l.fill(ctx, l.settings.keys); err != nil {
		return err
	}
	if err := l.stopManager(ctx); err != nil {
		return err
	}
	before, err := l.countWrites(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := l.startManager(ctx); err != nil {
		return err
	}
	answers := time.Since(began)
	if err := l.awaitRest(ctx, l.keysAtRest(), 50*time.Millisecond); err != nil {
		return err
	}
	ready := time.Since(began)
	if err := pause(ctx, restWatched-time.Since(began)); err != nil {
		return err
	}
	after, err := l.countWrites(ctx)
	if err != nil {
		return err
	}
	cost := after.since(before)
	r.add(&figure{
		what: fmt.Sprintf("API writes of a restart with %d keys at rest", l.keysAtRest()), measured: fmt.Sprintf("%.0f", cost.secrets+cost.statuses),
		limit: "0", ratio: "", target: "0", met: cost.secrets+cost.statuses == 0,
		note: fmt.Sprintf("within %.0fs of the start; Events: %.0f", restWatched.Seconds(), cost.events),
	})
	r.add(&figure{
		what: fmt.Sprintf("ready after a restart with %d keys at rest", l.keysAtRest()), measured: fmt.Sprintf("%.1f s", ready.Seconds()),
		limit: fmt.Sprintf("%.0f s", readyWithin.Seconds()), ratio: fmt.Sprintf("%.2f", ready.Seconds()/readyWithin.Seconds()),
		target: fmt.Sprintf("within %.0f s", readyWithin.Seconds()), met: ready <= readyWithin,
		note: fmt.Sprintf("/readyz answered after %.1fs; ready is when every key was reconciled once", answers.Seconds()),
	})
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	eventsv1 "k8s.io/api/events/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// issueTurns is the number of the manager's turns, each between two of the raw client's.
const issueTurns = 2

// measureIssue compares the manager with a raw client on the same cluster, in turns, since
// the machine's speed varies over time.
func measureIssue(ctx context.Context, l *lab, r *report) error {
	t, err := l.takeTemplate(ctx)
	if err != nil {
		return err
	}
	workers, err := l.bestRawWorkers(ctx, t)
	if err != nil {
		return err
	}
	var raw, issued issueRuns
	for turn := range issueTurns + 1 {
		run, err := l.issueRaw(ctx, t, batch{name: fmt.Sprintf("raw%d", turn), keys: l.settings.keys}, workers)
		if err != nil {
			return err
		}
		raw = append(raw, run)
		if turn == issueTurns {
			break
		}
		b := batch{name: fmt.Sprintf("issued%d", turn), keys: l.settings.keys}
		if run, err = l.issueByManager(ctx, b); err != nil {
			return err
		}
		issued = append(issued, run)
		if turn+1 < issueTurns {
			// Keys at rest would be work for the manager, and none for the raw client.
			err = l.remove(ctx, b)
		} else {
			l.resting = append(l.resting, b)
		}
		if err != nil {
			return err
		}
	}
	ratio := issued.rate() / raw.rate()
	last := issued[issueTurns-1]
	r.add(&figure{
		what: fmt.Sprintf("issue %d keys", l.settings.keys), measured: fmt.Sprintf("%.0f keys/s", issued.rate()),
		limit: fmt.Sprintf("%.0f keys/s", raw.rate()), ratio: fmt.Sprintf("%.2f", ratio), target: "at least 0.80", met: ratio >= 0.8,
		note: fmt.Sprintf("runs alternate between the raw client and the manager: the raw client with %d workers: %s; the manager: %s; "+
			"from the start of the manager's process, the last run took %.1f s; %.0f Events for %d keys, the last written %.0f s after the last key was Ready",
			workers, raw.describe(l.settings.keys), issued.describe(l.settings.keys),
			last.fromStart.Seconds(), last.writes.events, l.settings.keys, max(0, last.eventsLate.Seconds())),
	})
	var secrets, statuses float64
	for _, run := range issued {
		secrets, statuses = secrets+run.writes.secrets, statuses+run.writes.statuses
	}
	keys := issueTurns * l.settings.keys
	perKey := (secrets + statuses) / float64(keys)
	r.add(&figure{
		what: "API writes per issue", measured: fmt.Sprintf("%.3f", perKey), limit: "2", ratio: fmt.Sprintf("%.3f", perKey/2), target: "2",
		met:  perKey == 2,
		note: fmt.Sprintf("%.0f of Secrets and %.0f of status for %d keys", secrets, statuses, keys),
	})
	return nil
}

// issueRuns holds the turns of one client.
type issueRuns []*issueRun

// rate returns the mean of the turns, in keys a second.
func (r issueRuns) rate() (mean float64) {
	for _, run := range r {
		mean += run.rate / float64(len(r))
	}
	return mean
}

func (r issueRuns) describe(keys int) string {
	turns := make([]string, len(r))
	for i, run := range r {
		turns[i] = fmt.Sprintf("%.0f keys/s for %s of processor time a key", run.rate, run.used.perKey(keys))
	}
	return strings.Join(turns, ", ")
}

// issueRun is the measurement of one issued batch.
type issueRun struct {
	// rate is in keys a second.
	rate float64
	used processorTime

	// The next fields are measured only for the manager.
	fromStart  time.Duration
	eventsLate time.Duration
	writes     writes
}

// bestRawWorkers returns the number of concurrent writers with the highest rate.
func (l *lab) bestRawWorkers(ctx context.Context, t *template) (int, error) {
	var best int
	var bestRate float64
	for i, workers := range []int{4, 8, 16, 32} {
		run, err := l.issueRaw(ctx, t, batch{name: fmt.Sprintf("trial%d", i), keys: max(100, l.settings.keys/10)}, workers)
		if err != nil {
			return 0, err
		}
		if run.rate > bestRate {
			best, bestRate = workers, run.rate
		}
	}
	return best, nil
}

// issueRaw runs the raw client, and then deletes what it wrote.
func (l *lab) issueRaw(ctx context.Context, t *template, b batch, workers int) (*issueRun, error) {
	if err := l.create(ctx, b); err != nil {
		return nil, err
	}
	keys, err := l.list(ctx, b)
	if err != nil {
		return nil, err
	}
	raw, err := newRawClient(l.asManager, t)
	if err != nil {
		return nil, err
	}
	stop, err := raw.watch(ctx)
	defer stop()
	if err != nil {
		return nil, err
	}
	before, err := l.processorTime(os.Getpid())
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := b.each(ctx, workers, func(ctx context.Context, i int) error { return raw.issue(ctx, &keys[i]) }); err != nil {
		return nil, err
	}
	run := &issueRun{rate: float64(b.keys) / time.Since(began).Seconds()}
	after, err := l.processorTime(os.Getpid())
	if err != nil {
		return nil, err
	}
	run.used = after.since(before)
	progress("raw client, %d workers: %.0f keys/s, processor time a key %s", workers, run.rate, run.used.perKey(b.keys))
	return run, l.remove(ctx, b)
}

// issueByManager creates keys, starts the manager and measures until all are Ready. It
// queries as little as possible: it reads the start of the first and the end of the last
// afterwards from the objects.
func (l *lab) issueByManager(ctx context.Context, b batch) (*issueRun, error) {
	if err := l.create(ctx, b); err != nil {
		return nil, err
	}
	writesBefore, err := l.countWrites(ctx)
	if err != nil {
		return nil, err
	}
	usedBefore, err := l.processorTime(l.manager.Pid())
	if err != nil {
		return nil, err
	}
	started := time.Now()
	if err := l.startManager(ctx); err != nil {
		return nil, err
	}
	if err := l.awaitRest(ctx, b.keys, time.Second); err != nil {
		return nil, err
	}
	usedAfter, err := l.processorTime(l.manager.Pid())
	if err != nil {
		return nil, err
	}
	run, err := l.readIssue(ctx, b, started)
	if err != nil {
		return nil, err
	}
	writesAfter, err := l.countWrites(ctx)
	if err != nil {
		return nil, err
	}
	run.used, run.writes = usedAfter.since(usedBefore), writesAfter.since(writesBefore)
	progress("manager: %.0f keys/s, processor time a key %s", run.rate, run.used.perKey(b.keys))
	return run, l.stopManager(ctx)
}

// readIssue computes from the keys and Events of a batch how long it took to issue them.
func (l *lab) readIssue(ctx context.Context, b batch, started time.Time) (*issueRun, error) {
	events, err := l.awaitEvents(ctx, b)
	if err != nil {
		return nil, err
	}
	keys, err := l.listIssued(ctx, b)
	if err != nil {
		return nil, err
	}
	first, last, err := span(keys, events)
	if err != nil {
		return nil, err
	}
	return &issueRun{
		rate:       float64(b.keys) / last.Sub(first).Seconds(),
		fromStart:  last.Sub(started),
		eventsLate: lastWritten(events).Sub(last),
	}, nil
}

// awaitEvents waits until no more Events arrive: they are sent behind the work, and a few
// may be dropped.
func (l *lab) awaitEvents(ctx context.Context, b batch) ([]eventsv1.Event, error) {
	for previous := -1; ; {
		events, err := l.events(ctx, b)
		if err != nil || len(events) == b.keys || len(events) == previous {
			return events, err
		}
		previous = len(events)
		if err := pause(ctx, 2*time.Second); err != nil {
			return nil, err
		}
	}
}

// span returns the time from the first token to the last write of a status. The
// first is in the jti, a UUID of version 7; the last is in the Event, which is created right
// after that write.
func span(keys []v1alpha1.JWTRefreshKey, events []eventsv1.Event) (first, last time.Time, err error) {
	for i := range keys {
		jti, err := uuid.Parse(keys[i].Status.JTI)
		if err != nil {
			return first, last, err
		}
		if minted := time.Unix(jti.Time().UnixTime()); first.IsZero() || minted.Before(first) {
			first = minted
		}
	}
	for i := range events {
		if eventTime := events[i].EventTime.Time; eventTime.After(last) {
			last = eventTime
		}
	}
	if first.IsZero() || !last.After(first) {
		return first, last, errors.New("the keys and Events do not contain the duration")
	}
	return first, last, nil
}

// lastWritten has a precision of one second.
func lastWritten(events []eventsv1.Event) time.Time {
	return slices.MaxFunc(events, func(a, b eventsv1.Event) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	}).CreationTimestamp.Time
}

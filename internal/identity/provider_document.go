package identity

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const (
	// freshFor is the age at which a document is fetched again.
	freshFor = time.Hour
	// staleFor is the age up to which a document is used while fetching fails.
	staleFor = 24 * time.Hour
	// upstreamEvery is the shortest time between the end of a fetch and the next fetch: any client can cause one
	// with a token that names an unknown signing key.
	upstreamEvery = 5 * time.Second
	// mostWaiting is the maximum number of callers that wait for one document.
	mostWaiting = 256
)

var (
	// errTooSoon is returned if the last fetch ended less than upstreamEvery ago, so that no new one may begin.
	errTooSoon = fmt.Errorf("the previous request ended less than %d s ago", upstreamEvery/time.Second)
	// errTooManyWait is returned if mostWaiting callers already wait.
	errTooManyWait = errors.New("too many logins wait for its answer")
)

// document is what a provider publishes at one URL. At most one goroutine fetches it, in the background and with
// its own timeout, for all callers. A caller waits until its context ends at the latest, and never waits for a
// newer version of a known document.
type document[T any] struct {
	clock  clock.PassiveClock
	within time.Duration
	fetch  func(context.Context) (T, error)

	mu sync.Mutex
	// last is the newest version; nil before the first.
	last *version[T]
	// flight is the current fetch; nil if there is none.
	flight *flight[T]
	// failure is the error of the last fetch, nil if it succeeded; endedAt is when that fetch ended.
	failure error
	endedAt time.Time
	waiting int
}

// version is the content of a document at one time.
type version[T any] struct {
	content T
	// askedAt is when the fetch began: the content includes everything published before.
	askedAt time.Time
}

// flight is one fetch. Its result is valid after done is closed.
type flight[T any] struct {
	done    chan struct{}
	askedAt time.Time
	result  *version[T]
	err     error
}

// newDocument returns a document that fetch reads, within the given timeout.
func newDocument[T any](clock clock.PassiveClock, within time.Duration, fetch func(context.Context) (T, error)) *document[T] {
	return &document[T]{clock: clock, within: within, fetch: fetch}
}

// latest returns the newest version, regardless of its age; false if there is none.
func (d *document[T]) latest() (content T, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		return content, false
	}
	return d.last.content, true
}

// known returns the usable version; nil if there is none. If a newer one is due, known begins to fetch it and does
// not wait for it.
func (d *document[T]) known(ctx context.Context) *version[T] {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		return nil
	}
	age := d.clock.Since(d.last.askedAt)
	if age >= freshFor && d.flight == nil && d.due() {
		d.begin(ctx)
	}
	if age >= staleFor {
		return nil
	}
	return d.last
}

// read returns the usable content, and waits for a fetch if there is none.
func (d *document[T]) read(ctx context.Context) (T, error) {
	if known := d.known(ctx); known != nil {
		return known.content, nil
	}
	fetched, err := d.newer(ctx)
	if err != nil {
		var none T
		return none, err
	}
	return fetched.content, nil
}

// newer waits for the current fetch, or for a new one. If no fetch may begin, it returns the error of the last
// fetch, or errTooSoon if that succeeded.
func (d *document[T]) newer(ctx context.Context) (*version[T], error) {
	d.mu.Lock()
	switch {
	case d.flight == nil && !d.due():
		defer d.mu.Unlock()
		if d.failure != nil {
			return nil, d.failure
		}
		return nil, errTooSoon
	case d.waiting >= mostWaiting:
		defer d.mu.Unlock()
		return nil, errTooManyWait
	case d.flight == nil:
		d.begin(ctx)
	}
	flight := d.flight
	d.waiting++
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.waiting--
		d.mu.Unlock()
	}()
	select {
	case <-flight.done:
		return flight.result, flight.err
	case <-ctx.Done():
		return nil, fmt.Errorf("it has not answered yet: %w", ctx.Err())
	}
}

// due reports whether a fetch may begin. The caller holds the lock.
func (d *document[T]) due() bool {
	return d.endedAt.IsZero() || d.clock.Since(d.endedAt) >= upstreamEvery
}

// begin starts a fetch in a goroutine. The caller holds the lock, and there is no current fetch.
func (d *document[T]) begin(ctx context.Context) {
	flight := &flight[T]{done: make(chan struct{}), askedAt: d.clock.Now()}
	d.flight = flight
	// Other callers share the fetch, so it must not end with the first caller's context.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.within)
	go func() {
		defer cancel()
		content, err := d.fetched(ctx)
		d.mu.Lock()
		defer d.mu.Unlock()
		if flight.err = err; err == nil {
			flight.result = &version[T]{content: content, askedAt: flight.askedAt}
			d.last = flight.result
		}
		d.failure, d.endedAt = err, d.clock.Now()
		// Later callers get a new fetch, never the result of one that has ended.
		d.flight = nil
		close(flight.done)
	}()
}

// fetched calls fetch and returns a panic as an error: a provider's answer must not crash the process.
func (d *document[T]) fetched(ctx context.Context) (content T, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("its answer cannot be read")
		}
	}()
	return d.fetch(ctx)
}

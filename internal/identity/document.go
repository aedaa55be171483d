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
	// freshFor is how old a document may become before a newer one is fetched.
	freshFor = time.Hour
	// staleFor is how long a document is used while no newer one can be fetched.
	staleFor = 24 * time.Hour
	// upstreamEvery is how long after the end of a fetch, good or bad, the next one may begin: a
	// stranger's token that names an unknown key causes a fetch.
	upstreamEvery = 5 * time.Second
	// mostWaiting bounds the callers that wait for one document.
	mostWaiting = 256
)

var (
	// errTooSoon says that the last fetch ended a short time ago, so that no new one may begin.
	errTooSoon = errors.New("the previous request ended less than 5 s ago")
	// errTooManyWait says that mostWaiting callers wait already.
	errTooManyWait = errors.New("too many logins wait for its answer")
)

// document is what a provider publishes at one URL. One goroutine at a time fetches it, for all
// callers and in the background, with a timeout of its own. A caller waits no longer than its
// context lasts, and does not wait for a newer version of a known document.
type document[T any] struct {
	clock  clock.PassiveClock
	within time.Duration
	fetch  func(context.Context) (T, error)

	mu sync.Mutex
	// last is the newest version; nil before the first.
	last *version[T]
	// flight is the fetch that is under way; nil while none is.
	flight *flight[T]
	// failure is why the last fetch failed, nil where it did not; endedAt is when it ended.
	failure error
	endedAt time.Time
	waiting int
}

// version is a document as it was at some time.
type version[T any] struct {
	content T
	// askedAt is when its fetch began: it holds all that was published by then.
	askedAt time.Time
}

// flight is one fetch. Its result is set once done is closed.
type flight[T any] struct {
	done    chan struct{}
	askedAt time.Time
	result  *version[T]
	err     error
}

// newDocument makes a document that fetch reads. A fetch is cancelled after the time within.
func newDocument[T any](clock clock.PassiveClock, within time.Duration, fetch func(context.Context) (T, error)) *document[T] {
	return &document[T]{clock: clock, within: within, fetch: fetch}
}

// latest returns the newest version, however old; false where there is none.
func (d *document[T]) latest() (content T, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		return content, false
	}
	return d.last.content, true
}

// known returns the version that is in use now, nil if there is none. It begins to fetch a
// newer one if that is due, and does not wait for it.
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

// read returns the content that is in use now, and waits for a fetch if there is none.
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

// newer waits for the current fetch, or for one that it begins. If none may begin, it
// returns why the last one failed, or errTooSoon if that succeeded.
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

// due tells whether a fetch may begin. The caller holds the lock.
func (d *document[T]) due() bool {
	return d.endedAt.IsZero() || d.clock.Since(d.endedAt) >= upstreamEvery
}

// begin fetches the document in a goroutine. The caller holds the lock, and no fetch is under way.
func (d *document[T]) begin(ctx context.Context) {
	flight := &flight[T]{done: make(chan struct{}), askedAt: d.clock.Now()}
	d.flight = flight
	// Other callers wait for the answer too, so the fetch does not end with the first caller.
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
		// A caller from here on gets a new fetch, and never the result of one that has ended.
		d.flight = nil
		close(flight.done)
	}()
}

// fetched calls fetch and returns a panic as an error: the answer of a provider must not end the process.
func (d *document[T]) fetched(ctx context.Context) (content T, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("its answer cannot be read")
		}
	}()
	return d.fetch(ctx)
}

package faults

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// side is the side of a write on which the manager crashes.
type side string

const (
	// before: the write does not reach the API server.
	before side = "before"
	// after: the write takes effect, and the manager gets no answer.
	after side = "after"
)

// crash is the point at which a manager stops for one owner's objects: its n-th write, counted from 1.
type crash struct {
	write int
	side  side
}

// errCrashed is the error of every request after the crash.
var errCrashed = errors.New("the manager crashed")

// wire is the connection between one manager and the API server. It records the writes. At an owner's crash
// point it cuts all requests, reads and writes, for the objects of that owner, until the next manager uses
// a new wire. So one manager can crash at many points at once, each visible to one owner only.
type wire struct {
	journal    *journal
	generation int
	// beforeWrite is called before each write is sent, so that another client can write first.
	beforeWrite func(apiCall)
	// afterWrite is called after each effective write, before the manager gets the answer.
	afterWrite func(owner string)

	mu      sync.Mutex
	crashes map[string]crash // by owner
	count   map[string]int
	// cut holds the owners whose crash has happened, including the write before it.
	cut  map[string]bool
	dead map[string]bool
}

func newWire(journal *journal, generation int) *wire {
	return &wire{journal: journal, generation: generation, crashes: map[string]crash{}, count: map[string]int{}, dead: map[string]bool{}}
}

// arm plans a crash, and starts to count writes at zero.
func (w *wire) arm(owner string, at crash) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.crashes[owner], w.count[owner] = at, 0
}

// crashed reports whether the planned crash of an owner has happened.
func (w *wire) crashed(owner string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut[owner]
}

// crash records the crash of an owner.
func (w *wire) crash(owner string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut == nil {
		w.cut = map[string]bool{}
	}
	w.cut[owner] = true
	return errCrashed
}

// nextFault returns on which side to cut a request; empty to forward it. dead reports that the manager has
// already crashed for this owner.
func (w *wire) nextFault(e apiCall) (cut side, dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead[e.owner] {
		return "", true
	}
	planned, ok := w.crashes[e.owner]
	if !ok || !e.writes() {
		return "", false
	}
	w.count[e.owner]++
	if w.count[e.owner] != planned.write {
		return "", false
	}
	w.dead[e.owner] = true
	return planned.side, false
}

// wrap returns a transport that sends through the wire, for rest.Config.Wrap.
func (w *wire) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) { return w.roundTrip(next, request) })
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func (w *wire) roundTrip(next http.RoundTripper, request *http.Request) (*http.Response, error) {
	request, body, err := withBody(request)
	if err != nil {
		return nil, err
	}
	e := apiCallOf(request, body)
	cut, dead := w.nextFault(e)
	if dead {
		return nil, errCrashed
	}
	if !e.writes() {
		return next.RoundTrip(request)
	}
	written := &entry{apiCall: e, at: time.Now(), generation: w.generation, cut: cut}
	w.recordSecret(written, body)
	defer w.journal.append(written)
	if w.beforeWrite != nil {
		w.beforeWrite(written.apiCall)
	}
	if cut == before {
		return nil, w.crash(e.owner)
	}
	response, err := next.RoundTrip(request)
	if err != nil {
		written.failure = err.Error()
		if cut == after {
			return nil, w.crash(e.owner)
		}
		return nil, err
	}
	written.answer = response.StatusCode
	if w.afterWrite != nil && written.effective() {
		w.afterWrite(e.owner)
	}
	if cut == after {
		_ = response.Body.Close()
		return nil, w.crash(e.owner)
	}
	return response, nil
}

// recordSecret records the content and the name of a Secret that is written.
func (w *wire) recordSecret(e *entry, body []byte) {
	switch secret := secretIn(body); e.kind {
	case keySecret:
		if e.name == "" {
			e.name = secret.Name
		}
		w.journal.recordSecret(e.owner, secret)
	case signingKeys:
		w.journal.recordKeys(secret)
	}
}

// withBody reads the body of a request, and returns a copy of the request that can still be sent.
func withBody(request *http.Request) (*http.Request, []byte, error) {
	if request.Body == nil || request.Method == http.MethodGet {
		return request, nil, nil
	}
	body, err := io.ReadAll(request.Body)
	_ = request.Body.Close()
	if err != nil {
		return nil, nil, err
	}
	request = request.Clone(request.Context())
	request.Body = io.NopCloser(bytes.NewReader(body))
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return request, body, nil
}

package faults

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// side says on which side of a write the manager crashes.
type side string

const (
	// before: the write never reaches the API server.
	before side = "before"
	// after: the write is done, and the manager never learns of it.
	after side = "after"
)

// crash is a point at which a manager stops, as far as one owner's objects are concerned:
// its n-th write.
type crash struct {
	write int
	side  side
}

// errCrashed is what every request meets that a crashed manager would not have made.
var errCrashed = errors.New("the manager has crashed here")

// wire is what is between one manager and the API server. It writes down what goes over it,
// and cuts it for an owner whose crash has come: from then on nothing about the objects of
// this owner passes, read or write, until another manager has another wire. So one manager
// can crash at many points, each of which only those see whose point it is.
type wire struct {
	journal    *journal
	generation int
	// ahead is called before each write is sent: somebody else may be quicker.
	beforeWrite func(apiCall)
	// between is called after each write that took effect, before the manager learns of it: at
	// every state that there is between two writes.
	afterWrite func(owner string)

	mu      sync.Mutex
	crashes map[string]crash // by owner
	count   map[string]int
	// cut are those whose crash has come, once the write that it follows is done.
	cut  map[string]bool
	dead map[string]bool
}

func newWire(journal *journal, generation int) *wire {
	return &wire{journal: journal, generation: generation, crashes: map[string]crash{}, count: map[string]int{}, dead: map[string]bool{}}
}

// arm plans a crash; the count of writes begins now.
func (w *wire) arm(owner string, at crash) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.crashes[owner], w.count[owner] = at, 0
}

// crashed tells whether the crash planned for an owner has come, with the write that it follows done.
func (w *wire) crashed(owner string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut[owner]
}

// crash cuts an owner off.
func (w *wire) crash(owner string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut == nil {
		w.cut = map[string]bool{}
	}
	w.cut[owner] = true
	return errCrashed
}

// fateOf decides what becomes of a request: passed on with an empty side, cut with before,
// done and then cut with after.
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

// wrap puts the wire in front of a transport, for rest.Config.Wrap.
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

// remember takes down what a Secret that is written holds, and its name.
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

// withBody reads the body of a request, and returns one that can be sent still.
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

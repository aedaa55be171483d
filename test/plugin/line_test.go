package plugin

import (
	"io"
	"net/http"
	"sync"
)

// line is a replica's connection to the API server. While it hangs, watches deliver nothing, but other requests succeed.
type line struct {
	mu   sync.Mutex
	hung chan struct{}
}

func (l *line) wrap(next http.RoundTripper) http.RoundTripper { return &lineTrip{next: next, line: l} }

func (l *line) hang(hung bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case hung && l.hung == nil:
		l.hung = make(chan struct{})
	case !hung && l.hung != nil:
		close(l.hung)
		l.hung = nil
	}
}

type lineTrip struct {
	next http.RoundTripper
	line *line
}

func (t *lineTrip) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	if err == nil && request.URL.Query().Get("watch") == "true" {
		response.Body = &stream{ReadCloser: response.Body, line: t.line, gone: request.Context().Done()}
	}
	return response, err
}

// stream is the stream of a watch. While the line hangs, it delays events.
type stream struct {
	io.ReadCloser
	line *line
	gone <-chan struct{}
}

func (s *stream) Read(into []byte) (int, error) {
	n, err := s.ReadCloser.Read(into)
	s.line.mu.Lock()
	hung := s.line.hung
	s.line.mu.Unlock()
	if hung == nil {
		return n, err
	}
	select {
	case <-hung:
		return n, err
	case <-s.gone:
		return 0, io.ErrUnexpectedEOF
	}
}

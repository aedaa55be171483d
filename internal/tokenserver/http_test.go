package tokenserver

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestARequestEndsWithItsConnection checks that the context of a request ends before its answer can no longer be
// written.
func TestARequestEndsWithItsConnection(t *testing.T) {
	var left time.Duration
	var bounded bool
	server := NewHTTPServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var end time.Time
		end, bounded = r.Context().Deadline()
		left = time.Until(end)
	}), nil)
	server.Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if !bounded || left > server.WriteTimeout {
		t.Errorf("a request may wait %s (bounded: %v), and its connection ends after %s", left, bounded, server.WriteTimeout)
	}
}

package tokenserver

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// brokenIssuers panic.
type brokenIssuers struct{ missing map[string]registry.Place }

// At implements Issuers.
func (i brokenIssuers) At(path, _ string) registry.Place {
	i.missing[path] = registry.Place{}
	return registry.Place{}
}

// Fresh implements Issuers.
func (brokenIssuers) Fresh() error { return nil }

// TestAHandlerThatPanics checks that a fault of the service leaves its place in the log, and that the client gets an answer.
func TestAHandlerThatPanics(t *testing.T) {
	var lines strings.Builder
	server, err := New(Options{Issuers: brokenIssuers{}, Clock: clock.RealClock{}, Log: funcr.New(func(_, line string) { lines.WriteString(line) }, funcr.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	server.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://tokens.example.com/jwks.json", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "server_error") {
		t.Errorf("the client gets %d %s", w.Code, w.Body)
	}
	if text := lines.String(); !strings.Contains(text, "assignment to entry in nil map") || !strings.Contains(text, "http_test.go") {
		t.Errorf("the log has no place: %s", text)
	}
}

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

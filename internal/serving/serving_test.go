package serving

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
)

// TestCheck checks that Check answers 200, or 503 with the reason.
func TestCheck(t *testing.T) {
	fine := func() error { return nil }
	broken := func() error { return errors.New("the view is too old") }
	for _, c := range []struct {
		name   string
		checks []func() error
		status int
		says   string
	}{
		{"nothing to check", nil, http.StatusOK, "ok"},
		{"all holds", []func() error{fine, fine}, http.StatusOK, "ok"},
		{"one does not", []func() error{fine, broken}, http.StatusServiceUnavailable, "the view is too old"},
	} {
		answer := httptest.NewRecorder()
		Check(All(c.checks...))(answer, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
		if answer.Code != c.status || !strings.Contains(answer.Body.String(), c.says) {
			t.Errorf("%s: %d %s", c.name, answer.Code, answer.Body)
		}
	}
}

// TestDrain checks that a replica that shuts down is not ready, still answers, and makes its clients open new
// connections.
func TestDrain(t *testing.T) {
	drain := &Drain{}
	server := httptest.NewUnstartedServer(drain.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	connections := map[string]bool{}
	ask := func() {
		t.Helper()
		trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { connections[got.Conn.LocalAddr().String()] = true }}
		request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatalf("a request failed: %v", err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
			t.Errorf("%s over %s", response.Status, response.Proto)
		}
	}
	ask()
	ask()
	if drain.Ready() != nil || len(connections) != 1 {
		t.Errorf("before Begin: %v, %d connections", drain.Ready(), len(connections))
	}
	drain.Begin()
	for range 5 {
		ask()
	}
	if drain.Ready() == nil {
		t.Error("a replica that is shutting down is ready")
	}
	if len(connections) < 3 {
		t.Errorf("the client keeps its connection: %d connections", len(connections))
	}
}

// TestHTTPServerHasLimits checks that every limit is set, since those of net/http have no defaults.
func TestHTTPServerHasLimits(t *testing.T) {
	server := NewHTTPServer(http.NotFoundHandler(), nil)
	for name, limit := range map[string]int64{
		"ReadHeaderTimeout": int64(server.ReadHeaderTimeout), "ReadTimeout": int64(server.ReadTimeout), "WriteTimeout": int64(server.WriteTimeout),
		"IdleTimeout": int64(server.IdleTimeout), "MaxHeaderBytes": int64(server.MaxHeaderBytes),
	} {
		if limit <= 0 {
			t.Errorf("there is no %s", name)
		}
	}
	if server.ReadHeaderTimeout > server.ReadTimeout || server.ReadTimeout >= server.WriteTimeout {
		t.Error("no time remains to answer a slow request")
	}
}

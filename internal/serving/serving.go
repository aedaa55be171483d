// Package serving holds what the HTTP servers of all commands share: the limits of connections, listening until the end of a context, the
// shutdown, health checks, and the serving certificate.
package serving

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Limits of a connection, so that slow clients do not hold one for long.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
)

// AnswerTimeout is how long an answer may take, from the header of its request on.
const AnswerTimeout = 20 * time.Second

// NewHTTPServer returns a server with limits for connections of arbitrary clients, over TLS if a configuration is given.
func NewHTTPServer(handler http.Handler, tls *tls.Config) *http.Server {
	return &http.Server{
		Handler:           handler,
		TLSConfig:         tls,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      AnswerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// "OPTIONS *" is answered like any unknown path.
		DisableGeneralOptionsHandler: true,
		// Malformed requests of arbitrary clients are not logged.
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

// shutdownTimeout is how long current requests may take during the shutdown.
const shutdownTimeout = 15 * time.Second

// Serve serves on an address until ctx ends, and then until current requests are answered.
func Serve(ctx context.Context, server *http.Server, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return On(ctx, server, listener)
}

// On serves on a listener until ctx ends, and then until current requests are answered.
func On(ctx context.Context, server *http.Server, listener net.Listener) error {
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		stopped <- server.Shutdown(last)
	}()
	var err error
	if server.TLSConfig != nil {
		err = server.ServeTLS(listener, "", "")
	} else {
		err = server.Serve(listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// Drain is the state of a replica between SIGTERM and its end, in which load balancers remove it. The zero value
// is a replica that is not shutting down.
type Drain struct{ begun atomic.Bool }

// Begin makes the replica not ready. It still answers, and asks its clients to open new connections.
func (d *Drain) Begin() { d.begun.Store(true) }

// Ready returns nil until Begin.
func (d *Drain) Ready() error {
	if d.begun.Load() {
		return errors.New("the replica is shutting down")
	}
	return nil
}

// Handler adds "Connection: close" to every answer after Begin (RFC 9112 §9.6; a GOAWAY over HTTP/2), so that no
// client sends a request over a closing connection.
func (d *Drain) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.begun.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// All returns a check that returns the first error of the given ones.
func All(checks ...func() error) func() error {
	return func() error {
		for _, check := range checks {
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	}
}

// Check answers 200 if a check returns nil, and otherwise 503 with its error.
func Check(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	}
}

package tokenserver

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

// Limits of a connection: whoever sends slowly does not hold one for long.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 20 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	// shutdownTimeout is how long requests under way are given at the end.
	shutdownTimeout = 15 * time.Second
)

// NewHTTPServer makes a server with the limits of this package; over TLS where a
// configuration is given.
func NewHTTPServer(handler http.Handler, tls *tls.Config) *http.Server {
	return &http.Server{
		Handler:           withDeadline(handler),
		TLSConfig:         tls,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// "OPTIONS *" is answered as whatever else there is nothing at.
		DisableGeneralOptionsHandler: true,
		// What strangers send to the port is their business.
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

// withDeadline ends the work of a request together with the request, since the time limit of the connection ends only
// the connection.
func withDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), writeTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Serve serves on an address until ctx ends, and then until the requests under way are
// answered.
func Serve(ctx context.Context, server *http.Server, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		stopped <- server.Shutdown(last)
	}()
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

// Drain is the time between the order to end and the end, in which load balancers learn that there
// is one replica less. The zero value is a replica that goes on.
type Drain struct{ begun atomic.Bool }

// Begin makes the replica not ready. It answers on, and asks its clients to connect anew.
func (d *Drain) Begin() { d.begun.Store(true) }

// Ready is nil until Begin.
func (d *Drain) Ready() error {
	if d.begun.Load() {
		return errors.New("the replica is shutting down")
	}
	return nil
}

// Handler has every answer say that the connection ends with it (RFC 9112 §9.6; over HTTP/2 that becomes
// a GOAWAY), so that nobody sends the next request into a connection that is being closed.
func (d *Drain) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.begun.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// All is the first of some checks that does not hold, and nil where all do.
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

// Check answers 200 while a check holds, and otherwise 503 with what it says.
func Check(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	}
}

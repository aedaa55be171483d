package tokenserver

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// Limits of a connection: whoever sends slowly does not hold one for long.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 20 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	// drainFor is how long requests under way are given at the end.
	drainFor = 15 * time.Second
)

// NewHTTPServer makes a server with the limits of this package; over TLS where a
// configuration is given.
func NewHTTPServer(handler http.Handler, tls *tls.Config) *http.Server {
	return &http.Server{
		Handler:           handler,
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
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
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

// Check answers 200 when all checks hold, and 503 with the first that does not.
func Check(checks ...func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, check := range checks {
			if err := check(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		_, _ = io.WriteString(w, "ok\n")
	}
}

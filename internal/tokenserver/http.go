package tokenserver

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"time"
)

// Limits of a connection, so that slow clients do not hold one for long.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 20 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
)

// NewHTTPServer returns a server with the limits of this package, over TLS if a configuration is given.
func NewHTTPServer(handler http.Handler, tls *tls.Config) *http.Server {
	return &http.Server{
		Handler:           withDeadline(handler),
		TLSConfig:         tls,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// "OPTIONS *" is answered like any unknown path.
		DisableGeneralOptionsHandler: true,
		// Malformed requests of arbitrary clients are not logged.
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

// withDeadline ends the context of a request at the time limit of its connection, which by itself ends only the
// connection.
func withDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), writeTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

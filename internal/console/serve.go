package console

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"time"
)

// Limits of a connection, so that slow clients do not hold one for long. A stream lifts those of reading and writing for itself;
// over HTTP/2 a client that does not take what is written, or does not answer a ping, still loses its connection.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = requestTimeout + 5*time.Second
	idleTimeout       = 2 * time.Minute
	silenceTimeout    = 30 * time.Second
	maxHeaderBytes    = 16 << 10
)

// HTTPServer returns an HTTP server for a Server, over TLS if a configuration is given. Its shutdown ends the streams.
func (s *Server) HTTPServer(tls *tls.Config) *http.Server {
	server := NewHTTPServer(s, tls)
	server.RegisterOnShutdown(s.Close)
	return server
}

// NewHTTPServer returns a server with the limits of this package.
func NewHTTPServer(handler http.Handler, tls *tls.Config) *http.Server {
	return &http.Server{
		Handler:           handler,
		TLSConfig:         tls,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{SendPingTimeout: silenceTimeout, PingTimeout: silenceTimeout, WriteByteTimeout: silenceTimeout},
		// "OPTIONS *" is answered like any unknown path.
		DisableGeneralOptionsHandler: true,
		// Malformed requests of arbitrary clients are not logged.
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

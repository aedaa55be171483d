package console

import (
	"crypto/tls"
	"net/http"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/serving"
)

const (
	// writeTimeout leaves time to answer a request that is given up. A stream lifts this limit for itself.
	writeTimeout = requestTimeout + 5*time.Second
	// silenceTimeout is when a client over HTTP/2 loses its connection that does not take what is written, or does not answer a ping.
	silenceTimeout = 30 * time.Second
)

// HTTPServer returns an HTTP server for a Server, over TLS if a configuration is given. Its shutdown ends the streams.
func (s *Server) HTTPServer(tls *tls.Config) *http.Server {
	server := serving.NewHTTPServer(s, tls)
	server.WriteTimeout = writeTimeout
	server.HTTP2 = &http.HTTP2Config{SendPingTimeout: silenceTimeout, PingTimeout: silenceTimeout, WriteByteTimeout: silenceTimeout}
	server.RegisterOnShutdown(s.Close)
	return server
}

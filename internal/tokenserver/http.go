package tokenserver

import (
	"context"
	"crypto/tls"
	"net/http"

	"github.com/refreshkeys/refreshkeys/internal/serving"
)

// NewHTTPServer returns a server whose requests end in time, over TLS if a configuration is given.
func NewHTTPServer(handler http.Handler, tls *tls.Config) *http.Server {
	return serving.NewHTTPServer(withDeadline(handler), tls)
}

// withDeadline ends the context of a request at the time limit of its connection, which by itself ends only the
// connection.
func withDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), serving.AnswerTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

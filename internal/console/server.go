package console

import (
	"context"
	"net/http"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/clock"
)

// Options of a Server.
type Options struct {
	Clock clock.WithTicker
	Log   logr.Logger
	// Reveal: tokens can be revealed, where the person may get the Secret.
	Reveal bool
	// Namespace is where the page begins; empty for all.
	Namespace string
}

// Server is the http.Handler of the console.
type Server struct {
	Options
	clock clock.WithTicker
	log   logr.Logger
	mux   *http.ServeMux
}

// route registers a handler of a route below /api/ that needs a session. The answer is encoded as JSON; an error becomes a
// wire.Failure with its code: a Status of the API server passes through, an API server that cannot be reached is 503, and other
// errors are 500 without details (they go to the log).
func (s *Server) route(pattern string, answer func(ctx context.Context, p *person, r *http.Request) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		p, err := s.personOf(r)
		if err == nil {
			err = checkPath(r)
		}
		var said any
		if err == nil {
			said, err = answer(r.Context(), p, r)
		}
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		write(w, http.StatusOK, said)
	})
}

// stream registers a handler of server-sent events that needs a session. It returns when the context of the request ends, or when
// ended is closed: with the session, and when the server shuts down. The event bye of both is sent here, after the handler
// returned; the handler sends those for reasons of its own.
func (s *Server) stream(pattern string, serve func(w http.ResponseWriter, r *http.Request, p *person, ended <-chan struct{})) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		p, err := s.personOf(r)
		if err == nil {
			err = checkPath(r)
		}
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		serve(w, r, p, make(chan struct{}))
	})
}

// personOf returns the person whose session the request has.
func (s *Server) personOf(*http.Request) (*person, error) {
	return nil, fail(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "sign in")
}

// refuse answers with an error.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	f := failureOf(err)
	if f.Code == http.StatusInternalServerError {
		s.log.Error(err, "request failed", "route", r.Pattern)
	}
	write(w, f.Code, f)
}

// checkPath checks the parts of a path, and the namespace of a query, that become part of a path at the API server.
func checkPath(r *http.Request) error {
	for _, namespace := range []string{r.PathValue("ns"), r.URL.Query().Get("ns")} {
		if namespace != "" && len(validation.IsDNS1123Label(namespace)) > 0 {
			return fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the request has no valid name of a namespace")
		}
	}
	if name := r.PathValue("name"); name != "" && len(validation.IsDNS1123Subdomain(name)) > 0 {
		return fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the path has no valid name of an object")
	}
	return nil
}

// sessionKey is the SHA-256 of a session's id.
type sessionKey [32]byte

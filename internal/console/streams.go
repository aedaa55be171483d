package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// lastWords is how long the client of a stream has to read its end.
const lastWords = 5 * time.Second

// stream registers a handler of server-sent events that needs a session. It returns when the context of the request ends, or when
// ended is closed: with the session, when the server shuts down, and when the credential is to be renewed, so that no watch outlives its
// credential. The event bye of these is sent here, after the handler returned; the handler sends those for reasons of
// its own.
func (s *Server) stream(pattern string, serve func(w http.ResponseWriter, r *http.Request, p *person, ended <-chan struct{})) {
	s.handle(pattern, func(w http.ResponseWriter, r *http.Request) {
		one, p, err := s.sessionOf(r.Context(), r, false)
		if err == nil {
			err = checkPath(r)
		}
		if err == nil {
			err = s.sessions.open(one)
		}
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		defer s.sessions.closed(one)
		// The answer must not be used after the handler has returned.
		var watch sync.WaitGroup
		defer watch.Wait()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		control := http.NewResponseController(w)
		// The limits of a connection are for requests that end. A server of tests may have none.
		_ = control.SetReadDeadline(time.Time{})
		_ = control.SetWriteDeadline(time.Time{})
		ended := make(chan struct{})
		watch.Go(func() {
			if s.await(ctx, one, p) {
				_ = control.SetWriteDeadline(s.clock.Now().Add(lastWords))
				close(ended)
			}
		})
		serve(w, r.WithContext(ctx), p, ended)
		cancel()
		watch.Wait()
		s.endIfRefused(one, p)
		s.bye(w, one, ended)
	})
}

// await waits for the end of a stream: true if that is the end of the session or of the server, or if the credential is to be
// renewed, false if it is the end of the request.
func (s *Server) await(ctx context.Context, one *session, p *person) bool {
	var renewal <-chan time.Time
	if now := s.clock.Now(); p.credential.Renew != nil && !p.credential.Until.IsZero() {
		timer := s.clock.NewTimer(p.nextRenewal(now).Sub(now))
		defer timer.Stop()
		renewal = timer.C()
	}
	select {
	case <-one.ended:
		return true
	case <-s.closing:
		return true
	case <-renewal:
		return true
	case <-ctx.Done():
		return false
	}
}

// bye tells a page why its stream ended.
func (s *Server) bye(w http.ResponseWriter, one *session, ended <-chan struct{}) {
	select {
	case <-ended:
	default:
		return
	}
	body, err := json.Marshal(s.reasonOf(one))
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(w, "event: bye\ndata: %s\n\n", body)
	_ = http.NewResponseController(w).Flush()
}

// reasonOf returns why the streams of a session end.
func (s *Server) reasonOf(one *session) wire.Bye {
	select {
	case <-one.ended:
		return wire.Bye{Reason: "expired", Failure: failureOf(errNoSession)}
	default:
	}
	select {
	case <-s.closing:
		return wire.Bye{Reason: "away", Failure: wire.Failure{
			Code: http.StatusServiceUnavailable, Reason: string(metav1.StatusReasonServiceUnavailable), Message: "the console is shutting down",
		}}
	default:
		return wire.Bye{Reason: "renewed"}
	}
}

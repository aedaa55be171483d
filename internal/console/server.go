package console

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/apicalls"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/memo"
	"github.com/refreshkeys/refreshkeys/internal/serving"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// Options of a Server.
type Options struct {
	// API says where the API server is. Its credential is not used, except in local mode.
	API   *rest.Config
	Clock clock.WithTicker
	// Random gives the ids of sessions.
	Random io.Reader
	Log    logr.Logger
	// Registerer gets the metrics.
	Registerer prometheus.Registerer
	// Hosts are the names under which the console is served, with a port or for every port.
	Hosts []string
	// BasePath begins and ends with a slash.
	BasePath string
	// SignIn is the way to sign in at a provider; nil for none.
	SignIn SignIn
	// TokenService is where the public keys of issuers are; nil if the console does not reach it.
	TokenService *TokenService
	// Reveal: tokens can be revealed, where the person may get the Secret.
	Reveal bool
	// Namespace is where the page begins; empty for all.
	Namespace string
	DocsURL   string
	Version   string
	// SessionIdle and SessionMax are how long a session lives without a request of the person, and at most.
	SessionIdle, SessionMax time.Duration

	// local is set where kubectl refreshkey console serves.
	local *local
}

// Server is the http.Handler of the console.
type Server struct {
	Options
	clock       clock.WithTicker
	log         logr.Logger
	base        string
	mux, pages  *http.ServeMux
	page        file
	crossOrigin *http.CrossOriginProtection
	cookie      cookie
	sessions    *sessions
	tries       *tries
	renewals    upstream.Flights[*person]
	clients     *clients
	calls       *apicalls.Counter
	reviews     *memo.Memo[review, wire.Answer]
	requests    *prometheus.CounterVec
	// patterns are those of all routes.
	patterns []string
	// closing is closed when the server shuts down.
	closing chan struct{}
	close   func()
}

// basePath has no character that would need an escape.
var basePath = regexp.MustCompile(`^/([A-Za-z0-9._~-]+/)*$`)

// New returns a Server.
func New(o Options) (*Server, error) {
	if !basePath.MatchString(o.BasePath) {
		return nil, errors.New("the base path must begin and end with a slash, such as /refresh/")
	}
	if len(o.Hosts) == 0 || slices.Contains(o.Hosts, "") {
		return nil, errors.New("the console needs the host names under which it is served")
	}
	if o.SessionIdle <= 0 || o.SessionMax < o.SessionIdle {
		return nil, errors.New("the idle time of sessions must be positive, and at most their longest time")
	}
	tries, err := newTries(o.Clock)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Options: o, clock: o.Clock, log: o.Log, base: o.BasePath, mux: http.NewServeMux(), pages: http.NewServeMux(),
		crossOrigin: http.NewCrossOriginProtection(), cookie: newCookie(o.BasePath, o.local), sessions: newSessions(&o),
		tries: tries, clients: newClients(), calls: apicalls.New(),
		reviews: memo.New[review, wire.Answer](mostAnswers, o.Clock),
		closing: make(chan struct{}),
	}
	s.close = sync.OnceFunc(func() { close(s.closing) })
	if err := s.register(); err != nil {
		return nil, err
	}
	s.open("POST /api/login", s.login)
	s.open("POST /api/logout", s.logout)
	s.open("GET /api/me", s.me)
	s.apiRoutes()
	s.mineRoutes()
	if s.SignIn != nil {
		s.providerRoutes()
	}
	return s, s.shell()
}

// Close ends all streams, with a word to their pages. It is called before the shutdown of the HTTP server, which waits for them.
func (s *Server) Close() { s.close() }

// handle registers a handler of a pattern.
func (s *Server) handle(pattern string, serve http.HandlerFunc) {
	s.patterns = append(s.patterns, pattern)
	s.mux.HandleFunc(pattern, serve)
}

// requestTimeout is how long a request may take that is not a stream.
const requestTimeout = 20 * time.Second

// open registers a handler that needs no session.
func (s *Server) open(pattern string, answer func(ctx context.Context, w http.ResponseWriter, r *http.Request) (any, error)) {
	s.handle(pattern, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		said, err := answer(ctx, w, r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		write(w, http.StatusOK, said)
	})
}

// route registers a handler of a route below /api/ that needs a session. The answer is encoded as JSON; an error becomes a
// wire.Failure with its code: a Status of the API server passes through, an API server that cannot be reached is 503, and other
// errors are 500 without details (they go to the log).
func (s *Server) route(pattern string, answer func(ctx context.Context, p *person, r *http.Request) (any, error)) {
	s.open(pattern, func(ctx context.Context, _ http.ResponseWriter, r *http.Request) (any, error) {
		one, p, err := s.sessionOf(ctx, r, byPerson(r))
		if err != nil {
			return nil, err
		}
		if err := checkPath(r); err != nil {
			return nil, err
		}
		defer s.endIfRefused(one, p)
		return answer(ctx, p, r)
	})
}

// byPerson reports whether an action of the person caused a request of the page.
func byPerson(r *http.Request) bool { return r.Header.Get(wire.AutomaticHeader) != "true" }

// sessionOf returns the session of a request and its person, with a credential that is not at its end.
func (s *Server) sessionOf(ctx context.Context, r *http.Request, byPerson bool) (*session, *person, error) {
	one := s.sessions.find(s.cookie.read(r), byPerson)
	if one == nil {
		return nil, nil, errNoSession
	}
	p, err := s.current(ctx, one)
	if err != nil {
		return nil, nil, err
	}
	visitOf(r).user = p.user
	return one, p, nil
}

var errNoSession = fail(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "there is no session, or it has ended: sign in")

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := s.clock.Now()
	v := &visit{}
	answered := &answered{ResponseWriter: w}
	defer func() { s.observe(r, answered.code, s.clock.Since(began), v.user) }()
	defer func() { s.broken(answered, r, serving.Panicked(recover())) }()
	s.secure(answered, r)
	admitted, err := s.admit(answered, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
	switch {
	case errors.Is(err, errNoSlash):
		http.Redirect(answered, r, s.base, http.StatusPermanentRedirect)
	case errors.Is(err, errNoRoute) && strings.HasPrefix(r.URL.Path, s.base):
		s.noRoute(answered, r, strings.TrimPrefix(r.URL.Path, s.base))
	case err != nil:
		s.refuse(answered, r, err)
	default:
		r = admitted
		s.dispatch(answered, r)
	}
}

// broken answers after a panic of a handler, which err describes; nil for none. An answer that has begun is given up.
func (s *Server) broken(w *answered, r *http.Request, err error) {
	if err == nil {
		return
	}
	if w.code == 0 {
		s.refuse(w, r, err)
		return
	}
	s.log.Error(err, "request failed", "route", r.Pattern)
	panic(http.ErrAbortHandler)
}

// dispatch serves a request by its route. What the mux says of a path without a route is text; here all refusals are JSON.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) {
	handler, pattern := s.mux.Handler(r)
	if pattern != "" {
		s.mux.ServeHTTP(w, r)
		return
	}
	probe := &probed{header: http.Header{}}
	handler.ServeHTTP(probe, r)
	if allow := probe.header.Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		s.refuse(w, r, fail(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "the route has no such method"))
		return
	}
	s.noRoute(w, r, strings.TrimPrefix(r.URL.Path, "/"))
}

// refuse answers with an error. What an answer does not say goes to the log.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	f := failureOf(err)
	if f.Code >= http.StatusInternalServerError && !errors.As(err, new(*failed)) {
		s.log.Error(cause(err), "request failed", "route", r.Pattern)
	}
	if f.Code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	write(w, f.Code, f)
}

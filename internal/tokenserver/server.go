// Package tokenserver serves the endpoints of issuers over HTTP: it finds the issuer of a
// path, reads requests strictly, hands them to the grants, and writes every answer in one
// place.
package tokenserver

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	location "github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// Issuers finds the issuers that a request may be for, by its path and host.
type Issuers interface {
	At(path, host string) registry.Place
}

// Callers tells who may ask about tokens.
type Callers interface {
	// Authenticate returns who presents a bearer token, which must be for the issuer.
	Authenticate(ctx context.Context, issuer, bearer string) (Caller, error)
}

// Caller is who asks about a token.
type Caller interface {
	// Name is how the API server calls the caller.
	Name() string
	// MayIntrospect is nil where the caller may ask about tokens of keys in the namespace, and
	// oauth.InsufficientScope where it may not.
	MayIntrospect(ctx context.Context, namespace string) error
}

// Options of a Server. All are required but RecordAddress and Observe.
type Options struct {
	Issuers Issuers
	Grants  *grant.Service
	Callers Callers
	Clock   clock.PassiveClock
	Log     logr.Logger
	// RecordAddress puts the address that a client came from into status.deviceInfo.
	RecordAddress bool
	// Observe is told of every request that was answered.
	Observe func(*Request)
}

// Server is the http.Handler of all endpoints.
type Server struct {
	Options
	devices *devices
}

// New makes a Server.
func New(o Options) (*Server, error) {
	if o.Observe == nil {
		o.Observe = func(*Request) {}
	}
	devices, err := newDevices()
	return &Server{Options: o, devices: devices}, err
}

// Request is one request on its way through the server, and what is told of it afterwards.
type Request struct {
	// Endpoint is the name of what was asked for; empty where there is nothing of the kind.
	Endpoint string
	// Issuer is the name of the issuer; empty where none was found, and where several share the URL and the request
	// names none of them.
	Issuer string
	// Grant is the grant_type of a request for tokens where it is one that there is; otherwise empty.
	Grant string
	// Caller is who asked about a token; empty where that was not proven.
	Caller string
	// Code is the error that was answered; empty for none.
	Code     oauth.Code
	Status   int
	Took     time.Duration
	Outcome  grant.Outcome
	place    registry.Place
	issuer   *registry.Issuer
	internal error
	writer   http.ResponseWriter
	http     *http.Request
}

// endpoint is what stands under a path of an issuer.
type endpoint struct {
	name string
	// method is the only one that is answered; GET stands for HEAD as well.
	method string
	serve  func(*Server, *Request) error
}

// Names of endpoints that logs and metrics tell apart.
const (
	endpointToken      = "token"
	endpointRevoke     = "revoke"
	endpointIntrospect = "introspect"
)

// endpoints are those below an issuer's URL.
var endpoints = map[string]endpoint{
	"/token":                            {endpointToken, http.MethodPost, (*Server).token},
	"/revoke":                           {endpointRevoke, http.MethodPost, (*Server).revoke},
	"/introspect":                       {endpointIntrospect, http.MethodPost, (*Server).introspect},
	"/jwks.json":                        {"jwks", http.MethodGet, (*Server).jwks},
	"/.well-known/openid-configuration": {"metadata", http.MethodGet, (*Server).metadata},
}

// ServeHTTP is part of http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := &Request{writer: w, http: r}
	began := s.Clock.Now()
	if len(r.TransferEncoding) > 0 {
		// A length may have stood beside the chunks, which net/http does not tell: somebody before us who
		// went by it sees another request behind than we do (RFC 9112 §6.1).
		w.Header().Set("Connection", "close")
	}
	if err := s.serve(request); err != nil {
		s.refuse(request, err)
	}
	request.Took = s.Clock.Since(began)
	s.Observe(request)
	s.log(request)
}

func (s *Server) serve(r *Request) error {
	found, prefix := route(r.http)
	if found.serve == nil {
		return errNotFound
	}
	r.Endpoint = found.name
	r.place = s.Issuers.At(prefix, r.http.Host)
	if len(r.place.Issuers()) == 0 {
		return errNotFound
	}
	r.choose(r.place.Sole())
	if method := r.http.Method; method != found.method && (found.method != http.MethodGet || method != http.MethodHead) {
		r.writer.Header().Set("Allow", allowed(found.method))
		return errMethod
	}
	return found.serve(s, r)
}

// choose says which issuer a request is for; nil where that is not known.
func (r *Request) choose(issuer *registry.Issuer) {
	if r.issuer = issuer; issuer != nil {
		r.Issuer = issuer.Name
	}
}

func allowed(method string) string {
	if method == http.MethodGet {
		return "GET, HEAD"
	}
	return method
}

// route splits a path into the issuer's and the endpoint's. A path that needs decoding is
// none of ours.
func route(r *http.Request) (endpoint, string) {
	path := r.URL.Path
	if r.URL.RawPath != "" {
		return endpoint{}, ""
	}
	if prefix, ok := strings.CutPrefix(path, location.OAuthMetadata); ok && (prefix == "" || prefix[0] == '/') {
		return endpoint{"metadata", http.MethodGet, (*Server).metadata}, strings.TrimSuffix(prefix, "/")
	}
	for suffix, found := range endpoints {
		if prefix, ok := strings.CutSuffix(path, suffix); ok {
			return found, prefix
		}
	}
	return endpoint{}, ""
}

// log writes one line a request. Nothing that a client sent is in it but what was verified.
func (s *Server) log(r *Request) {
	fields := []any{"endpoint", r.Endpoint, "issuer", r.Issuer, "status", r.Status, "took", r.Took.String()}
	if r.Code != "" {
		// The logger writes the cause of a failure under the name error.
		fields = append(fields, "code", r.Code)
	}
	if r.Outcome.Withheld != "" {
		fields = append(fields, "withheld", r.Outcome.Withheld, "caller_name", r.Caller)
	}
	if r.Outcome.JTI != "" {
		fields = append(fields, "namespace", r.Outcome.Key.Namespace, "name", r.Outcome.Key.Name, "jti", r.Outcome.JTI)
	}
	switch {
	case r.internal != nil && !errors.Is(r.internal, context.Canceled):
		s.Log.Error(r.internal, "request", fields...)
	default:
		s.Log.Info("request", fields...)
	}
}

// Package tokenserver serves the endpoints of issuers over HTTP. It finds the issuer of a path, parses requests
// strictly, passes them to the grants, and writes every answer in one place.
package tokenserver

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/serving"
	"github.com/refreshkeys/refreshkeys/internal/signin"
)

// Issuers returns the issuers that a request may be for, by its path and host.
type Issuers interface {
	At(path, host string) registry.Place
	// Fresh returns an error if the view of the cluster may lack an issuer.
	Fresh() error
}

// Callers authenticates and authorises those who introspect tokens.
type Callers interface {
	// Authenticate returns the caller that a bearer token identifies. The token must be for the issuer.
	Authenticate(ctx context.Context, issuer, bearer string) (Caller, error)
}

// Caller is an authenticated client of the introspection endpoint.
type Caller interface {
	// Name is the caller's user name at the API server.
	Name() string
	// MayIntrospect returns nil if the caller may ask about tokens of refresh keys in the namespace, and
	// oauth.InsufficientScope if it may not.
	MayIntrospect(ctx context.Context, namespace string) error
}

// Options of a Server. All except ServiceAccount, RecordAddress and Observe are required.
type Options struct {
	Issuers Issuers
	Grants  *grant.Service
	SignIn  *signin.Service
	Callers Callers
	Clock   clock.PassiveClock
	Log     logr.Logger
	// ServiceAccount is the name of the token service's own one, in the operator's namespace. ForCluster uses it.
	ServiceAccount string
	// RecordAddress records the client's address in status.deviceInfo.
	RecordAddress bool
	// Observe is called with every answered request.
	Observe func(*Request)
}

// Server is the http.Handler of all endpoints.
type Server struct {
	Options
	devices *devices
}

// New returns a Server.
func New(o Options) (*Server, error) {
	if o.Observe == nil {
		o.Observe = func(*Request) {}
	}
	devices, err := newDevices()
	return &Server{Options: o, devices: devices}, err
}

// Request is one request and its result for logs and metrics.
type Request struct {
	// Endpoint is the name of the requested endpoint; empty if there is none.
	Endpoint string
	// Issuer is the name of the issuer; empty if there is none, or if several issuers share the URL and the
	// request names none of them.
	Issuer string
	// Grant is the grant_type of a request for tokens if it is supported; otherwise empty.
	Grant string
	// Caller is the user name of the caller of an introspection; empty if it was not authenticated.
	Caller string
	// Method is how a person signs in with a browser, or has signed in; empty for other requests.
	Method v1alpha1.LoginMethod
	// Code is the error code of the answer; empty for none.
	Code    oauth.Code
	Status  int
	Took    time.Duration
	Outcome grant.Outcome
	place   registry.Place
	issuer  *registry.Issuer
	// resource is set at an endpoint that clients use with an access token of the service.
	resource *resource
	// page is whether a person sees the answer, so that an error is a page.
	page     bool
	internal error
	writer   http.ResponseWriter
	http     *http.Request
}

// handler is an endpoint below the path of an issuer.
type handler struct {
	name string
	// allow are the allowed methods, as in the Allow header.
	allow string
	serve func(*Server, *Request) error
}

// The methods that endpoints allow.
const (
	toRead  = "GET, HEAD"
	toWrite = "POST"
	toBoth  = "GET, HEAD, POST"
	// toReturn lacks HEAD: the answer of a provider is used once.
	toReturn = "GET"
)

// Names of endpoints in logs and metrics.
const (
	endpointToken      = "token"
	endpointRevoke     = "revoke"
	endpointIntrospect = "introspect"
	endpointSessions   = "sessions"
	endpointEnd        = "sessions/end"
	endpointAuthorize  = "authorize"
	endpointPassword   = "authorize/password"
	endpointConsent    = "authorize/consent"
	endpointProvider   = "authorize/provider"
	endpointCallback   = "authorize/callback"
	endpointUserInfo   = "userinfo"
	endpointPushed     = "par"
	endpointDevice     = "device"
	endpointDeviceCode = "device/code"
	endpointDecision   = "device/decision"
)

// forPeople are the endpoints whose answers a person sees, so that each error is a page.
var forPeople = map[string]bool{
	endpointAuthorize: true, endpointPassword: true, endpointConsent: true, endpointProvider: true, endpointCallback: true,
	endpointDevice: true, endpointDeviceCode: true, endpointDecision: true,
}

// endpoints are those below an issuer's URL.
var endpoints = map[string]handler{
	endpoint.TokenURL(""):               {endpointToken, toWrite, (*Server).token},
	endpoint.RevokeURL(""):              {endpointRevoke, toWrite, (*Server).revoke},
	endpoint.IntrospectURL(""):          {endpointIntrospect, toWrite, (*Server).introspect},
	endpoint.SessionsURL(""):            {endpointSessions, toRead, (*Server).sessions},
	endpoint.EndSessionsURL(""):         {endpointEnd, toWrite, (*Server).endSessions},
	endpoint.AuthorizeURL(""):           {endpointAuthorize, toBoth, (*Server).authorize},
	endpoint.PushedURL(""):              {endpointPushed, toWrite, (*Server).pushed},
	endpoint.PasswordURL(""):            {endpointPassword, toWrite, (*Server).passwordPage},
	endpoint.ConsentURL(""):             {endpointConsent, toWrite, (*Server).consentPage},
	endpoint.ProviderURL(""):            {endpointProvider, toWrite, (*Server).providerPage},
	endpoint.DeviceAuthorizationURL(""): {"device_authorization", toWrite, (*Server).deviceAuthorization},
	endpoint.DeviceURL(""):              {endpointDevice, toRead, (*Server).devicePage},
	endpoint.DeviceCodeURL(""):          {endpointDeviceCode, toWrite, (*Server).deviceCodePage},
	endpoint.DeviceDecisionURL(""):      {endpointDecision, toWrite, (*Server).deviceDecisionPage},
	endpoint.UserInfoURL(""):            {endpointUserInfo, toBoth, (*Server).userInfo},
	endpoint.JWKSURL(""):                {"jwks", toRead, (*Server).jwks},
	"/.well-known/openid-configuration": {"metadata", toRead, (*Server).metadata},
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := &Request{writer: w, http: r}
	began := s.Clock.Now()
	if len(r.TransferEncoding) > 0 {
		// A Content-Length may have accompanied the chunks, which net/http does not report. A proxy that used it
		// would find the next request at another offset (RFC 9112 §6.1).
		w.Header().Set("Connection", "close")
	}
	if err := s.attempt(request); err != nil {
		s.refuse(request, err)
	}
	request.Took = s.Clock.Since(began)
	s.Observe(request)
	s.log(request)
}

// attempt serves a request. A panic is an error, whose place goes to the log.
func (s *Server) attempt(r *Request) (err error) {
	defer func() {
		if broken := serving.Panicked(recover()); broken != nil {
			err = broken
		}
	}()
	return s.serve(r)
}

func (s *Server) serve(r *Request) error {
	found, prefix := route(r.http)
	if found.serve == nil {
		return errNotFound
	}
	r.Endpoint, r.page = found.name, forPeople[found.name]
	r.place = s.Issuers.At(prefix, r.http.Host)
	if len(r.place.Issuers()) == 0 {
		// A replica that has just started knows no issuer yet.
		if err := s.Issuers.Fresh(); err != nil {
			return err
		}
		return errNotFound
	}
	r.choose(r.place.Sole())
	if s.shared(r, &found) {
		return nil
	}
	if !slices.Contains(strings.Split(found.allow, ", "), r.http.Method) {
		r.writer.Header().Set("Allow", found.allow)
		return errMethod
	}
	return found.serve(s, r)
}

// choose sets the issuer of a request; nil if it is unknown.
func (r *Request) choose(issuer *registry.Issuer) {
	if r.issuer = issuer; issuer != nil {
		r.Issuer = issuer.Name
	}
}

// route splits a path into the issuer's and the endpoint's. A path that contains escapes has no endpoint.
func route(r *http.Request) (handler, string) {
	path := r.URL.Path
	if r.URL.RawPath != "" {
		return handler{}, ""
	}
	if prefix, ok := strings.CutPrefix(path, endpoint.OAuthMetadata); ok && (prefix == "" || prefix[0] == '/') {
		return handler{"metadata", toRead, (*Server).metadata}, strings.TrimSuffix(prefix, "/")
	}
	if prefix, _, ok := endpoint.CutCallback(path); ok {
		return handler{endpointCallback, toReturn, (*Server).callback}, prefix
	}
	for suffix, found := range endpoints {
		if prefix, ok := strings.CutSuffix(path, suffix); ok {
			return found, prefix
		}
	}
	return handler{}, ""
}

// log writes one line for each request. It contains only verified data of the client.
func (s *Server) log(r *Request) {
	fields := []any{"endpoint", r.Endpoint, "issuer", r.Issuer, "status", r.Status, "took", r.Took.String()}
	if r.Code != "" {
		// The logger uses the fields error and caller for the cause of a failure and the place in the code.
		fields = append(fields, "code", r.Code)
	}
	if r.Outcome.Withheld != "" {
		fields = append(fields, "withheld", r.Outcome.Withheld, "caller_name", r.Caller)
	}
	if jti := cmp.Or(r.Outcome.JTI, r.Outcome.AccessJTI); jti != "" {
		fields = append(fields, "namespace", r.Outcome.Key.Namespace, "name", r.Outcome.Key.Name, "jti", jti)
	}
	switch {
	case r.internal != nil && !errors.Is(r.internal, context.Canceled):
		s.Log.Error(r.internal, "request", fields...)
	default:
		s.Log.Info("request", fields...)
	}
}

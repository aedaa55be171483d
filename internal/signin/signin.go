// Package signin leads a person through a sign-in with a browser: from the request of an application to its authorization code.
// Nothing is stored. What one step knows travels sealed in its page to the next, bound to the browser that began, so that any replica
// takes each step. It does not depend on HTTP.
package signin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/seal"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

const (
	// StepLife is how long a person can take for one step.
	StepLife = 10 * time.Minute
	// PushedLife is how long a pushed request can be used (RFC 9126 §2.2).
	PushedLife = 90 * time.Second
)

// The purposes of what the steps seal.
const (
	sealedRequest = "sign-in request"
	sealedConsent = "sign-in consent"
	sealedPushed  = "pushed request"
	sealedAway    = "sign-in at a provider"
)

// ErrStep is the error of a step that has expired, was begun in another browser, or is not one of this issuer.
var ErrStep = errors.New("the step of the sign-in has expired, or is not of this browser")

// Registry is the part of the cluster's state that a sign-in needs.
type Registry interface {
	session.Registry
	registry.Rereader
	// Fresh returns an error if the views may be too old to answer from.
	Fresh() error
}

// Options of a Service. All are required.
type Options struct {
	Registry  Registry
	Sessions  *session.Service
	Providers Providers
	Clock     clock.PassiveClock
}

// Service leads people through sign-ins. It has the registry behind its gate only.
type Service struct {
	gate      registry.Gate[Registry]
	sessions  *session.Service
	providers Providers
	clock     clock.PassiveClock
}

// New returns a Service.
func New(o Options) *Service {
	return &Service{gate: registry.NewGate(o.Registry), sessions: o.Sessions, providers: o.Providers, clock: o.Clock}
}

// Browser is the random key of one browser, which only its cookie holds.
type Browser string

// randomBytes is the length of a random value, before base64url makes 43 characters of it.
const randomBytes = 32

// random returns a random value, of the form of a PKCE verifier, too (RFC 7636 §4.1).
func random() string {
	value := make([]byte, randomBytes)
	// It never fails (crypto/rand).
	_, _ = rand.Read(value)
	return base64.RawURLEncoding.EncodeToString(value)
}

// NewBrowser returns the key of a browser that has none.
func NewBrowser() Browser { return Browser(random()) }

// ReadBrowser returns the key in a cookie; false if it is none.
func ReadBrowser(value string) (Browser, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(value)
	return Browser(value), err == nil && len(raw) == randomBytes && len(value) == base64.RawURLEncoding.EncodedLen(randomBytes)
}

// binding is what values are sealed for: a hash, so that no step needs the key itself.
func (b Browser) binding() string {
	sum := sha256.Sum256([]byte(b))
	return string(sum[:])
}

// Ask is the page that asks a person to sign in.
type Ask struct {
	// Client is nil for a sign-in that leads to a device.
	Client  *v1alpha1.LoginClient
	Request *authorize.Request
	// Step is the sealed request. The next step sends it back.
	Step string
	// Passwords says whether people sign in with a user name and a password.
	Passwords bool
	// Providers are those at which people can sign in.
	Providers []Provider
}

// Consent is the page that asks a person whether an application may have tokens.
type Consent struct {
	Client  *v1alpha1.LoginClient
	Request *authorize.Request
	// Subject is the person who has signed in.
	Subject string
	// Step is sealed. The answer of the person sends it back.
	Step string
}

// Next is what follows a step: a page that asks for consent, one that asks for the code of a device, a provider at which the person signs in,
// or the URL of the application that the browser returns to.
type Next struct {
	Consent  *Consent
	Entry    *Entry
	Away     *Away
	Redirect string
	// Person is who has signed in; zero for none.
	Person authorize.SignedIn
	// Refused is the error that the application gets; empty for none.
	Refused oauth.Code
}

// Begin reads the parameters of /authorize, and returns the page to sign in. The errors are those of authorize.Read.
func (s *Service) Begin(ctx context.Context, issuer *registry.Issuer, form oauth.Form, browser Browser) (*Ask, error) {
	if _, err := s.gate.Pass(); err != nil {
		return nil, err
	}
	if sealed, pushed := strings.CutPrefix(form.Get(oauth.ParamRequestURI), oauth.RequestURIPrefix); pushed {
		return s.beginPushed(ctx, issuer, sealed, form.Get(oauth.ParamClientID), browser)
	}
	request, err := authorize.Read(issuer.Login.Clients, form)
	if err != nil {
		return nil, err
	}
	return s.ask(issuer, request, browser)
}

// Push returns the request_uri of a request that an application pushes (RFC 9126 §2). It is the sealed request: nothing is stored, and
// nothing is fetched. If the client proved a key, the redemption needs it, too (RFC 9449 §10.1). The errors are those of authorize.Read.
func (s *Service) Push(issuer *registry.Issuer, form oauth.Form, proven string) (string, error) {
	if _, err := s.gate.Pass(); err != nil {
		return "", err
	}
	request, err := authorize.Read(issuer.Login.Clients, form)
	if err != nil {
		return "", err
	}
	switch {
	case proven == "":
	case request.JWKThumbprint == "":
		request.JWKThumbprint = proven
	case request.JWKThumbprint != proven:
		return "", oauth.Refuse(oauth.InvalidDPoPProof, "dpop_jkt is not the key of the proof.")
	}
	sealed, err := s.seal(issuer, sealedPushed, "", request, PushedLife)
	return oauth.RequestURIPrefix + sealed, err
}

// beginPushed begins with a pushed request. The other parameters of /authorize do not count (RFC 9126 §4).
func (s *Service) beginPushed(ctx context.Context, issuer *registry.Issuer, sealed, client string, browser Browser) (*Ask, error) {
	request := &authorize.Request{}
	issuer, err := s.open(ctx, issuer, sealedPushed, "", sealed, request)
	if err != nil {
		return nil, err
	}
	if request.Stands(issuer.Login.Clients) == nil || request.Client != client {
		return nil, &authorize.PageError{Description: "The request_uri was not pushed by this client_id."}
	}
	return s.ask(issuer, request, browser)
}

func (s *Service) ask(issuer *registry.Issuer, request *authorize.Request, browser Browser) (*Ask, error) {
	step, err := s.seal(issuer, sealedRequest, browser.binding(), request, StepLife)
	if err != nil {
		return nil, err
	}
	return askOf(issuer, request, step), nil
}

func askOf(issuer *registry.Issuer, request *authorize.Request, step string) *Ask {
	return &Ask{
		Client: authorize.Find(issuer.Login.Clients, request.Client), Request: request, Step: step, Passwords: issuer.Login.Passwords != "",
		Providers: providersOf(issuer),
	}
}

// Again returns the page of a step once more, after a refusal. The time for the step does not begin again.
func (s *Service) Again(ctx context.Context, issuer *registry.Issuer, step string, browser Browser) (*Ask, error) {
	request, issuer, err := s.request(ctx, issuer, step, browser)
	if err != nil {
		return nil, err
	}
	return askOf(issuer, request, step), nil
}

// Password signs a person in with a user name and a password. The refusals are those of session.PasswordLogin.
func (s *Service) Password(ctx context.Context, issuer *registry.Issuer, step string, browser Browser, login *session.PasswordLogin) (*Next, error) {
	request, issuer, err := s.request(ctx, issuer, step, browser)
	if err != nil {
		return nil, err
	}
	if err := login.Check(issuer); err != nil {
		return nil, err
	}
	signedIn, err := s.sessions.Authenticate(ctx, issuer, login)
	if err != nil {
		return nil, err
	}
	return s.next(issuer, request, signedIn.Proven(s.clock.Now()), browser)
}

// next asks for the code of a device, or for consent where the client needs it, and otherwise returns to the client with a code.
func (s *Service) next(issuer *registry.Issuer, request *authorize.Request, person authorize.SignedIn, browser Browser) (*Next, error) {
	if request.Device != nil {
		return s.enter(issuer, request.Device, person, browser)
	}
	code := &authorize.Code{Request: *request, SignedIn: person, ID: random(), Namespace: issuer.Login.SessionNamespace}
	cluster, err := s.gate.Pass()
	if err != nil {
		return nil, err
	}
	var refused *oauth.Error
	switch err := s.sessions.Grants(cluster, issuer, code); {
	case errors.As(err, &refused):
		return refuse(issuer, request, person, refused), nil
	case err != nil:
		return nil, err
	}
	client := authorize.Find(issuer.Login.Clients, request.Client)
	if client.Consent == v1alpha1.ConsentNever {
		return s.grant(issuer, code)
	}
	step, err := s.seal(issuer, sealedConsent, browser.binding(), code, StepLife)
	if err != nil {
		return nil, err
	}
	return &Next{Consent: &Consent{Client: client, Request: request, Subject: person.Subject, Step: step}, Person: person}, nil
}

// refuse returns to the client with a refusal. The person is zero if none has signed in.
func refuse(issuer *registry.Issuer, request *authorize.Request, person authorize.SignedIn, reason *oauth.Error) *Next {
	refusal := &authorize.RefusedError{Request: request, Reason: reason}
	return &Next{Redirect: refusal.RedirectRefused(issuer.URL), Person: person, Refused: reason.Code}
}

// Decide takes the answer of a person to a page of consent, and returns where the browser goes.
func (s *Service) Decide(ctx context.Context, issuer *registry.Issuer, step string, browser Browser, allowed bool) (*Next, error) {
	code := &authorize.Code{}
	issuer, err := s.open(ctx, issuer, sealedConsent, browser.binding(), step, code)
	if err != nil {
		return nil, err
	}
	if code.Request.Stands(issuer.Login.Clients) == nil {
		return nil, ErrStep
	}
	if !allowed {
		return refuse(issuer, &code.Request, code.SignedIn, oauth.Refuse(oauth.AccessDenied, "The person did not allow it.")), nil
	}
	// Each answer is a sign-in of its own.
	code.ID = random()
	return s.grant(issuer, code)
}

// grant returns to the client with a code.
func (s *Service) grant(issuer *registry.Issuer, code *authorize.Code) (*Next, error) {
	kept := *code
	// The redemption does not need them, and a code has to be short.
	kept.Request.State, kept.Request.LoginHint = "", ""
	sealed, err := s.seal(issuer, authorize.SealedCode, "", &kept, authorize.CodeLife)
	if err != nil {
		return nil, err
	}
	if len(sealed) > authorize.MaxCode {
		reason := oauth.Refuse(oauth.InvalidRequest, "What the provider says of the person is too long.")
		return refuse(issuer, &code.Request, code.SignedIn, reason), nil
	}
	return &Next{Redirect: code.Request.Redirect(issuer.URL, url.Values{oauth.ParamCode: {sealed}}), Person: code.SignedIn}, nil
}

// request opens the step of a page to sign in.
func (s *Service) request(ctx context.Context, issuer *registry.Issuer, step string, browser Browser) (*authorize.Request, *registry.Issuer, error) {
	request := &authorize.Request{}
	issuer, err := s.open(ctx, issuer, sealedRequest, browser.binding(), step, request)
	if err != nil {
		return nil, nil, err
	}
	if !stands(issuer, request) {
		return nil, nil, ErrStep
	}
	return request, issuer, nil
}

func (s *Service) open(ctx context.Context, issuer *registry.Issuer, purpose seal.Purpose, binding, step string, v any) (*registry.Issuer, error) {
	from, err := s.gate.Pass()
	if err != nil {
		return nil, err
	}
	issuer, err = registry.OpenSealed(ctx, from, issuer, purpose, binding, step, v, s.clock.Now())
	if errors.Is(err, seal.ErrForeign) || errors.Is(err, seal.ErrExpired) || errors.Is(err, seal.ErrUnknownKey) {
		err = ErrStep
	}
	return issuer, err
}

func (s *Service) seal(issuer *registry.Issuer, purpose seal.Purpose, binding string, v any, life time.Duration) (string, error) {
	sealed, err := issuer.Box(purpose, binding).Seal(v, s.clock.Now().Add(life))
	if errors.Is(err, keyring.ErrNoActiveKey) {
		return "", noSealKey()
	}
	return sealed, err
}

func noSealKey() error { return upstream.Unavailable("the issuer has no active seal key yet") }

package signin

import (
	"context"
	"net/url"
	"slices"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/session"
)

// maxState is the longest state that is sent to a provider, in bytes.
const maxState = 4 << 10

// Providers signs people in at OpenID Connect providers by the code flow.
type Providers interface {
	// AuthorizationURL returns where the browser goes, and upstream.ErrUnavailable while that is not known.
	AuthorizationURL(ctx context.Context, entry *v1alpha1.OIDCProvider, flow *identity.Flow) (string, error)
	// Redeem returns the person that an answer of the provider proves, and otherwise identity.ErrRefused, identity.ErrTooMany or
	// upstream.ErrUnavailable.
	Redeem(ctx context.Context, entry *v1alpha1.OIDCProvider, flow *identity.Flow, answer *identity.FlowAnswer) (*identity.Person, error)
}

// Provider is a provider at which people can sign in, for a page.
type Provider struct {
	// ID is that of endpoint.ProviderID.
	ID   string
	Name string
}

// Away is the way to a provider.
type Away struct {
	Client   *v1alpha1.LoginClient
	Provider Provider
	URL      string
}

// RetryError is the error of a provider after which the person can choose again, with the page for that.
type RetryError struct {
	Ask   *Ask
	cause error
}

func (r *RetryError) Error() string { return r.cause.Error() }

// Unwrap returns the error of the provider.
func (r *RetryError) Unwrap() error { return r.cause }

// trip is what a sign-in at a provider takes with it, sealed, as `state`.
type trip struct {
	Request authorize.Request `json:"request"`
	// Provider is its issuer URL.
	Provider string `json:"provider"`
	Nonce    string `json:"nonce"`
	// Verifier is that of PKCE. Only this service can open it.
	Verifier string `json:"verifier"`
}

func (t *trip) flow(issuer *registry.Issuer, state string) *identity.Flow {
	return &identity.Flow{
		RedirectURI: endpoint.CallbackURL(issuer.URL, endpoint.ProviderID(t.Provider)), State: state, Nonce: t.Nonce, Verifier: t.Verifier,
	}
}

// Upstream takes the choice of a provider, by its ID, and returns the way to it.
func (s *Service) Upstream(ctx context.Context, issuer *registry.Issuer, step string, browser Browser, id string) (*Next, error) {
	request, issuer, err := s.request(ctx, issuer, step, browser)
	if err != nil {
		return nil, err
	}
	entry := providerOf(issuer, id)
	if entry == nil {
		return nil, ErrStep
	}
	begun := &trip{Request: *request, Provider: entry.IssuerURL, Nonce: random(), Verifier: random()}
	state, err := s.seal(issuer, sealedAway, browser.binding(), begun, StepLife)
	if err != nil {
		return nil, err
	}
	if len(state) > maxState {
		return refuse(issuer, request, authorize.SignedIn{}, oauth.Refuse(oauth.InvalidRequest, "The request is too long for a sign-in at a provider.")), nil
	}
	to, err := s.providers.AuthorizationURL(ctx, entry, begun.flow(issuer, state))
	if err != nil {
		return nil, &RetryError{askOf(issuer, request, step), err}
	}
	return &Next{Away: &Away{Client: authorize.Find(issuer.Login.Clients, request.Client), Provider: shown(entry), URL: to}}, nil
}

// Callback takes the answer of a provider, which the browser brings to the provider's own path. An answer without a valid state is ErrStep,
// and so is one at the path of another provider. Every other failure is a *RetryError.
func (s *Service) Callback(ctx context.Context, issuer *registry.Issuer, id string, form oauth.Form, browser Browser, address string) (*Next, error) {
	begun, state := &trip{}, form.Get(oauth.ParamState)
	issuer, err := s.open(ctx, issuer, sealedAway, browser.binding(), state, begun)
	if err != nil {
		return nil, err
	}
	entry := providerOf(issuer, id)
	if entry == nil || entry.IssuerURL != begun.Provider || !stands(issuer, &begun.Request) {
		return nil, ErrStep
	}
	answer := &identity.FlowAnswer{Code: form.Get(oauth.ParamCode), Issuer: form.Get(oauth.ParamIssuer), Address: address}
	if form.Get(oauth.ParamError) != "" {
		answer.Code = ""
	}
	person, err := s.providers.Redeem(ctx, entry, begun.flow(issuer, state), answer)
	if err != nil {
		ask, failed := s.ask(issuer, &begun.Request, browser)
		if failed != nil {
			return nil, failed
		}
		return nil, &RetryError{ask, err}
	}
	signedIn := session.OfProvider(issuer, entry.IssuerURL, person)
	return s.next(issuer, &begun.Request, signedIn.Proven(s.clock.Now()), browser)
}

// stands reports whether a request still is one of a declared client. A device names its client only by its code, at a later step.
func stands(issuer *registry.Issuer, request *authorize.Request) bool {
	return request.Device != nil || request.Stands(issuer.Login.Clients) != nil
}

// providerOf returns the entry of a provider that has a client; nil if there is none.
func providerOf(issuer *registry.Issuer, id string) *v1alpha1.OIDCProvider {
	at := slices.IndexFunc(issuer.Login.Providers, func(entry v1alpha1.OIDCProvider) bool {
		return entry.Client != nil && endpoint.ProviderID(entry.IssuerURL) == id
	})
	if at < 0 {
		return nil
	}
	return &issuer.Login.Providers[at]
}

// providersOf returns the providers of an issuer that have a client.
func providersOf(issuer *registry.Issuer) (all []Provider) {
	for i := range issuer.Login.Providers {
		if issuer.Login.Providers[i].Client != nil {
			all = append(all, shown(&issuer.Login.Providers[i]))
		}
	}
	return all
}

func shown(entry *v1alpha1.OIDCProvider) Provider {
	name := entry.DisplayName
	if name == "" {
		name = entry.IssuerURL
		if at, err := url.Parse(entry.IssuerURL); err == nil && at.Host != "" {
			name = at.Host
		}
	}
	return Provider{ID: endpoint.ProviderID(entry.IssuerURL), Name: name}
}

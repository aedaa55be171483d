package identity

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// Flow is one sign-in at a provider by the authorization code flow (OpenID Connect Core §3.1).
type Flow struct {
	// RedirectURI is where the provider sends the browser back to.
	RedirectURI string
	// State comes back with the browser, Nonce is in the id_token, and Verifier is that of PKCE (RFC 7636).
	State, Nonce, Verifier string
}

// FlowAnswer is what a browser brings back from a provider.
type FlowAnswer struct {
	// Code is empty if the provider refused.
	Code string
	// Issuer is `iss` (RFC 9207); empty if it is absent.
	Issuer string
	// Address is where the browser is.
	Address string
}

// CodeFlows signs people in at providers whose entry has a client.
type CodeFlows struct {
	providers *Providers
	proofs    *ClientProofs
	failures  *AddressAttempts
}

// NewCodeFlows returns a CodeFlows that shares the documents of providers.
func NewCodeFlows(providers *Providers, proofs *ClientProofs) (*CodeFlows, error) {
	failures, err := NewAddressAttempts()
	return &CodeFlows{providers: providers, proofs: proofs, failures: failures}, err
}

// defaultScopes are asked for besides openid where an entry has none.
var defaultScopes = []string{"profile", "email"}

// flowMetadata is the part of the discovery document for the code flow.
type flowMetadata struct {
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	// Issuer says that every answer has `iss` (RFC 9207 §3).
	Issuer bool `json:"authorization_response_iss_parameter_supported"`
}

// AuthorizationURL returns the URL at the provider to which the browser goes. It returns upstream.ErrUnavailable while the provider's
// metadata are not known.
func (f *CodeFlows) AuthorizationURL(ctx context.Context, entry *v1alpha1.OIDCProvider, flow *Flow) (string, error) {
	found, err := f.metadata(ctx, entry)
	if err != nil {
		return "", err
	}
	return configOf(found, entry, flow).AuthCodeURL(flow.State, oidc.Nonce(flow.Nonce), oauth2.S256ChallengeOption(flow.Verifier)), nil
}

// Redeem returns the person of a code. It returns ErrRefused if the provider, or what it says, refuses the person, ErrTooMany after too
// many refusals at one address, and upstream.ErrUnavailable for every failure that is no verdict on the person.
func (f *CodeFlows) Redeem(ctx context.Context, entry *v1alpha1.OIDCProvider, flow *Flow, answer *FlowAnswer) (*Person, error) {
	now := f.providers.clock.Now()
	if !f.failures.Left(answer.Address, now) {
		return nil, ErrTooMany
	}
	person, err := f.redeem(ctx, entry, flow, answer)
	if errors.Is(err, ErrRefused) {
		f.failures.Allow(answer.Address, now)
	}
	return person, err
}

func (f *CodeFlows) redeem(ctx context.Context, entry *v1alpha1.OIDCProvider, flow *Flow, answer *FlowAnswer) (*Person, error) {
	if answer.Issuer != "" && answer.Issuer != entry.IssuerURL {
		return nil, ErrRefused
	}
	if answer.Code == "" {
		return nil, ErrRefused
	}
	ctx, cancel := context.WithTimeout(ctx, f.providers.within)
	defer cancel()
	found, err := f.metadata(ctx, entry)
	if err != nil {
		return nil, err
	}
	if found.Issuer && answer.Issuer == "" {
		return nil, ErrRefused
	}
	compact, err := f.exchange(ctx, found, entry, flow, answer.Code)
	if err != nil {
		return nil, err
	}
	// The id_token of a flow is for the client of the entry, and not for another one of its audiences.
	narrowed := *entry
	narrowed.Audiences = []string{entry.Client.ID}
	verified, err := f.providers.verified(ctx, &narrowed, compact)
	if err != nil {
		return nil, err
	}
	if !hasNonce(verified, flow.Nonce) {
		return nil, ErrRefused
	}
	return personOf(&narrowed, verified, f.providers.clock.Now())
}

func (f *CodeFlows) metadata(ctx context.Context, entry *v1alpha1.OIDCProvider) (*flowMetadata, error) {
	found := &flowMetadata{}
	if err := f.providers.Metadata(ctx, entry, found); err != nil {
		return nil, err
	}
	for _, endpoint := range [...]string{found.Authorization, found.Token} {
		if at, err := url.Parse(endpoint); err != nil || at.Scheme != "https" || at.Host == "" || at.User != nil || at.Fragment != "" {
			return nil, unavailable(entry.IssuerURL, errors.New("its authorization_endpoint or token_endpoint is not an https URL"))
		}
	}
	return found, nil
}

func configOf(found *flowMetadata, entry *v1alpha1.OIDCProvider, flow *Flow) *oauth2.Config {
	scopes := entry.Client.Scopes
	if scopes == nil {
		scopes = defaultScopes
	}
	scopes = slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool { return scope == oidc.ScopeOpenID })
	return &oauth2.Config{
		ClientID: entry.Client.ID, RedirectURL: flow.RedirectURI, Scopes: append([]string{oidc.ScopeOpenID}, scopes...),
		Endpoint: oauth2.Endpoint{AuthURL: found.Authorization, TokenURL: found.Token, AuthStyle: oauth2.AuthStyleInParams},
	}
}

// exchange redeems a code at the token endpoint, and returns the id_token.
func (f *CodeFlows) exchange(ctx context.Context, found *flowMetadata, entry *v1alpha1.OIDCProvider, flow *Flow, code string) (string, error) {
	at, err := f.providers.provider(entry)
	if err != nil {
		return "", err
	}
	config := configOf(found, entry, flow)
	proof, err := f.prove(ctx, config, found.AuthMethods, entry)
	if err != nil {
		return "", err
	}
	select {
	case at.redeeming <- struct{}{}:
		defer func() { <-at.redeeming }()
	default:
		return "", unavailable(entry.IssuerURL, errTooManyWait)
	}
	got, err := config.Exchange(oidc.ClientContext(ctx, at.client), code, append(proof, oauth2.VerifierOption(flow.Verifier))...)
	if err != nil {
		return "", judged(entry.IssuerURL, err)
	}
	compact, _ := got.Extra("id_token").(string)
	if compact == "" {
		return "", unavailable(entry.IssuerURL, errors.New("its token endpoint gives no id_token"))
	}
	return compact, nil
}

// assertionType is the client_assertion_type of RFC 7523 §2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// prove adds the client's proof to a request for tokens. A public client has none.
func (f *CodeFlows) prove(ctx context.Context, config *oauth2.Config, methods []string, entry *v1alpha1.OIDCProvider) ([]oauth2.AuthCodeOption, error) {
	switch client := entry.Client; {
	case client.SecretRef != nil:
		secret, err := f.proofs.secret(ctx, client.SecretRef.Name)
		if err != nil {
			return nil, err
		}
		config.ClientSecret = secret
		// client_secret_basic is the default (OpenID Connect Discovery §3).
		if !slices.Contains(methods, "client_secret_post") || slices.Contains(methods, "client_secret_basic") {
			config.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
		}
	case client.Assertion != nil:
		assertion, err := f.proofs.assertion(ctx, entry.IssuerURL)
		if err != nil {
			return nil, err
		}
		return []oauth2.AuthCodeOption{
			oauth2.SetAuthURLParam("client_assertion_type", assertionType), oauth2.SetAuthURLParam("client_assertion", assertion),
		}, nil
	}
	return nil, nil
}

// judged returns ErrRefused for a refusal of the code or of the person, and upstream.ErrUnavailable for everything else: a fault of the
// provider or of the client's declaration is no verdict on the person. It leaves out the body of the answer, which may hold a token.
func judged(issuer string, err error) error {
	var answered *oauth2.RetrieveError
	if !errors.As(err, &answered) {
		return unavailable(issuer, err)
	}
	status := answered.Response.StatusCode
	if final := answered.ErrorCode == "invalid_grant" || answered.ErrorCode == "access_denied"; final && status < http.StatusInternalServerError {
		return ErrRefused
	}
	return unavailable(issuer, fmt.Errorf("its token endpoint answers %d %q", status, answered.ErrorCode))
}

// hasNonce reports whether an id_token is the one of a flow (OpenID Connect Core §3.1.3.7, 11).
func hasNonce(verified *oidc.IDToken, nonce string) bool {
	var claims map[string]json.RawMessage
	var said string
	if verified.Claims(&claims) != nil || json.Unmarshal(claims["nonce"], &said) != nil {
		return false
	}
	return nonce != "" && subtle.ConstantTimeCompare([]byte(said), []byte(nonce)) == 1
}

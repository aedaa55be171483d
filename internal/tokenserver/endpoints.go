package tokenserver

import (
	"slices"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/dpop"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/session"
)

func (s *Server) token(r *Request) error {
	form, err := s.clientForm(r)
	if err != nil {
		return err
	}
	asked := form.Get(oauth.ParamGrantType)
	read, known := tokenGrants[asked]
	switch {
	case known:
	case asked == "":
		return oauth.Refuse(oauth.InvalidRequest, "grant_type is missing.")
	default:
		return oauth.Refuse(oauth.UnsupportedGrantType, "The grant type is not supported; see grant_types_supported in the metadata.")
	}
	r.Grant = asked
	request, err := read(s, r, form)
	if err != nil {
		return err
	}
	answer, err := s.Grants.Token(r.http.Context(), r.issuer, request, &r.Outcome)
	if err != nil {
		return err
	}
	return s.grant(r, answer)
}

// tokenGrants maps each supported grant_type to what reads its request and chooses its issuer.
var tokenGrants = map[string]func(*Server, *Request, oauth.Form) (grant.Request, error){
	oauth.GrantAuthorizationCode: (*Server).code,
	oauth.GrantRefreshToken:      (*Server).refresh,
	oauth.GrantTokenExchange:     (*Server).exchange,
	oauth.GrantDeviceCode:        (*Server).poll,
	oauth.GrantPassword:          (*Server).password,
}

func (s *Server) refresh(r *Request, form oauth.Form) (grant.Request, error) {
	seen, err := s.seen(r.http, form)
	if err != nil {
		return nil, err
	}
	compact := form.Get(oauth.ParamRefreshToken)
	if err := s.chooseByToken(r, compact); err != nil {
		return nil, err
	}
	return &grant.RefreshRequest{
		Token:     compact,
		Scope:     form.Get(oauth.ParamScope),
		Resources: targets(form),
		ClientID:  clientID(r.http, form),
		Seen:      seen,

		Credentials: credentials(r.http, form),
	}, nil
}

// code reads the redemption of an authorization code (RFC 6749 §4.1.3). Only the issuer at its own url has codes.
func (s *Server) code(r *Request, form oauth.Form) (grant.Request, error) {
	seen, err := s.seen(r.http, form)
	if err != nil {
		return nil, err
	}
	if err := r.published(); err != nil {
		return nil, err
	}
	return &grant.CodeRequest{
		Code: form.Get(oauth.ParamCode), ClientID: clientID(r.http, form), RedirectURI: form.Get(oauth.ParamRedirectURI),
		Verifier: form.Get(oauth.ParamCodeVerifier), Resources: targets(form),
		Terms: session.Terms{Seen: seen, Credentials: credentials(r.http, form)},
	}, nil
}

func (s *Server) exchange(r *Request, form oauth.Form) (grant.Request, error) {
	terms, err := s.login(r, form, form.Get(oauth.ParamSubjectToken))
	if err != nil {
		return nil, err
	}
	return &grant.LoginRequest{Login: &session.ExchangeLogin{
		Terms:              *terms,
		SubjectToken:       form.Get(oauth.ParamSubjectToken),
		SubjectTokenType:   form.Get(oauth.ParamSubjectTokenType),
		ActorToken:         form.Get(oauth.ParamActorToken),
		ActorTokenType:     form.Get(oauth.ParamActorTokenType),
		RequestedTokenType: form.Get(oauth.ParamRequestedTokenType),
	}}, nil
}

func (s *Server) password(r *Request, form oauth.Form) (grant.Request, error) {
	terms, err := s.login(r, form, "")
	if err != nil {
		return nil, err
	}
	return &grant.LoginRequest{Login: &session.PasswordLogin{
		Terms: *terms, Username: form.Get(oauth.ParamUsername), Password: form.Get(oauth.ParamPassword), Address: address(r.http),
	}}, nil
}

// login returns the part of a login that all grants share, and chooses the issuer.
func (s *Server) login(r *Request, form oauth.Form, subjectToken string) (*session.Terms, error) {
	seen, err := s.seen(r.http, form)
	if err != nil {
		return nil, err
	}
	issuer, err := s.Grants.IssuerOfLogin(r.place, subjectToken)
	if err != nil {
		return nil, err
	}
	r.choose(issuer)
	return &session.Terms{Audiences: targets(form), Scope: form.Get(oauth.ParamScope), Seen: seen, Credentials: credentials(r.http, form)}, nil
}

// targets returns the requested APIs (RFC 8707 §2, RFC 8693 §2.1).
func targets(form oauth.Form) []string {
	return slices.Concat(form[oauth.ParamResource], form[oauth.ParamAudience])
}

func (s *Server) revoke(r *Request) error {
	form, err := s.clientForm(r)
	if err != nil {
		return err
	}
	compact := form.Get(oauth.ParamToken)
	if err := s.chooseByToken(r, compact); err != nil {
		return err
	}
	if err := s.Grants.Revoke(r.http.Context(), r.issuer, compact, form.Get(oauth.ParamClientAssertion), &r.Outcome); err != nil {
		return err
	}
	return s.answer(r, nil)
}

// chooseByToken chooses the issuer by the token. If the token names none, any issuer of the place refuses it.
func (s *Server) chooseByToken(r *Request, compact string) error {
	issuer, err := s.Grants.IssuerOf(r.http.Context(), r.place, compact, "/"+r.Endpoint)
	if err != nil {
		return err
	}
	if issuer != nil {
		r.choose(issuer)
	} else if r.issuer == nil {
		r.issuer = r.place.Any()
	}
	return nil
}

// introspect answers callers with a bearer token that the cluster issued for this issuer, and with the right to
// ask about tokens of the namespace.
func (s *Server) introspect(r *Request) error {
	form, err := s.form(r)
	if err != nil {
		return err
	}
	if len(r.http.Header.Values("Authorization")) > 1 {
		return oauth.Refuse(oauth.InvalidRequest, "More than one Authorization header.")
	}
	bearer, asked := identity.Bearer(r.http.Header.Get("Authorization"))
	switch {
	case !asked:
		return errNoCredentials
	case bearer == "":
		return oauth.Refuse(oauth.InvalidToken, "The Authorization header must be Bearer, one space and a token.")
	}
	compact := form.Get(oauth.ParamToken)
	issuer, err := s.Grants.IssuerOfQuestion(r.http.Context(), r.place, compact, bearer, "/"+r.Endpoint)
	if err != nil {
		return err
	}
	r.choose(issuer)
	caller, err := s.Callers.Authenticate(r.http.Context(), r.issuer.URL, bearer)
	if err != nil {
		return err
	}
	r.Caller = caller.Name()
	answer, err := s.Grants.Introspect(r.http.Context(), r.issuer, compact, form.Get(oauth.ParamTokenTypeHint), caller.MayIntrospect, &r.Outcome)
	if err != nil {
		return err
	}
	return s.answer(r, answer)
}

// published chooses the issuer of the metadata and keys that a place serves: the one that has the place as its
// url.
func (r *Request) published() error {
	r.choose(r.place.Owner())
	switch {
	case r.issuer == nil:
		return errShared
	case r.issuer.Rings == nil:
		return errNoKeys
	default:
		return nil
	}
}

func (s *Server) jwks(r *Request) error {
	if err := r.published(); err != nil {
		return err
	}
	return s.publish(r, "application/jwk-set+json", r.issuer.Rings.PublicJWKS())
}

// metadata serves the same document at both paths (RFC 8414 §3, OpenID Connect Discovery §4).
func (s *Server) metadata(r *Request) error {
	if err := r.published(); err != nil {
		return err
	}
	url := r.issuer.URL
	document := oauth.Metadata{
		Issuer:                                 url,
		TokenEndpoint:                          endpoint.TokenURL(url),
		RevocationEndpoint:                     endpoint.RevokeURL(url),
		IntrospectionEndpoint:                  endpoint.IntrospectURL(url),
		JWKSURI:                                endpoint.JWKSURL(url),
		GrantTypesSupported:                    grants(r.issuer),
		ResponseTypesSupported:                 responseTypes(r.issuer),
		SubjectTypesSupported:                  []string{"public"},
		IDTokenSigningAlgValuesSupported:       algorithms(),
		TokenEndpointAuthMethodsSupported:      []string{"none"},
		RevocationEndpointAuthMethodsSupported: []string{"none"},
		DPoPSigningAlgValuesSupported:          dpop.Algorithms(),

		RefreshTokenExpirationTypesSupported: []string{oauth.ExpirationAuthorization, oauth.ExpirationTokenTimeout},
	}
	if len(r.issuer.Login.Clients) > 0 {
		document.BrowserMetadata = browsers(r.issuer)
	}
	return s.publish(r, "application/json", document)
}

// browsers returns the part of the metadata about sign-in with a browser.
func browsers(issuer *registry.Issuer) *oauth.BrowserMetadata {
	scopes := []string{v1alpha1.ScopeOpenID}
	for i := range issuer.Login.Clients {
		scopes = append(scopes, issuer.Login.Clients[i].Scopes...)
	}
	document := &oauth.BrowserMetadata{
		AuthorizationEndpoint:                      endpoint.AuthorizeURL(issuer.URL),
		UserInfoEndpoint:                           endpoint.UserInfoURL(issuer.URL),
		PushedAuthorizationRequestEndpoint:         endpoint.PushedURL(issuer.URL),
		ResponseModesSupported:                     []string{oauth.ResponseModeQuery},
		CodeChallengeMethodsSupported:              []string{oauth.ChallengeS256},
		AuthorizationResponseIssParameterSupported: true,
		PromptValuesSupported:                      []string{oauth.PromptNone, oauth.PromptLogin},
		ScopesSupported:                            slices.Compact(slices.Sorted(slices.Values(scopes))),
		ClaimsSupported:                            []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash"},
	}
	if issuer.Login.HasDevices() {
		document.DeviceAuthorizationEndpoint = endpoint.DeviceAuthorizationURL(issuer.URL)
	}
	return document
}

// grants returns the grants that an issuer offers: passwords only if the issuer enables them.
func grants(issuer *registry.Issuer) []string {
	offered := []string{oauth.GrantRefreshToken, oauth.GrantTokenExchange}
	if len(issuer.Login.Clients) > 0 {
		offered = append(offered, oauth.GrantAuthorizationCode)
	}
	if issuer.Login.HasDevices() {
		offered = append(offered, oauth.GrantDeviceCode)
	}
	if issuer.Login.Passwords != "" {
		offered = append(offered, oauth.GrantPassword)
	}
	return offered
}

// responseTypes returns what an authorization endpoint answers. Discovery requires a value also where there is none (OpenID Connect
// Discovery §3).
func responseTypes(issuer *registry.Issuer) []string {
	if len(issuer.Login.Clients) > 0 {
		return []string{oauth.ResponseTypeCode}
	}
	return []string{"id_token"}
}

// algorithms returns all algorithms that an issuer may ever sign with. Verifiers cache metadata (go-oidc until it
// ends), and one that read only the current algorithm would refuse every token after a change. The JWKS specifies
// the algorithm of each key. RS256 must be included (OpenID Connect Discovery §3).
func algorithms() []string {
	var names []string
	for _, algorithm := range keyring.Algorithms() {
		names = append(names, string(algorithm))
	}
	return names
}

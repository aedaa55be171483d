package oauth

import (
	"bytes"
	"net/url"
	"unicode/utf8"
)

// Limits of a request's body.
const (
	// MaxBody is the largest body that is read, in bytes.
	MaxBody = 64 << 10
	// MaxParameters is the most parameters of a request.
	MaxParameters = 64
)

// Names of parameters.
const (
	ParamGrantType     = "grant_type"
	ParamRefreshToken  = "refresh_token"
	ParamScope         = "scope"
	ParamToken         = "token"
	ParamTokenTypeHint = "token_type_hint"
	ParamResource      = "resource"
	ParamAudience      = "audience"
	ParamDeviceID      = "device_id"
	ParamClientID      = "client_id"
	ParamClientSecret  = "client_secret"
	// ParamClientAssertion is of RFC 7521 §4.2.
	ParamClientAssertion     = "client_assertion"
	ParamClientAssertionType = "client_assertion_type"
	ParamUsername            = "username"
	ParamPassword            = "password"
	// The parameters of RFC 8693 §2.1.
	ParamSubjectToken       = "subject_token"
	ParamSubjectTokenType   = "subject_token_type"
	ParamActorToken         = "actor_token"
	ParamActorTokenType     = "actor_token_type"
	ParamRequestedTokenType = "requested_token_type"
)

// The parameters of a sign-in with a browser.
const (
	// Those of RFC 6749 §4.1.1 and §4.1.3.
	ParamResponseType = "response_type"
	ParamRedirectURI  = "redirect_uri"
	ParamState        = "state"
	ParamCode         = "code"
	// Those of RFC 7636 §4.3 and §4.5.
	ParamCodeChallenge       = "code_challenge"
	ParamCodeChallengeMethod = "code_challenge_method"
	ParamCodeVerifier        = "code_verifier"
	// Those of OpenID Connect Core §3.1.2.1.
	ParamNonce      = "nonce"
	ParamPrompt     = "prompt"
	ParamLoginHint  = "login_hint"
	ParamRequest    = "request"
	ParamRequestURI = "request_uri"
	// ParamResponseMode is of OAuth 2.0 Multiple Response Type Encoding Practices §2.1.
	ParamResponseMode = "response_mode"
	// ParamDPoPThumbprint is of RFC 9449 §10.
	ParamDPoPThumbprint = "dpop_jkt"
	// Those of the answer: RFC 6749 §4.1.2.1, RFC 9207 §2.
	ParamError            = "error"
	ParamErrorDescription = "error_description"
	ParamIssuer           = "iss"
)

// The parameters of the sign-in of a device.
const (
	// ParamDeviceCode is of RFC 8628 §3.4, and ParamUserCode of §3.3.1.
	ParamDeviceCode = "device_code"
	ParamUserCode   = "user_code"
)

// The values of the parameters of a sign-in with a browser.
const (
	ResponseTypeCode  = "code"
	ResponseModeQuery = "query"
	// ChallengeS256 is of RFC 7636 §4.2. The method plain is not supported.
	ChallengeS256 = "S256"
	PromptLogin   = "login"
	PromptNone    = "none"
	// RequestURIPrefix begins the request_uri of a pushed request (RFC 9126 §2.2).
	RequestURIPrefix = "urn:ietf:params:oauth:request_uri:"
	// ScopeOfflineAccess asks for a refresh token (OpenID Connect Core §11), which every sign-in gives.
	ScopeOfflineAccess = "offline_access"
)

// HintRefreshToken is the token_type_hint for a refresh token (RFC 7009 §2.1).
const HintRefreshToken = "refresh_token"

// AssertionJWTBearer is the client_assertion_type of RFC 7523 §2.2.
const AssertionJWTBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" //nolint:gosec // it is a name

// The grants.
const (
	// GrantRefreshToken is of RFC 6749 §6.
	GrantRefreshToken = "refresh_token"
	// GrantAuthorizationCode is of RFC 6749 §4.1.3.
	GrantAuthorizationCode = "authorization_code"
	// GrantTokenExchange is of RFC 8693 §2.1.
	GrantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange" //nolint:gosec // a name, and no secret
	// GrantDeviceCode is of RFC 8628 §3.4.
	GrantDeviceCode = "urn:ietf:params:oauth:grant-type:device_code"
	// GrantPassword is of RFC 6749 §4.3. RFC 9700 §2.4 forbids its use.
	GrantPassword = "password"
)

// Supported token types of RFC 8693 §3.
const (
	TypeJWT         = "urn:ietf:params:oauth:token-type:jwt"
	TypeIDToken     = "urn:ietf:params:oauth:token-type:id_token"     //nolint:gosec // a name, and no secret
	TypeAccessToken = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // a name, and no secret
)

// repeatable lists the parameters that may occur more than once (RFC 8707 §2, RFC 8693 §2.1).
var repeatable = map[string]bool{ParamResource: true, ParamAudience: true}

// Form maps each parameter that has a value to its values.
type Form map[string][]string

// ParseForm parses a body of type application/x-www-form-urlencoded. It ignores a parameter without a value, and a
// repeated parameter is an error (RFC 6749 §3.2).
func ParseForm(body []byte) (Form, error) {
	if bytes.Count(body, []byte{'&'}) >= MaxParameters {
		return nil, Refuse(InvalidRequest, "The request has too many parameters.")
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, Refuse(InvalidRequest, "The body is not well-formed application/x-www-form-urlencoded.")
	}
	form := make(Form, len(values))
	for name, given := range values {
		for _, value := range given {
			if value == "" {
				continue
			}
			if !utf8.ValidString(name) || !utf8.ValidString(value) {
				return nil, Refuse(InvalidRequest, "The body is not UTF-8.")
			}
			if len(form[name]) > 0 && !repeatable[name] {
				return nil, Refuse(InvalidRequest, "A parameter is given more than once.")
			}
			form[name] = append(form[name], value)
		}
	}
	return form, nil
}

// Encode returns the form as a query, sorted by name.
func (f Form) Encode() string { return url.Values(f).Encode() }

// Get returns the first value of a parameter; empty if the parameter is absent.
func (f Form) Get(name string) string {
	if values := f[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

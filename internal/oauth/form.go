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

// HintRefreshToken is the token_type_hint for a refresh token (RFC 7009 §2.1).
const HintRefreshToken = "refresh_token"

// AssertionJWTBearer is the client_assertion_type of RFC 7523 §2.2.
const AssertionJWTBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" //nolint:gosec // it is a name

// The grants.
const (
	// GrantRefreshToken is of RFC 6749 §6.
	GrantRefreshToken = "refresh_token"
	// GrantTokenExchange is of RFC 8693 §2.1.
	GrantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange" //nolint:gosec // a name, and no secret
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

// Get returns the first value of a parameter; empty if the parameter is absent.
func (f Form) Get(name string) string {
	if values := f[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

package oauth

import "encoding/json"

// TokenAnswer is the answer to a grant (RFC 6749 §5.1).
type TokenAnswer struct {
	AccessToken string `json:"access_token"`
	// IssuedTokenType is set for RFC 8693 §2.2.1 only; empty for other grants.
	IssuedTokenType string `json:"issued_token_type,omitempty"`
	TokenType       string `json:"token_type"`
	// ExpiresIn is in seconds.
	ExpiresIn    int64  `json:"expires_in"`
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	// IDToken is of OpenID Connect Core §3.1.3.3; empty for none.
	IDToken string `json:"id_token,omitempty"`
	// RefreshTokenExpiresIn is the longest time until the refresh token ends, in seconds, under the name that
	// GitHub and others use.
	RefreshTokenExpiresIn int64 `json:"refresh_token_expires_in,omitempty"`
	// RefreshTokenTimeout is how long the refresh token remains usable without a use, in seconds.
	// AuthorizationExpiresIn is when the client's whole authorization ends, regardless of use. Both are of
	// draft-ietf-oauth-refresh-token-expiration §6.1, and 0 if there is no such end.
	RefreshTokenTimeout    int64 `json:"refresh_token_timeout,omitempty"`
	AuthorizationExpiresIn int64 `json:"authorization_expires_in,omitempty"`
	// DPoPNonce is sent as the DPoP-Nonce header (RFC 9449 §8.2); empty for none.
	DPoPNonce string `json:"-"`
}

// Values of token_type.
const (
	// TokenTypeBearer is of RFC 6750.
	TokenTypeBearer = "Bearer"
	// TokenTypeDPoP is of RFC 9449 §5: the token requires a proof signed with the client key.
	TokenTypeDPoP = "DPoP"
)

// Values of refresh_token_expiration_types_supported.
const (
	ExpirationAuthorization = "authorization"
	ExpirationTokenTimeout  = "token_timeout"
)

// PushedAnswer is the answer of RFC 9126 §2.2.
type PushedAnswer struct {
	RequestURI string `json:"request_uri"`
	// ExpiresIn is in seconds.
	ExpiresIn int64 `json:"expires_in"`
}

// DeviceAnswer is the answer of RFC 8628 §3.2.
type DeviceAnswer struct {
	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	// ExpiresIn and Interval are in seconds.
	ExpiresIn int64 `json:"expires_in"`
	Interval  int64 `json:"interval"`
}

// UserInfoAnswer is the answer of OpenID Connect Core §5.3.2.
type UserInfoAnswer struct {
	// Claims are the claims by their names, sub among them.
	Claims map[string]json.RawMessage
	// DPoPNonce is sent as the DPoP-Nonce header; empty for none.
	DPoPNonce string
}

// MarshalJSON returns the claims as one object.
func (a *UserInfoAnswer) MarshalJSON() ([]byte, error) { return json.Marshal(a.Claims) }

// Confirmation is what the presenter of a token must prove (RFC 7800 §3.1).
type Confirmation struct {
	// JWKThumbprint is the thumbprint of the client key that must sign the DPoP proofs (RFC 9449 §6.1).
	JWKThumbprint string `json:"jkt"`
}

// IntrospectionAnswer is the answer of RFC 7662 §2.2. For a token that is not active it contains Active only.
type IntrospectionAnswer struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	ExpiresAt int64  `json:"exp,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	NotBefore int64  `json:"nbf,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Audience  string `json:"aud,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	JTI       string `json:"jti,omitempty"`
	// Confirmation is of RFC 9449 §6.2; nil for a token that is not bound.
	Confirmation *Confirmation `json:"cnf,omitempty"`
}

// Metadata is the document of RFC 8414 §2 and of OpenID Connect Discovery.
type Metadata struct {
	Issuer                                    string   `json:"issuer"`
	TokenEndpoint                             string   `json:"token_endpoint"`
	RevocationEndpoint                        string   `json:"revocation_endpoint"`
	IntrospectionEndpoint                     string   `json:"introspection_endpoint"`
	JWKSURI                                   string   `json:"jwks_uri"`
	GrantTypesSupported                       []string `json:"grant_types_supported"`
	ResponseTypesSupported                    []string `json:"response_types_supported"`
	SubjectTypesSupported                     []string `json:"subject_types_supported"`
	IDTokenSigningAlgValuesSupported          []string `json:"id_token_signing_alg_values_supported"`
	TokenEndpointAuthMethodsSupported         []string `json:"token_endpoint_auth_methods_supported"`
	RevocationEndpointAuthMethodsSupported    []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionEndpointAuthMethodsSupported []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	// RefreshTokenExpirationTypesSupported is of draft-ietf-oauth-refresh-token-expiration §8.
	RefreshTokenExpirationTypesSupported []string `json:"refresh_token_expiration_types_supported,omitempty"`
	// DPoPSigningAlgValuesSupported is of RFC 9449 §5.1.
	DPoPSigningAlgValuesSupported []string `json:"dpop_signing_alg_values_supported,omitempty"`
	*BrowserMetadata
}

// BrowserMetadata is the part of Metadata about sign-in with a browser; nil for an issuer without it.
type BrowserMetadata struct {
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	UserInfoEndpoint      string `json:"userinfo_endpoint"`
	// PushedAuthorizationRequestEndpoint is of RFC 9126 §5.
	PushedAuthorizationRequestEndpoint string `json:"pushed_authorization_request_endpoint"`
	// DeviceAuthorizationEndpoint is of RFC 8628 §4; empty if no client has devices.
	DeviceAuthorizationEndpoint   string   `json:"device_authorization_endpoint,omitempty"`
	ResponseModesSupported        []string `json:"response_modes_supported"`
	CodeChallengeMethodsSupported []string `json:"code_challenge_methods_supported"`
	// AuthorizationResponseIssParameterSupported is of RFC 9207 §3.
	AuthorizationResponseIssParameterSupported bool `json:"authorization_response_iss_parameter_supported"`
	// RequestURIParameterSupported is about request_uri of others, and true if it is left out (OpenID Connect Discovery §3).
	RequestURIParameterSupported bool `json:"request_uri_parameter_supported"`
	// PromptValuesSupported is of Initiating User Registration via OpenID Connect §4.
	PromptValuesSupported []string `json:"prompt_values_supported"`
	ScopesSupported       []string `json:"scopes_supported"`
	ClaimsSupported       []string `json:"claims_supported"`
}

// ErrorAnswer is the body of a refusal (RFC 6749 §5.2).
type ErrorAnswer struct {
	Error       Code   `json:"error"`
	Description string `json:"error_description,omitempty"`
}

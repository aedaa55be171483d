package oauth

import (
	"strings"
	"time"
)

// Code is an OAuth error code.
type Code string

// Error codes, each with where it is defined.
const (
	// InvalidRequest is of RFC 6749 §5.2: a parameter is missing, repeated or malformed.
	InvalidRequest Code = "invalid_request"
	// InvalidClient is of RFC 6749 §5.2: client authentication failed.
	InvalidClient Code = "invalid_client"
	// InvalidGrant is of RFC 6749 §5.2: the token is refused permanently, and a client discards it. A refusal that
	// can be undone never has this code.
	InvalidGrant Code = "invalid_grant"
	// UnauthorizedClient is of RFC 6749 §5.2: the policy does not grant the request now, and may grant it later.
	UnauthorizedClient Code = "unauthorized_client"
	// UnsupportedGrantType is of RFC 6749 §5.2.
	UnsupportedGrantType Code = "unsupported_grant_type"
	// InvalidScope is of RFC 6749 §5.2: the request exceeds the granted scope.
	InvalidScope Code = "invalid_scope"
	// UnsupportedTokenType is of RFC 7009 §2.2.1: tokens of this type cannot be revoked.
	UnsupportedTokenType Code = "unsupported_token_type"
	// InvalidTarget is of RFC 8707 §2: the requested resource is not one of the token's.
	InvalidTarget Code = "invalid_target"
	// InvalidToken is of RFC 6750 §3.1: the caller's own token is not accepted.
	InvalidToken Code = "invalid_token"
	// InsufficientScope is of RFC 6750 §3.1: the access token lacks the scope of a resource. Of an introspection by a
	// caller without the right it is in the logs only: the answer is that the token is inactive (RFC 7662 §2.2).
	InsufficientScope Code = "insufficient_scope"
	// InvalidDPoPProof is of RFC 9449 §5: the proof is missing, invalid, or signed with another key.
	InvalidDPoPProof Code = "invalid_dpop_proof"
	// UseDPoPNonce is of RFC 9449 §8: the proof lacks the nonce that the answer contains.
	UseDPoPNonce Code = "use_dpop_nonce"
	// TemporarilyUnavailable is of RFC 6749 §4.1.2.1: the service cannot decide now. Sent with 503.
	TemporarilyUnavailable Code = "temporarily_unavailable"
	// SlowDown is of RFC 8628 §3.5: too many attempts. Sent with 429, and with 400 to a device that polls.
	SlowDown Code = "slow_down"
	// AuthorizationPending is of RFC 8628 §3.5: the person has not decided yet, and the device polls on.
	AuthorizationPending Code = "authorization_pending"
	// ExpiredToken is of RFC 8628 §3.5: the device code has expired, and the device begins again.
	ExpiredToken Code = "expired_token"
	// AccessDenied is of RFC 6749 §4.1.2.1: the person, or the token service, denied the request.
	AccessDenied Code = "access_denied"
	// UnsupportedResponseType is of RFC 6749 §4.1.2.1.
	UnsupportedResponseType Code = "unsupported_response_type"
	// LoginRequired is of OpenID Connect Core §3.1.2.6: the person must sign in, and the request forbids a page.
	LoginRequired Code = "login_required"
	// RequestNotSupported and RequestURINotSupported are of OpenID Connect Core §3.1.2.6.
	RequestNotSupported    Code = "request_not_supported"
	RequestURINotSupported Code = "request_uri_not_supported"
	// ServerError is of RFC 6749 §4.1.2.1, without details of the failure. Sent with 500.
	ServerError Code = "server_error"
)

// Error is a refusal as it is sent. Its description is fixed text and never echoes what a client sent.
type Error struct {
	Code        Code
	Description string
	// RetryAfter is how long the client waits before it retries; zero if unknown.
	RetryAfter time.Duration
	// DPoPNonce is sent as the DPoP-Nonce header (RFC 9449 §8); empty for none.
	DPoPNonce string
}

// Refuse returns an Error with the code and the description.
func Refuse(code Code, description string) *Error {
	return &Error{Code: code, Description: wireText(description)}
}

// Unavailable returns a TemporarilyUnavailable error, to be retried after retryAfter.
func Unavailable(description string) *Error {
	return &Error{Code: TemporarilyUnavailable, Description: wireText(description), RetryAfter: retryAfter}
}

// TooMany returns a SlowDown error, to be retried after tryAgainAfter.
func TooMany(description string) *Error {
	return &Error{Code: SlowDown, Description: wireText(description), RetryAfter: tryAgainAfter}
}

// tryAgainAfter is how long a client waits for its next attempt.
const tryAgainAfter = 12 * time.Second

// retryAfter lets a few retries cover a restart of the API server.
const retryAfter = 5 * time.Second

func (e *Error) Error() string { return string(e.Code) + ": " + e.Description }

// wireText replaces the characters that RFC 6749 §5.2 does not allow in error_description. Allowed are %x20-21,
// %x23-5B and %x5D-7E.
func wireText(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, text)
}

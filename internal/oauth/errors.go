package oauth

import (
	"strings"
	"time"
)

// Code is an error code of the wire.
type Code string

// Error codes, each with where it is defined.
const (
	// InvalidRequest is of RFC 6749 §5.2: a parameter is missing, repeated or malformed.
	InvalidRequest Code = "invalid_request"
	// InvalidClient is of RFC 6749 §5.2: the client is not who it has to be.
	InvalidClient Code = "invalid_client"
	// InvalidGrant is of RFC 6749 §5.2: the token is over for good, and a client discards it. What
	// can be taken back is never answered with it.
	InvalidGrant Code = "invalid_grant"
	// UnauthorizedClient is of RFC 6749 §5.2: policy does not grant this now, and may again.
	UnauthorizedClient Code = "unauthorized_client"
	// UnsupportedGrantType is of RFC 6749 §5.2.
	UnsupportedGrantType Code = "unsupported_grant_type"
	// InvalidScope is of RFC 6749 §5.2: more is asked for than was granted.
	InvalidScope Code = "invalid_scope"
	// UnsupportedTokenType is of RFC 7009 §2.2.1: tokens of this kind are not revoked.
	UnsupportedTokenType Code = "unsupported_token_type"
	// InvalidTarget is of RFC 8707 §2: the resource asked for is not one of the token's.
	InvalidTarget Code = "invalid_target"
	// InvalidToken is of RFC 6750 §3.1: the caller's own token is not accepted.
	InvalidToken Code = "invalid_token"
	// InsufficientScope is of RFC 6750 §3.1: the caller may not do this.
	InsufficientScope Code = "insufficient_scope"
	// InvalidDPoPProof is of RFC 9449 §5: the proof is missing, not good, or not by the right key.
	InvalidDPoPProof Code = "invalid_dpop_proof"
	// UseDPoPNonce is of RFC 9449 §8: the proof lacks the nonce that comes with the answer.
	UseDPoPNonce Code = "use_dpop_nonce"
	// TemporarilyUnavailable is of RFC 6749 §4.1.2.1: what cannot be known now. Sent with 503.
	TemporarilyUnavailable Code = "temporarily_unavailable"
	// SlowDown is of RFC 8628 §3.5, and says that somebody tries too often. Sent with 429.
	SlowDown Code = "slow_down"
	// ServerError is of RFC 6749 §4.1.2.1, and says nothing of what went wrong. Sent with 500.
	ServerError Code = "server_error"
)

// Error is a refusal as it goes over the wire. Its description is fixed text: nothing that
// a client sent is ever echoed.
type Error struct {
	Code        Code
	Description string
	// RetryAfter is when it is worth trying again; zero where that is not known.
	RetryAfter time.Duration
	// DPoPNonce goes into the header of that name (RFC 9449 §8); empty for none.
	DPoPNonce string
}

// Refuse makes an Error.
func Refuse(code Code, description string) *Error {
	return &Error{Code: code, Description: wireText(description)}
}

// Unavailable says that the answer cannot be known now.
func Unavailable(description string) *Error {
	return &Error{Code: TemporarilyUnavailable, Description: wireText(description), RetryAfter: retryAfter}
}

// TooMany says that somebody tries too often.
func TooMany(description string) *Error {
	return &Error{Code: SlowDown, Description: wireText(description), RetryAfter: tryAgainAfter}
}

// tryAgainAfter is when one attempt more is allowed.
const tryAgainAfter = 12 * time.Second

// retryAfter is long enough for a restart of the API server to be over in a few tries.
const retryAfter = 5 * time.Second

func (e *Error) Error() string { return string(e.Code) + ": " + e.Description }

// wireText keeps to the characters that RFC 6749 §5.2 allows in error_description: %x20-21,
// %x23-5B and %x5D-7E.
func wireText(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, text)
}

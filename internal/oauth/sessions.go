package oauth

import "time"

// ScopeSessions is the scope of an access token with which a subject lists and ends its own sessions. No policy grants
// it.
const ScopeSessions = "sessions"

// SessionState is the state of a session.
type SessionState string

// The states of a session.
const (
	// SessionActive is the state of a session that has not ended.
	SessionActive SessionState = "Active"
	// SessionRevoked is the state of a session that was revoked, by a logout or for another reason.
	SessionRevoked SessionState = "Revoked"
	// SessionExpired is the state of a session that has reached its end.
	SessionExpired SessionState = "Expired"
)

// Session is one session of a subject, as its subject sees it.
type Session struct {
	// ID is the uid of the session's refresh key. It is never given to another one.
	ID string `json:"id"`
	// Current is true for the session that the access token of the request is from.
	Current bool   `json:"current,omitempty"`
	Subject string `json:"subject"`
	// Client is the id of the client that the person signed in to; empty for none.
	Client string `json:"client,omitempty"`
	// Method is ServiceAccount, OIDC or Password.
	Method string `json:"method,omitempty"`
	// Provider is the URL of the OpenID Connect provider of the login; empty for other methods.
	Provider string        `json:"provider,omitempty"`
	Audience string        `json:"audience"`
	Device   SessionDevice `json:"device"`
	// IPAddress is the address of the last use, if the installation records it.
	IPAddress string    `json:"ipAddress,omitempty"`
	StartedAt time.Time `json:"startedAt"`
	// LastUsed is when the session was last used, to within ten minutes; nil if it was not used since the login.
	LastUsed *time.Time `json:"lastUsed,omitempty"`
	// ExpiresAt is when the session ends, however much it is used.
	ExpiresAt time.Time `json:"expiresAt"`
	// RevokedAt and RevocationReason are set for a session that was revoked.
	RevokedAt        *time.Time   `json:"revokedAt,omitempty"`
	RevocationReason string       `json:"revocationReason,omitempty"`
	Status           SessionState `json:"status"`
}

// SessionDevice is the device of a session: the one that used it last or, for what that use does not tell, the one that
// signed in.
type SessionDevice struct {
	ID      string `json:"id,omitempty"`
	Browser string `json:"browser,omitempty"`
	OS      string `json:"os,omitempty"`
}

// SessionsAnswer lists the sessions of a subject.
type SessionsAnswer struct {
	// Sessions are in the order of their last use, the latest first.
	Sessions []Session `json:"sessions"`
	// DPoPNonce is sent as the DPoP-Nonce header (RFC 9449 §8.2); empty for none.
	DPoPNonce string `json:"-"`
}

// EndRequest says which of its sessions a subject ends. Exactly one field is set.
type EndRequest struct {
	// IDs are the ids of sessions.
	IDs []string
	// All ends each session, and Others each but the one that the access token of the request is from.
	All, Others bool
}

// EndAnswer is the answer to an EndRequest.
type EndAnswer struct {
	// Ended is how many sessions the request ended. Sessions that had ended before, and ids of no session of the
	// subject, do not count.
	Ended int `json:"ended"`
	// DPoPNonce is sent as the DPoP-Nonce header (RFC 9449 §8.2); empty for none.
	DPoPNonce string `json:"-"`
}

package authorize

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

const (
	// CodeLife is how long a code can be redeemed (RFC 6749 §4.1.2 recommends at most ten minutes).
	CodeLife = time.Minute
	// SealedCode is the purpose for which codes are sealed.
	SealedCode = "code"
	// MaxCode is the longest code, in bytes.
	MaxCode = 4 << 10
)

// SignedIn is the person of a sign-in, as the login proved them.
type SignedIn struct {
	Subject string               `json:"subject"`
	Method  v1alpha1.LoginMethod `json:"method"`
	// Provider is the issuer URL of the OpenID Connect provider; empty for none.
	Provider string                          `json:"provider,omitempty"`
	Claims   map[string]apiextensionsv1.JSON `json:"claims,omitempty"`
	// At is when the person signed in.
	At time.Time `json:"at"`
}

// Code is what an authorization code holds, sealed.
type Code struct {
	Request  Request  `json:"request"`
	SignedIn SignedIn `json:"person"`
	// ID is random. The name of the session is derived from it.
	ID string `json:"id"`
	// Namespace is that of the session.
	Namespace string `json:"namespace"`
}

// SessionName returns the name of the session that a code begins: every redemption finds the same one. It depends on no key, so
// that a rotation does not change it.
func (c *Code) SessionName(issuerUID string) string {
	sum := sha256.Sum256([]byte("code\x00" + issuerUID + "\x00" + c.ID))
	return sessionPrefix + hex.EncodeToString(sum[:16])
}

// sessionPrefix begins the names of sessions whose name is derived from a code.
const sessionPrefix = "signin-"

// Redeems returns nil if a request for tokens may redeem the code (RFC 6749 §4.1.3, RFC 7636 §4.6). The refusal is the same for each
// reason, so that a client that has stolen the code cannot tell what it lacks.
func (c *Code) Redeems(client, redirectURI, verifier string) error {
	sum := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	switch {
	case client != c.Request.Client,
		redirectURI != c.Request.RedirectURI && (redirectURI != "" || c.Request.Asked),
		!verifierForm.MatchString(verifier),
		subtle.ConstantTimeCompare([]byte(challenge), []byte(c.Request.Challenge)) != 1:
		return ErrCode()
	}
	return nil
}

// verifierForm is the form of a code_verifier (RFC 7636 §4.1).
var verifierForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// ErrCode returns the refusal of a code that cannot be redeemed.
func ErrCode() *oauth.Error {
	return oauth.Refuse(oauth.InvalidGrant, "The code is expired, used, or not for this client_id, redirect_uri and code_verifier.")
}

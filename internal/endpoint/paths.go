package endpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// tokenPath is the path of the token endpoint below the URL of an issuer.
const tokenPath = "/token"

// TokenURL returns the URL of the token endpoint (RFC 6749 §3.2) below base: the url or endpointURL of an issuer, which do
// not end in a slash. Below an empty base, this and the other functions return the path alone.
func TokenURL(base string) string { return base + tokenPath }

// RevokeURL returns the URL of the revocation endpoint (RFC 7009 §2).
func RevokeURL(base string) string { return base + "/revoke" }

// IntrospectURL returns the URL of the introspection endpoint (RFC 7662 §2).
func IntrospectURL(base string) string { return base + "/introspect" }

// SessionsURL returns the URL at which a subject lists its own sessions.
func SessionsURL(base string) string { return base + "/sessions" }

// EndSessionsURL returns the URL at which a subject ends its own sessions.
func EndSessionsURL(base string) string { return SessionsURL(base) + "/end" }

// AuthorizeURL returns the URL of the authorization endpoint (RFC 6749 §3.1).
func AuthorizeURL(base string) string { return base + "/authorize" }

// PushedURL returns the URL to which an application pushes a request to sign in (RFC 9126 §2).
func PushedURL(base string) string { return base + "/par" }

// PasswordURL returns the URL to which the login page sends a user name and a password.
func PasswordURL(base string) string { return AuthorizeURL(base) + "/password" }

// ConsentURL returns the URL to which the page of consent sends the answer.
func ConsentURL(base string) string { return AuthorizeURL(base) + "/consent" }

// ProviderURL returns the URL to which the login page sends the choice of an OpenID Connect provider.
func ProviderURL(base string) string { return AuthorizeURL(base) + "/provider" }

// CallbackURL returns the URL to which a provider sends the browser back. Each provider has its own one, by its ProviderID, so that the
// answer of one provider never counts as that of another (RFC 9700 §4.4.2).
func CallbackURL(base, provider string) string { return AuthorizeURL(base) + callbackPath + provider }

const (
	callbackPath   = "/callback/"
	providerLength = 16
)

// ProviderID returns the identifier of a provider in URLs: the first 16 characters of the SHA-256 of its issuerURL, in hexadecimal.
func ProviderID(issuerURL string) string {
	sum := sha256.Sum256([]byte(issuerURL))
	return hex.EncodeToString(sum[:])[:providerLength]
}

// CutCallback splits the path of a CallbackURL into the base and the provider; false if it is none.
func CutCallback(path string) (base, provider string, ok bool) {
	at := len(path) - providerLength
	if at < 0 || strings.Trim(path[at:], "0123456789abcdef") != "" {
		return "", "", false
	}
	base, ok = strings.CutSuffix(path[:at], CallbackURL("", ""))
	return base, path[at:], ok
}

// UserInfoURL returns the URL of the claims of a person (OpenID Connect Core §5.3).
func UserInfoURL(base string) string { return base + "/userinfo" }

// DeviceAuthorizationURL returns the URL at which a device begins its sign-in (RFC 8628 §3.1).
func DeviceAuthorizationURL(base string) string { return base + "/device_authorization" }

// DeviceURL returns the URL of the page at which a person signs a device in (RFC 8628 §3.3).
func DeviceURL(base string) string { return base + "/device" }

// DeviceCodeURL returns the URL to which that page sends the code of the device.
func DeviceCodeURL(base string) string { return DeviceURL(base) + "/code" }

// DeviceDecisionURL returns the URL to which the page about a device sends the decision.
func DeviceDecisionURL(base string) string { return DeviceURL(base) + "/decision" }

// JWKSURL returns the URL of the public signing keys of access tokens (RFC 7517 §5).
func JWKSURL(base string) string { return base + "/jwks.json" }

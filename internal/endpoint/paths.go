package endpoint

// Paths of the endpoints below the URL of an issuer, which does not end in a slash.
const (
	// Token is the token endpoint (RFC 6749 §3.2).
	Token = "/token"
	// Revoke is the revocation endpoint (RFC 7009 §2).
	Revoke = "/revoke"
	// Introspect is the introspection endpoint (RFC 7662 §2).
	Introspect = "/introspect"
	// JWKS has the public signing keys of access tokens (RFC 7517 §5).
	JWKS = "/jwks.json"
	// OpenIDMetadata has the metadata (OpenID Connect Discovery §4).
	OpenIDMetadata = "/.well-known/openid-configuration"
)

// TokenURL returns the URL of the token endpoint below the url or endpointURL of an issuer.
func TokenURL(base string) string { return base + Token }

package cluster

import (
	"encoding/json"
	"fmt"
)

// Trusted is an issuer of tokens that the API server trusts.
type Trusted struct {
	URL, Audience string
	// Authority is the certificate authority of the issuer, in PEM.
	Authority string
	// Prefix begins the names of users.
	Prefix string
	// Groups: the claim groups counts, too. Its names begin with Prefix.
	Groups bool
	// SessionNamespace is that of people's sessions of a JWTIssuer: its other tokens are refused. It is empty for another issuer.
	SessionNamespace string
}

// AuthenticationConfiguration returns the file of --authentication-config by which an API server trusts issuers.
func AuthenticationConfiguration(trusted ...Trusted) ([]byte, error) {
	entries := []any{}
	for _, one := range trusted {
		mappings := map[string]any{"username": map[string]string{"claim": "sub", "prefix": one.Prefix}}
		if one.Groups {
			mappings["groups"] = map[string]string{"claim": "groups", "prefix": one.Prefix}
		}
		entry := map[string]any{
			"issuer":        map[string]any{"url": one.URL, "audiences": []string{one.Audience}, "certificateAuthority": one.Authority},
			"claimMappings": mappings,
		}
		if one.SessionNamespace != "" {
			entry["claimValidationRules"] = []any{map[string]string{
				"expression": fmt.Sprintf(`claims["refreshkeys.dev"].namespace == %q`, one.SessionNamespace),
				"message":    "the token is none of a session of a person",
			}}
		}
		entries = append(entries, entry)
	}
	return json.MarshalIndent(map[string]any{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": entries}, "", "  ")
}

package endpoint

import "testing"

// TestPaths checks the URLs of the endpoints, which clients know, and their paths.
func TestPaths(t *testing.T) {
	for path, of := range map[string]func(string) string{
		"/token": TokenURL, "/revoke": RevokeURL, "/introspect": IntrospectURL, "/jwks.json": JWKSURL, "/sessions": SessionsURL, "/sessions/end": EndSessionsURL,
	} {
		if got := of("https://tokens.example.com/people"); got != "https://tokens.example.com/people"+path || of("") != path {
			t.Errorf("%s: %s, %s", path, got, of(""))
		}
	}
}

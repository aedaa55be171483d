package endpoint

import "testing"

// TestPaths checks the URLs of the endpoints, which clients know, and their paths.
func TestPaths(t *testing.T) {
	for path, of := range map[string]func(string) string{
		"/token": TokenURL, "/revoke": RevokeURL, "/introspect": IntrospectURL, "/jwks.json": JWKSURL, "/sessions": SessionsURL, "/sessions/end": EndSessionsURL,
		"/authorize/provider": ProviderURL,
	} {
		if got := of("https://tokens.example.com/people"); got != "https://tokens.example.com/people"+path || of("") != path {
			t.Errorf("%s: %s, %s", path, got, of(""))
		}
	}
}

// TestCallbacks checks that each provider has its own path, which depends on its issuerURL alone. Administrators declare it at the provider.
func TestCallbacks(t *testing.T) {
	const id = "6e2977ae82314db3"
	if got := ProviderID("https://idp.example.com"); got != id || ProviderID("https://idp.example.com/") == id {
		t.Errorf("the identifier is %s", got)
	}
	if got := CallbackURL("https://tokens.example.com/people", id); got != "https://tokens.example.com/people/authorize/callback/"+id {
		t.Errorf("the URL is %s", got)
	}
	for path, want := range map[string]string{
		"/people/authorize/callback/" + id: "/people", "/authorize/callback/" + id: "", "/a/authorize/callback/x/authorize/callback/" + id: "/a/authorize/callback/x",
		"/people/authorize/callback/" + id + "/": "none", "/people/authorize/callback/" + id[1:]: "none", "/people/authorize/callback/" + "A" + id[1:]: "none",
		"/people/authorize/callback/0" + id: "none", "/people/authorize/" + id: "none", id: "none", "": "none",
	} {
		base, provider, ok := CutCallback(path)
		if (ok && (base != want || provider != id)) || ok != (want != "none") {
			t.Errorf("%s: %q %q %t, want %s", path, base, provider, ok, want)
		}
	}
}

package grant

import (
	"testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// TestAdmits checks which issuers of a shared URL a subject token may be for.
func TestAdmits(t *testing.T) {
	const idp, cluster, url = "https://idp.example.com", "https://kubernetes.default.svc", "https://tokens.example.com"
	issuer := &registry.Issuer{URL: url, Login: registry.Login{Providers: []v1alpha1.OIDCProvider{
		{IssuerURL: idp, Audiences: []string{"cli"}}, {IssuerURL: idp, Audiences: []string{"web"}},
	}}}
	for _, c := range []struct {
		name, from string
		audiences  []string
		want       bool
	}{
		{"a ServiceAccount token for the issuer", cluster, []string{url}, true},
		{"for the issuer among others", cluster, []string{"https://other.example.com", url}, true},
		{"for another issuer", cluster, []string{"https://other.example.com"}, false},
		{"for an issuer whose url begins alike", cluster, []string{url + "/b"}, false},
		{"an id_token for the first client", idp, []string{"cli"}, true},
		{"an id_token for the second client", idp, []string{"web"}, true},
		{"an id_token for another client", idp, []string{"other"}, false},
		{"an id_token that names the issuer as its client", idp, []string{url}, false},
		{"an id_token of another provider", "https://other.example.com", []string{"cli"}, false},
		{"no audience", idp, nil, false},
		{"nothing", "", nil, false},
	} {
		if got := admits(issuer, c.from, c.audiences); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

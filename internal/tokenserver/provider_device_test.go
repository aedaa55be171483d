package tokenserver_test

import (
	"html"
	"net/http"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
)

// TestADeviceByAProvider checks that a person who signs in at a provider is asked for the code of the device.
func TestADeviceByAProvider(t *testing.T) {
	p := newUpstream(t)
	r := withDevices(t, func(issuer *v1alpha1.JWTIssuer) {
		issuer.Spec.Policy.Rules[0].Claims = []string{"mail"}
		issuer.Spec.Login.OIDC = []v1alpha1.OIDCProvider{p.entry()}
	})
	p.now = r.Clock.Now
	device, b := startDevice(t, r), open(t, r)
	away := b.choose(b.send(http.MethodGet, device.link, nil), endpoint.ProviderID(p.URL))
	got := b.back(p, p.signIn(follow(t, away)))
	if got.Code != http.StatusOK || strings.Contains(away.Body.String(), "<b></b>") || !strings.Contains(html.UnescapeString(got.Body.String()), device.shown) {
		t.Errorf("%d %s\n%s", got.Code, said(got), said(away))
	}
}

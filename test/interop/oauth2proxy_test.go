package interop

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// proxyVariable is the environment variable of `make interop-proxy`, which has the time to build oauth2-proxy.
const proxyVariable = "INTEROP_PROXY"

// oauth2Proxy builds and runs oauth2-proxy as a public client, in front of an application. It demands a secret or a file with one: the file
// is empty.
func (h *fixture) oauth2Proxy(port int, site, application string) (printed func() string) {
	h.T.Helper()
	program := filepath.Join(suite.server.Root, "bin", "interop", "oauth2-proxy")
	h.Expect(cluster.Build(h.Ctx, "oauth2proxy", "github.com/oauth2-proxy/oauth2-proxy/v7", program)).To(gomega.Succeed())
	folder := h.files(map[string][]byte{"tls.crt": suite.pair.Certificate, ".tls.key": suite.pair.Key, ".secret": nil})
	return h.background([]string{"OAUTH2_PROXY_COOKIE_SECRET=" + rand.Text()[:24]}, program,
		"--provider=oidc", "--oidc-issuer-url="+h.url(), "--provider-ca-file="+suite.trustedFile, "--redirect-url="+site+"/oauth2/callback",
		"--client-id=intranet", "--client-secret-file="+filepath.Join(folder, ".secret"), "--code-challenge-method=S256",
		"--insecure-oidc-skip-nonce=false", "--scope=openid orders:read", "--email-domain=example.com", "--skip-provider-button",
		"--http-address=-", fmt.Sprintf("--https-address=%s:%d", host, port),
		"--tls-cert-file="+filepath.Join(folder, "tls.crt"), "--tls-key-file="+filepath.Join(folder, ".tls.key"),
		"--upstream="+application, "--pass-access-token", "--cookie-refresh=1s")
}

// TestOAuth2Proxy checks oauth2-proxy: a person signs in with PKCE at the provider of the login page, the application gets the user, the
// email address and an access token, the proxy refreshes with one-time tokens, and a revoked session is over.
func TestOAuth2Proxy(t *testing.T) {
	if os.Getenv(proxyVariable) != "true" {
		t.Skip("oauth2-proxy was NOT tried: run it by `make interop-proxy`, which builds it; without a cache, that takes some minutes")
	}
	port, site, application := newSite(t)
	h, at := withStaff(t, publicClient, func(login *v1alpha1.LoginSpec) {
		// Without a grace, every use of a session's token is followed by another.
		login.SessionRetryGrace = &metav1.Duration{}
		login.Clients = []v1alpha1.LoginClient{{
			ID: "intranet", RedirectURIs: []string{site + "/oauth2/callback"}, Audiences: []string{harness.Audience}, Scopes: []string{"openid", "orders:read"},
			Consent: v1alpha1.ConsentNever,
		}}
	})
	provider := h.withLogin()
	printed := h.oauth2Proxy(port, site, application)
	defer func() {
		if t.Failed() {
			t.Log(printed())
		}
	}()
	h.answers(site+"/ping", printed)

	h.now()
	jane := h.person()
	jane.open(site + "/orders")
	h.Expect(jane.at.Query().Get("code_challenge_method")).To(gomega.Equal("S256"), "the proxy does not lead to the login page: %d %s", jane.status, jane.page)
	h.Expect(jane.at.Query().Get("nonce")).NotTo(gomega.BeEmpty())
	jane.choose()
	jane.signInAt(at, "jane")
	h.Expect(jane.at.String()).To(gomega.Equal(site + "/orders"))
	got := jane.received()
	h.Expect(got.Get("X-Forwarded-User")).To(gomega.Equal("staff:id-jane"))
	h.Expect(got.Get("X-Forwarded-Email")).To(gomega.Equal("jane@example.com"))

	const accessToken = "X-Forwarded-Access-Token" //nolint:gosec // the name of a header
	for range 3 {
		before := got.Get(accessToken)
		h.Expect(h.claims(provider, before)).To(gomega.And(gomega.HaveKeyWithValue("sub", "staff:id-jane"), gomega.HaveKeyWithValue("scope", "openid orders:read")))
		// The proxy refreshes a second later.
		h.Eventually(func() string {
			jane.open(site + "/orders")
			got = jane.received()
			return got.Get(accessToken)
		}).WithTimeout(patience).ShouldNot(gomega.Or(gomega.BeEmpty(), gomega.Equal(before)), "the proxy does not refresh")
	}
	h.Expect(got.Get("X-Forwarded-User")).To(gomega.Equal("staff:id-jane"))
	h.Expect(h.living()).To(gomega.Equal(1), "one session goes on")

	session := &h.sessions()[0]
	h.Edit(session, func() { session.Spec.Revoked = true })
	h.Eventually(func() string {
		jane.open(site + "/orders")
		return jane.at.String()
	}).WithTimeout(patience).Should(gomega.HavePrefix(h.url()+"/authorize?"), "the person is still signed in")
}

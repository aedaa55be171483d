package interop

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// Environment variables of hack/interop: the path of apache2 and the folder of its modules, or why they are absent.
const (
	apacheVariable       = "INTEROP_APACHE"
	modulesVariable      = "INTEROP_APACHE_MODULES"
	absentApacheVariable = "INTEROP_NO_APACHE"
)

// apache runs a copy of apache2 with mod_auth_openidc as a public client, in front of an application.
func (h *fixture) apache(port int, application string) (printed func() string) {
	h.T.Helper()
	configuration, err := filepath.Abs(filepath.Join("testdata", "apache.conf"))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	folder := h.files(map[string][]byte{"tls.crt": suite.pair.Certificate, ".tls.key": suite.pair.Key, "ca.crt": suite.bundle})
	return h.background([]string{
		"SITE_FOLDER=" + folder, fmt.Sprintf("SITE_ADDRESS=%s:%d", host, port), "SITE_APPLICATION=" + application, "SITE_ISSUER=" + h.url(),
		"SITE_MODULES=" + os.Getenv(modulesVariable), "SITE_PASSPHRASE=" + rand.Text(),
	}, os.Getenv(apacheVariable), "-d", folder, "-f", configuration, "-DFOREGROUND")
}

// TestApache checks mod_auth_openidc of apache2: a person signs in to a protected location with PKCE, the application behind it gets the
// user, the claims of the id_token and those of /userinfo, the module refreshes with one-time tokens, and a logout revokes the session.
func TestApache(t *testing.T) {
	switch why := os.Getenv(absentApacheVariable); {
	case os.Getenv(apacheVariable) != "":
	case os.Getenv("CI") == "true":
		t.Fatal("mod_auth_openidc must be tried here: " + why)
	case why == "":
		t.Skip("mod_auth_openidc was NOT tried: run it by `make interop`, which finds apache2")
	default:
		t.Skip("mod_auth_openidc was NOT tried: " + why)
	}
	port, site, application := newSite(t)
	h := withPeople(t, func(issuer *v1alpha1.JWTIssuer) {
		// Without a grace, every use of a session's token is followed by another.
		issuer.Spec.Login.SessionRetryGrace = &metav1.Duration{}
		issuer.Spec.Login.Clients = []v1alpha1.LoginClient{{
			ID: "intranet", RedirectURIs: []string{site + "/callback"}, Audiences: []string{harness.Audience}, Scopes: []string{"openid", "orders:read"},
		}}
	})
	provider := h.withLogin()
	printed := h.apache(port, application)
	h.answers(site+"/goodbye", printed)
	defer func() {
		if t.Failed() {
			t.Log(printed())
		}
	}()

	jane := h.person()
	jane.open(site + "/orders")
	h.Expect(jane.at.Query().Get("code_challenge_method")).To(gomega.Equal("S256"), "apache2 does not lead to the login page: %d %s", jane.status, jane.page)
	h.Expect(jane.at.Query().Get("nonce")).NotTo(gomega.BeEmpty())
	jane.signIn()
	jane.answer("allow")
	h.Expect(jane.at.String()).To(gomega.Equal(site + "/orders"))
	got := jane.received()
	h.Expect(got.Get("X-Remote-User")).To(gomega.Equal(personName))
	h.Expect(got.Get("OIDC_CLAIM_sub")).To(gomega.Equal(personName))
	h.Expect(got.Get("OIDC_CLAIM_iss")).To(gomega.Equal(h.url()))
	h.Expect(got.Get("OIDC_CLAIM_aud")).To(gomega.Equal("intranet"))
	h.Expect(got.Get("OIDC_userinfo_json")).To(gomega.MatchJSON(`{"sub":"`+personName+`"}`), "/userinfo")

	for range 3 {
		before := got.Get("OIDC_access_token")
		h.Expect(h.claims(provider, before)).To(gomega.And(gomega.HaveKeyWithValue("sub", personName), gomega.HaveKeyWithValue("scope", "openid orders:read")))
		jane.open(site + "/callback?" + url.Values{"refresh": {"/orders"}, "access_token": {before}}.Encode())
		h.Expect(jane.at.String()).To(gomega.Equal(site+"/orders"), "the module does not refresh")
		got = jane.received()
		h.Expect(got.Get("OIDC_access_token")).NotTo(gomega.Or(gomega.BeEmpty(), gomega.Equal(before)), "the access token is not another one")
	}
	h.Expect(h.living()).To(gomega.Equal(1), "one session goes on")

	jane.open(site + "/callback?" + url.Values{"logout": {site + "/goodbye"}}.Encode())
	h.Expect(jane.at.String()).To(gomega.Equal(site + "/goodbye"))
	h.Expect(h.living()).To(gomega.BeZero(), "the session goes on after the logout")
	jane.open(site + "/orders")
	h.Expect(jane.at.String()).To(gomega.HavePrefix(h.url()+"/authorize?"), "the person is still signed in")
}

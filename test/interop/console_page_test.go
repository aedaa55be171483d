package interop

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/console"
	"github.com/refreshkeys/refreshkeys/internal/console/signin"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// signedIn remembers the credential of the last sign-in.
type signedIn struct {
	*signin.OIDC
	credential *console.Credential
}

// Callback implements console.SignIn.
func (s *signedIn) Callback(w http.ResponseWriter, r *http.Request) (console.Arrival, error) {
	arrived, err := s.OIDC.Callback(w, r)
	s.credential = arrived.Credential
	return arrived, err
}

// page is a console with its provider, and a browser.
type page struct {
	*gomega.WithT
	t        *testing.T
	url      string
	signIn   *signedIn
	provider *provider
	browser  *http.Client
	// now brings the clock of a token service to the present; nil without one. The token service refuses an id_token that is younger
	// than its own clock.
	now func()
}

// newPage starts a console that reaches the API server with a configuration, and its provider. more are lines of the console's
// --oidc-config.
func newPage(t *testing.T, api *rest.Config, impersonate bool, more string) *page {
	t.Helper()
	p := &page{WithT: gomega.NewWithT(t), t: t}
	var handler http.Handler
	served := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(served.Close)
	p.url = served.URL
	secret := rand.Text()
	p.provider = newProviderWith(t, suite.pair, suite.bundle, []user{newUser("jane", "de", true)},
		"-listen", fmt.Sprintf("%s:%d", host, suite.providerPort), "-redirect", p.url+"/auth/callback", "-after-logout", p.url+"/signin",
		"-secret", secret, "-groups", "auditors", consoleClient)

	scratch := t.TempDir()
	secretFile, file := filepath.Join(scratch, "secret"), filepath.Join(scratch, "oidc.yaml")
	p.Expect(os.WriteFile(secretFile, []byte(secret), 0o600)).To(gomega.Succeed())
	p.Expect(os.WriteFile(file, fmt.Appendf(nil, "issuerURL: %s\nclientID: %s\nclientSecretFile: %s\ncaFile: %s\n%s",
		p.provider.issuer, consoleClient, secretFile, suite.trustedFile, more), 0o600)).To(gomega.Succeed())
	config, err := signin.Load(file, impersonate)
	p.Expect(err).NotTo(gomega.HaveOccurred())
	oidc, err := signin.New(signin.Options{Config: config, API: api, BasePath: "/", Clock: clock.RealClock{}, Random: rand.Reader, Log: logr.Discard()})
	p.Expect(err).NotTo(gomega.HaveOccurred())
	p.signIn = &signedIn{OIDC: oidc}
	at, err := url.Parse(p.url)
	p.Expect(err).NotTo(gomega.HaveOccurred())
	handler, err = console.New(console.Options{
		API: rest.AnonymousClientConfig(api), Clock: clock.RealClock{}, Random: rand.Reader, Log: logr.Discard(), Registerer: prometheus.NewRegistry(),
		Hosts: []string{at.Host}, BasePath: "/", SignIn: p.signIn, Reveal: true, SessionIdle: time.Hour, SessionMax: time.Hour,
	})
	p.Expect(err).NotTo(gomega.HaveOccurred())

	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = p.provider.http.Transport.(*http.Transport).TLSClientConfig.Clone()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(suite.bundle)
	roots.AddCert(served.Certificate())
	transport.TLSClientConfig.RootCAs = roots
	t.Cleanup(transport.CloseIdleConnections)
	p.browser = &http.Client{Transport: asBrowser{transport}, Timeout: patience}
	return p.elsewhere()
}

// elsewhere returns the page in another browser.
func (p *page) elsewhere() *page {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	p.Expect(err).NotTo(gomega.HaveOccurred())
	other, browser := *p, *p.browser
	browser.Jar = jar
	other.browser = &browser
	return &other
}

// asBrowser sends what a browser says about itself and what it takes.
type asBrowser struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b asBrowser) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", userAgent)
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "text/html,*/*;q=0.8")
	}
	return b.RoundTripper.RoundTrip(r)
}

// signInAs signs a person in at the provider, and returns where the browser is then.
func (p *page) signInAs(name string) *url.URL {
	p.t.Helper()
	login, err := p.browser.Get(p.url + "/auth/login?return=/keys")
	p.Expect(err).NotTo(gomega.HaveOccurred())
	_ = login.Body.Close()
	arrived, err := p.browser.PostForm(p.provider.loginForm(login.Request.URL, name))
	p.Expect(err).NotTo(gomega.HaveOccurred())
	_ = arrived.Body.Close()
	return arrived.Request.URL
}

// call sends a request of the page, and reads its answer.
func (p *page) call(method, path, body string, into any) int {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, bytes.NewBufferString(body))
	p.Expect(err).NotTo(gomega.HaveOccurred())
	r.Header.Set("Content-Type", "application/json")
	answer, err := p.browser.Do(r)
	p.Expect(err).NotTo(gomega.HaveOccurred())
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	p.Expect(err).NotTo(gomega.HaveOccurred())
	p.Expect(json.Unmarshal(said, into)).To(gomega.Succeed(), "%d %s", answer.StatusCode, said)
	return answer.StatusCode
}

// me signs in until the API server, which asks for the issuers' documents every ten seconds, knows the person.
func (p *page) me() wire.Me {
	p.t.Helper()
	var me wire.Me
	p.Eventually(func() bool {
		if p.now != nil {
			p.now()
		}
		p.signInAs("jane")
		p.call(http.MethodGet, "/api/me", "", &me)
		return me.SignedIn
	}).WithTimeout(time.Minute).WithPolling(time.Second).Should(gomega.BeTrue(), "the API server does not accept the person")
	return me
}

// whoIs returns the user that the API server sees for a credential.
func (p *page) whoIs(c *console.Credential) string {
	p.t.Helper()
	review := &authenticationv1.SelfSubjectReview{}
	if err := p.client(c).Create(p.t.Context(), review); err != nil {
		return err.Error()
	}
	return review.Status.UserInfo.Username
}

// client returns a client with a credential. It knows the kinds from the administrator, since an impersonator may not read which the
// API server has.
func (p *page) client(c *console.Credential) client.Client {
	p.t.Helper()
	admin, err := client.New(suite.server.Admin, client.Options{Scheme: controllers.Scheme()})
	p.Expect(err).NotTo(gomega.HaveOccurred())
	made, err := client.New(c.Config, client.Options{Scheme: controllers.Scheme(), Mapper: admin.RESTMapper()})
	p.Expect(err).NotTo(gomega.HaveOccurred())
	return made
}

// signOut signs the person out, as the page does, and returns where the browser is then.
func (p *page) signOut() *url.URL {
	p.t.Helper()
	var out wire.LoggedOut
	p.Expect(p.call(http.MethodPost, "/api/logout", "{}", &out)).To(gomega.Equal(http.StatusOK))
	p.Expect(out.Location).To(gomega.HavePrefix("/auth/logout?ticket="))
	left, err := p.browser.Get(p.url + out.Location)
	p.Expect(err).NotTo(gomega.HaveOccurred())
	_ = left.Body.Close()
	var me wire.Me
	p.call(http.MethodGet, "/api/me", "", &me)
	p.Expect(me.SignedIn).To(gomega.BeFalse())
	return left.Request.URL
}

// within returns the page for a subtest.
func (p *page) within(t *testing.T) *page {
	one := *p
	one.t, one.WithT = t, gomega.NewWithT(t)
	return &one
}

package interop

import (
	"bytes"
	"context"
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
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/console"
	"github.com/refreshkeys/refreshkeys/internal/console/signin"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

const (
	// peopleIssuer is an issuer of which the API server trusts the sessions of people only, which are in peopleNamespace.
	peopleIssuer    = "interop-people"
	peopleNamespace = "interop-people-sessions"
	// peoplePrefix and providerPrefix are the prefixes of the names of the issuer, and of the provider.
	peoplePrefix, providerPrefix = "sessions:", "oidc:"
	consoleClient                = "console"
	userAgent                    = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

// trustForConsole returns the part of the API server's configuration that docs/console-sign-in.md describes: one entry for the
// provider, and one for the people that signed in at a JWTIssuer.
func trustForConsole(authority []byte) string {
	return fmt.Sprintf(`- issuer:
    url: https://%s:%d
    audiences: [%s]
    certificateAuthority: %s
  claimMappings:
    username: {claim: sub, prefix: %q}
    groups: {claim: groups, prefix: %q}
- issuer:
    url: https://%s:%d/%s
    audiences: [%q]
    certificateAuthority: %s
  claimValidationRules:
  - expression: claims["refreshkeys.dev"].namespace == "%s"
    message: the token is none of a session of a person
  claimMappings:
    username: {claim: sub, prefix: %q}
`, host, suite.providerPort, consoleClient, authority, providerPrefix, providerPrefix,
		host, suite.peoplePort, peopleIssuer, clusterAudience, authority, peopleNamespace, peoplePrefix)
}

// signedIn remembers the credential of the last sign-in.
type signedIn struct {
	*signin.OIDC
	credential *console.Credential
}

// Callback implements console.SignIn.
func (s *signedIn) Callback(w http.ResponseWriter, r *http.Request) (*console.Credential, string, error) {
	credential, path, err := s.OIDC.Callback(w, r)
	s.credential = credential
	return credential, path, err
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

	jar, err := cookiejar.New(nil)
	p.Expect(err).NotTo(gomega.HaveOccurred())
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = p.provider.http.Transport.(*http.Transport).TLSClientConfig.Clone()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(suite.bundle)
	roots.AddCert(served.Certificate())
	transport.TLSClientConfig.RootCAs = roots
	t.Cleanup(transport.CloseIdleConnections)
	p.browser = &http.Client{Transport: asBrowser{transport}, Jar: jar, Timeout: patience}
	return p
}

type asBrowser struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b asBrowser) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", userAgent)
	return b.RoundTripper.RoundTrip(r)
}

// signInAs signs a person in at the provider, and returns where the browser is then.
func (p *page) signInAs(name string) *url.URL {
	p.t.Helper()
	login, err := p.browser.Get(p.url + "/auth/login?return=/keys")
	p.Expect(err).NotTo(gomega.HaveOccurred())
	_ = login.Body.Close()
	at := login.Request.URL
	arrived, err := p.browser.PostForm(at.ResolveReference(&url.URL{Path: at.Path}).String(), url.Values{
		"id": {at.Query().Get("authRequestID")}, "username": {name}, "password": {p.provider.passwords[name]},
	})
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

// TestConsoleForwardsIDTokens checks that a person acts with the id_token where the API server trusts the provider, that it is
// renewed, and that a sign-out also ends the session at the provider.
func TestConsoleForwardsIDTokens(t *testing.T) {
	if suite.server.Existing() {
		t.Skip("an existing cluster is not configured to trust the provider")
	}
	p := newPage(t, suite.server.Admin, false, "scopes: [openid, profile, offline_access]\n")
	me := p.me()
	p.Expect(me).To(gomega.And(gomega.HaveField("User", providerPrefix+"id-jane"), gomega.HaveField("Means", wire.IDToken),
		gomega.HaveField("Groups", gomega.ContainElement(providerPrefix+"auditors")), gomega.HaveField("OwnSessions", false)))
	p.Expect(p.signInAs("jane").String()).To(gomega.Equal(p.url + "/keys"))
	first := p.signIn.credential
	next, err := first.Renew(t.Context())
	p.Expect(err).NotTo(gomega.HaveOccurred())
	p.Expect(p.whoIs(next)).To(gomega.Equal(providerPrefix + "id-jane"))
	again, err := next.Renew(t.Context())
	p.Expect(err).NotTo(gomega.HaveOccurred(), "the refresh token that followed is not known")
	p.Expect(p.whoIs(again)).To(gomega.Equal(providerPrefix + "id-jane"))
	p.Expect(p.signOut().String()).To(gomega.HavePrefix(p.url + "/signin"))
	_, err = again.Renew(t.Context())
	p.Expect(err).To(gomega.HaveOccurred(), "the sign-in goes on after the sign-out")
}

// TestConsoleExchangesIDTokens checks that a person acts with an access token of the token service where the API server trusts
// a JWTIssuer, that this is a session there, and that the API server accepts the sessions of people only.
func TestConsoleExchangesIDTokens(t *testing.T) {
	if suite.server.Existing() {
		t.Skip("an existing cluster is not configured to trust the issuer")
	}
	p := newPage(t, suite.server.Admin, false, fmt.Sprintf("forward: Exchange\ntokenService: {issuerURL: 'https://%s:%d/%s', audience: '%s', caFile: %s}\n",
		host, suite.peoplePort, peopleIssuer, clusterAudience, suite.trustedFile))
	h := newFixture(t, time.Now(), suite.peoplePort, func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{clusterAudience}}}}
		i.Spec.Login = &v1alpha1.LoginSpec{SessionNamespace: peopleNamespace, OIDC: []v1alpha1.OIDCProvider{{
			IssuerURL: p.provider.issuer, CABundle: string(suite.bundle), Audiences: []string{consoleClient}, SubjectPrefix: "people:",
		}}}
	})
	h.CreateNamespace(peopleNamespace, nil)
	p.now = func() { h.clock.SetTime(time.Now()) }
	me := p.me()
	const jane = peoplePrefix + "people:id-jane"
	p.Expect(me).To(gomega.And(gomega.HaveField("User", jane), gomega.HaveField("Means", wire.Exchange), gomega.HaveField("OwnSessions", true)))

	sessions := func() (living []v1alpha1.JWTRefreshKey) {
		var list v1alpha1.JWTRefreshKeyList
		p.Expect(h.Admin.List(h.Ctx, &list, client.InNamespace(peopleNamespace), client.HasLabels{v1alpha1.LabelSession})).To(gomega.Succeed())
		for _, one := range list.Items {
			if !one.Spec.Revoked && one.Status.RevokedAt == nil {
				living = append(living, one)
			}
		}
		return living
	}
	p.Eventually(func() int { return len(sessions()) }).WithTimeout(patience).Should(gomega.Equal(1), "the sessions of earlier sign-ins of the browser go on")
	p.Expect(sessions()[0].Status.Session).To(gomega.HaveValue(gomega.And(
		gomega.HaveField("Subject", "people:id-jane"), gomega.HaveField("Provider", p.provider.issuer))))
	p.Expect(sessions()[0].Spec.DeviceInfo).To(gomega.HaveValue(gomega.HaveField("Browser", gomega.ContainSubstring("Firefox"))))

	// A token that is younger than the grace is not followed.
	h.clock.SetTime(h.clock.Now().Add(time.Minute))
	next, err := p.signIn.credential.Renew(t.Context())
	p.Expect(err).NotTo(gomega.HaveOccurred())
	p.Expect(next.OwnSessions).NotTo(gomega.BeNil())
	h.clock.SetTime(h.clock.Now().Add(time.Minute))
	again, err := next.Renew(t.Context())
	p.Expect(err).NotTo(gomega.HaveOccurred(), "the refresh token that followed is not known")
	p.Expect(p.whoIs(again)).To(gomega.Equal(jane))

	t.Run("a tenant's key of the same audience", func(t *testing.T) {
		h := *h
		h.T, h.WithT = t, gomega.NewWithT(t)
		key := h.key("ci", func(key *v1alpha1.JWTRefreshKey) { key.Spec.Audience = clusterAudience })
		_, err := h.kubectl(h.exchange(h.discovery(), key), "auth", "whoami")
		h.Expect(err).To(gomega.MatchError(gomega.ContainSubstring("Unauthorized")))
	})

	p.Expect(p.signOut().String()).To(gomega.HavePrefix(p.url + "/signin"))
	p.Expect(len(sessions())).To(gomega.BeZero(), "the session goes on after the sign-out")
	_, err = again.Renew(t.Context())
	p.Expect(err).To(gomega.HaveOccurred())
}

// TestConsoleImpersonates checks that the console's ServiceAccount acts as a person for refresh keys and issuers, and for nothing
// else, also where the person may do everything.
func TestConsoleImpersonates(t *testing.T) {
	h := newFixture(t, time.Now(), 0)
	h.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: "refreshkeys-console"}})
	h.Expect(suite.server.Apply(h.Ctx, filepath.Join("config", "console-impersonation"))).To(gomega.Succeed())
	api, err := suite.server.ServiceAccount(h.Ctx, apiserver.Namespace, "refreshkeys-console")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	p := newPage(t, api, true, "forward: Impersonation\ngroupsClaim: groups\n")
	const jane = "oidc:id-jane"
	h.Create(&rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "interop-jane-"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: jane}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
	})
	me := p.me()
	p.Expect(me).To(gomega.And(gomega.HaveField("User", jane), gomega.HaveField("Means", wire.Impersonation), gomega.HaveField("Reveal", false),
		gomega.HaveField("Groups", gomega.ContainElement("oidc:auditors"))))

	person, inNamespace := p.client(p.signIn.credential), client.InNamespace(h.Name)
	key := h.Key("orders")
	named := metav1.ObjectMeta{Namespace: h.Name, Name: "made"}
	for _, may := range []struct {
		name string
		do   func(ctx context.Context) error
	}{
		{"list keys", func(ctx context.Context) error { return person.List(ctx, &v1alpha1.JWTRefreshKeyList{}) }},
		{"list issuers", func(ctx context.Context) error { return person.List(ctx, &v1alpha1.JWTIssuerList{}) }},
		{"list namespaces", func(ctx context.Context) error { return person.List(ctx, &corev1.NamespaceList{}) }},
		{"change a key", func(ctx context.Context) error {
			return person.Patch(ctx, key, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"revoked":true}}`)))
		}},
		{"delete a key", func(ctx context.Context) error { return person.Delete(ctx, key) }},
	} {
		p.Eventually(func() error { return may.do(t.Context()) }).WithTimeout(patience).Should(gomega.Succeed(), "%s", may.name)
	}
	for _, mayNot := range []struct {
		name string
		do   func(ctx context.Context) error
	}{
		{"list Secrets", func(ctx context.Context) error { return person.List(ctx, &corev1.SecretList{}, inNamespace) }},
		{"get a Secret", func(ctx context.Context) error {
			return person.Get(ctx, client.ObjectKey{Namespace: h.Name, Name: "orders"}, &corev1.Secret{})
		}},
		{"list pods", func(ctx context.Context) error { return person.List(ctx, &corev1.PodList{}, inNamespace) }},
		{"create a pod", func(ctx context.Context) error {
			return person.Create(ctx, &corev1.Pod{ObjectMeta: named, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}}})
		}},
		{"list ServiceAccounts", func(ctx context.Context) error { return person.List(ctx, &corev1.ServiceAccountList{}, inNamespace) }},
		{"create a ServiceAccount", func(ctx context.Context) error { return person.Create(ctx, &corev1.ServiceAccount{ObjectMeta: named}) }},
		{"create a namespace", func(ctx context.Context) error {
			return person.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.Name + "-made"}})
		}},
		{"delete a namespace", func(ctx context.Context) error {
			return person.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.Name}})
		}},
		{"create an issuer", func(ctx context.Context) error {
			return person.Create(ctx, &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: h.Name + "-made"}, Spec: v1alpha1.JWTIssuerSpec{URL: "https://made.example.com"}})
		}},
		{"bind a role", func(ctx context.Context) error {
			return person.Create(ctx, &rbacv1.RoleBinding{ObjectMeta: named, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"}})
		}},
	} {
		p.Expect(apierrors.IsForbidden(mayNot.do(t.Context()))).To(gomega.BeTrue(), "the console can %s", mayNot.name)
	}

	own, err := client.New(api, client.Options{Scheme: controllers.Scheme(), Mapper: h.Admin.RESTMapper()})
	p.Expect(err).NotTo(gomega.HaveOccurred())
	p.Expect(apierrors.IsForbidden(own.List(t.Context(), &v1alpha1.JWTRefreshKeyList{}))).To(gomega.BeTrue(), "the console has rights of its own")
	p.signOut()
}

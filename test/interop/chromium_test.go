package interop

import (
	"crypto/rand"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// Environment variables of hack/interop: the path of Chromium, or why it is absent.
const (
	chromiumVariable       = "INTEROP_CHROMIUM"
	absentChromiumVariable = "INTEROP_NO_CHROMIUM"
)

const (
	// The origins of single-page applications: the issuer allows the first one.
	pageOrigin, otherOrigin = "https://page.example.com", "https://other.example.com"
	booksOrigin             = "https://books.example.com"
	// clockStep is how often the clock of a fixture that follows the machine's is set.
	clockStep = 50 * time.Millisecond
)

// findChromium returns node for the programs that run Chromium.
func findChromium(t *testing.T) node {
	t.Helper()
	n := findNode(t)
	if os.Getenv(chromiumVariable) == "" {
		t.Skip("the clients in Chromium were NOT tried: " + os.Getenv(absentChromiumVariable))
	}
	return n
}

// follow sets the clock of the fixture to the machine's, which clients use, until the test ends.
func (h *fixture) follow() {
	go wait.Until(func() { h.clock.SetTime(time.Now()) }, clockStep, h.Ctx.Done())
}

// forBrowsers waits until the issuer serves the login page, and lets its clock follow the machine's.
func (h *fixture) forBrowsers() {
	h.T.Helper()
	h.Eventually(func() string { return h.discovery().Endpoint().AuthURL }).ShouldNot(gomega.BeEmpty(), "the metadata never names the authorization endpoint")
	h.follow()
}

// served returns what a program needs to serve applications with these host names over TLS.
func served(t *testing.T, hosts ...string) map[string]any {
	t.Helper()
	pair, _, err := newCertificate(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"certificate": string(pair.Certificate), "key": string(pair.Key)}
}

// jane is the person of withPeople.
var jane = map[string]any{"username": personName, "password": personPassword}

// TestSinglePageApplications checks oidc-client-ts and oauth4webapi with DPoP in Chromium, from an allowed origin: the code bound to
// the key, nonces, /userinfo, one-time refresh tokens, the revocation, and that the session has ended then. The same pages from another
// origin sign the person in, and their browser keeps the tokens from them.
func TestSinglePageApplications(t *testing.T) {
	n := findChromium(t)
	h := withPeople(t, func(issuer *v1alpha1.JWTIssuer) {
		// Without a grace every use of a session's token is followed by another.
		issuer.Spec.Login.SessionRetryGrace = &metav1.Duration{}
		page := application("page")
		for _, origin := range []string{pageOrigin, otherOrigin} {
			page.RedirectURIs = append(page.RedirectURIs, origin+"/oidc-client-ts/", origin+"/oauth4webapi/")
		}
		page.AllowedOrigins = []string{pageOrigin}
		issuer.Spec.Login.Clients = append(issuer.Spec.Login.Clients, page)
	})
	h.forBrowsers()
	saw := n.run(h, "spa.mjs", map[string]any{
		"issuer": h.url(), "id": "page", "audience": harness.Audience, "person": jane, "trusted": string(suite.pair.Certificate),
		"served": served(t, "page.example.com", "other.example.com"), "origins": map[string]any{"allowed": pageOrigin, "other": otherOrigin},
	})
	page := func(kind string) map[string]any {
		return map[string]any{
			"type": kind, "subject": "jane", "audience": "page", "scope": "openid orders:read", "user": "jane", "asBearer": 401.0, "refreshTokens": 3.0,
			"ended": "invalid_grant", "refused": 0.0,
			"answers": []any{"400 use_dpop_nonce", "200", "200", "200", "400 invalid_grant"},
		}
	}
	blocked := map[string]any{"failed": "Failed to fetch", "answers": []any{}, "refused": 1.0}
	h.Expect(saw).To(gomega.Equal(map[string]any{
		"oidcClientTS": page("DPoP"), "oauth4webapi": page("dpop"), "otherOrigin": blocked, "otherOAuth": blocked,
	}))
	h.Expect(h.sessions()).To(gomega.And(gomega.HaveLen(2), gomega.HaveEach(gomega.HaveField("Status.RevokedAt", gomega.Not(gomega.BeNil())))),
		"a page of another origin began a session, or a session was not revoked")
}

// TestWebApplicationsInChromium checks Auth.js, also with client_secret_basic and an empty secret, and passport: a person signs in at the
// login page, the application knows the subject by the id_token, and its own session goes on until the person signs out.
func TestWebApplicationsInChromium(t *testing.T) {
	n := findChromium(t)
	h := withPeople(t, func(issuer *v1alpha1.JWTIssuer) {
		issuer.Spec.Login.Clients = append(issuer.Spec.Login.Clients,
			application("books", booksOrigin+"/auth/callback/public", booksOrigin+"/auth/callback/basic"), application("desk", "http://127.0.0.1/callback"))
	})
	h.forBrowsers()
	saw := n.run(h, "webapp.mjs", map[string]any{
		"issuer": h.url(), "audience": harness.Audience, "person": jane, "trusted": string(suite.pair.Certificate),
		"served": served(t, "books.example.com"), "origin": booksOrigin, "ids": map[string]any{"authJS": "books", "passport": "desk"},
	})
	person := []any{"Signed out", "Signed in as jane", "Signed in as jane", "Signed out"}
	h.Expect(saw).To(gomega.Equal(map[string]any{
		"authJS": person, "authJSWithBasic": person, "passport": person, "granted": []any{"access_token", "id_token", "refresh_token"},
	}))
	clients := map[string]int{}
	for _, one := range h.sessions() {
		clients[one.Status.Session.Client]++
	}
	h.Expect(clients).To(gomega.Equal(map[string]int{"books": 2, "desk": 1}))
}

// TestProviderInChromium checks that people sign in at the pages of a provider, from the login page and from the page of a device, and
// that the login page says what failed and offers the other ways while a provider is down, and after it refused a person.
func TestProviderInChromium(t *testing.T) {
	n := findChromium(t)
	const loginPage = "login-page"
	secret := rand.Text()
	up, down := providerAddress(t), providerAddress(t)
	entry := func(address, name, secretName string) v1alpha1.OIDCProvider {
		return v1alpha1.OIDCProvider{
			IssuerURL: "https://" + address, CABundle: string(suite.bundle), Audiences: []string{loginPage}, SubjectPrefix: "people:", DisplayName: name,
			Client: &v1alpha1.ProviderClient{ID: loginPage, SecretRef: &v1alpha1.LocalSecretReference{Name: secretName}},
		}
	}
	h := withPeople(t, func(issuer *v1alpha1.JWTIssuer) {
		secretName := issuer.Name + "-provider"
		issuer.Spec.Login.OIDC = []v1alpha1.OIDCProvider{entry(up, "Staff account", secretName), entry(down, "Old directory", secretName)}
		device := application("tv")
		device.Name, device.Device = "The television", &v1alpha1.DeviceClient{CodePrefix: "TV"}
		issuer.Spec.Login.Clients = append(issuer.Spec.Login.Clients, application("desk", "http://127.0.0.1/callback"), device)
	})
	h.Create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: h.Name + "-provider"}, StringData: map[string]string{"client-secret": secret},
	})
	p := newProviderWith(t, suite.pair, suite.bundle, []user{newUser("jane", "en", true), newUser("john", "en", true)},
		"-listen", up, "-redirect", endpoint.CallbackURL(h.url(), endpoint.ProviderID("https://"+up)), "-secret", secret, "-deny", "id-john", loginPage)
	h.forBrowsers()
	person := func(name string) map[string]any {
		return map[string]any{"username": name, "password": p.passwords[name]}
	}
	saw := n.run(h, "upstream.mjs", map[string]any{
		"issuer": h.url(), "audience": harness.Audience, "trusted": string(suite.pair.Certificate), "ids": map[string]any{"application": "desk", "device": "tv"},
		"providers": map[string]any{"up": "Staff account", "down": "Old directory"}, "people": map[string]any{"allowed": person("jane"), "denied": person("john")},
	})
	const away = "The provider is not available now. Try again in a moment."
	ways := []any{"Sign in", "Staff account", "Old directory"}
	tokens := map[string]any{"subject": "people:id-jane", "scope": "openid orders:read"}
	h.Expect(saw).To(gomega.Equal(map[string]any{
		"down":     map[string]any{"alert": away, "buttons": ways},
		"denied":   map[string]any{"alert": "The provider did not sign you in.", "buttons": ways},
		"signedIn": map[string]any{"subject": "people:id-jane", "scope": "openid orders:read", "user": "people:id-jane"},
		"device": map[string]any{
			"alert": away, "proposed": false, "asked": "The television", "address": "not known", "end": "Your device is being signed in", "ended": tokens,
		},
		"deniedDevice": map[string]any{
			"alert": away, "proposed": true, "asked": "The television", "address": host, "end": "You denied the access", "ended": "400 access_denied",
		},
	}))
}

// providerAddress returns an address at which nothing listens.
func providerAddress(t *testing.T) string {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s:%d", host, port)
}

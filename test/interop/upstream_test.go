package interop

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/onsi/gomega"
	"golang.org/x/oauth2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// The clients of the provider that the token service is: one with a secret, and a public one.
const (
	secretClient = "login-page"
	publicClient = "login-page-public"
)

// withStaff starts a provider with Jane and Mallory, which refuses Mallory, and an installation. The login page has a button for the
// provider and no form for passwords. The change is of the login.
func withStaff(t *testing.T, asClient string, change func(*v1alpha1.LoginSpec)) (*fixture, *provider) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	at, asked := fmt.Sprintf("%s:%d", host, port), &v1alpha1.ProviderClient{ID: asClient}
	h := newFixture(t, time.Now(), 0, harness.WithRules(v1alpha1.PolicyRule{Scopes: []string{"orders:*"}, Claims: []string{"email", "email_verified"}}),
		func(issuer *v1alpha1.JWTIssuer) {
			if asClient == secretClient {
				asked.SecretRef = &v1alpha1.LocalSecretReference{Name: issuer.Name + "-provider"}
			}
			issuer.Spec.Login = &v1alpha1.LoginSpec{SessionNamespace: issuer.Name, OIDC: []v1alpha1.OIDCProvider{{
				IssuerURL: "https://" + at, CABundle: string(suite.bundle), Audiences: []string{asClient}, SubjectPrefix: "staff:", DisplayName: "Staff account",
				Claims: map[string]v1alpha1.ClaimName{"email": "email", "email_verified": "email_verified"}, Client: asked,
			}}}
			change(issuer.Spec.Login)
		})
	mallory, secret := newUser("mallory", "de", true), rand.Text()
	p := newProviderWith(t, suite.pair, suite.bundle, []user{newUser("jane", "de", true), mallory}, "-listen", at, "-secret", secret, "-deny", mallory.ID,
		"-redirect", endpoint.CallbackURL(h.url(), endpoint.ProviderID("https://"+at)), "-public", publicClient, secretClient)
	if asked.SecretRef != nil {
		h.Create(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: asked.SecretRef.Name}, StringData: map[string]string{"client-secret": secret},
		})
	}
	return h, p
}

var (
	providerButton = regexp.MustCompile(`<button name="provider" value="([^"]+)">Staff account<`)
	pageLink       = regexp.MustCompile(`<a href="([^"]+)"`)
)

// choose takes the button for the provider, and follows the link to it.
func (p *person) choose() {
	p.t.Helper()
	p.submit(map[string][]string{"provider": {p.find(providerButton)}})
	p.open(p.find(pageLink))
}

// signInAt signs in at the page of a provider.
func (p *person) signInAt(at *provider, name string) {
	p.t.Helper()
	p.arrive(p.browser.PostForm(at.loginForm(p.at, name)))
}

// TestSignInAtAProvider checks that people sign in at the provider with the button of the login page, with both kinds of client of the
// provider, and that an application gets the code, the tokens and the claims of the token service.
func TestSignInAtAProvider(t *testing.T) {
	for name, asClient := range map[string]string{"with a secret": secretClient, "as a public client": publicClient} {
		t.Run(name, func(t *testing.T) {
			h, at := withStaff(t, asClient, func(login *v1alpha1.LoginSpec) {
				login.Clients = []v1alpha1.LoginClient{{
					ID: "shop", RedirectURIs: []string{shopURI}, Audiences: []string{harness.Audience}, Scopes: []string{"openid", "orders:read"},
				}}
			})
			provider := h.withLogin()
			h.now()
			config := &oauth2.Config{ClientID: "shop", RedirectURL: shopURI, Endpoint: provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "orders:read"}}
			verifier, state, nonce := oauth2.GenerateVerifier(), rand.Text(), rand.Text()
			link := config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier), oidc.Nonce(nonce))
			jane := h.person()
			jane.open(link)
			h.Expect(jane.page).NotTo(gomega.ContainSubstring(`type="password"`), "the issuer has no passwords")
			jane.choose()
			h.Expect(jane.at.Query().Get("authRequestID")).NotTo(gomega.BeEmpty(), "the browser is not at the provider: %s", jane.at)
			jane.signInAt(at, "jane")
			h.Expect(h.sessions()).To(gomega.BeEmpty(), "before the code is redeemed nothing is stored")
			jane.answer("allow")
			h.Expect(jane.at.String()).To(gomega.HavePrefix(shopURI+"?"), jane.page)
			h.Expect(jane.at.Query().Get("state")).To(gomega.Equal(state))
			tokens, err := config.Exchange(h.clientContext(), jane.at.Query().Get("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatal(redacted(err))
			}
			h.isStaff(provider, tokens, nonce)
			h.Expect(h.sessions()[0].Status.Session).To(gomega.HaveValue(gomega.And(
				gomega.HaveField("Method", v1alpha1.LoginOIDC), gomega.HaveField("Provider", at.issuer), gomega.HaveField("Client", "shop"))))

			mallory := h.person()
			mallory.open(link)
			mallory.choose()
			mallory.signInAt(at, "mallory")
			h.Expect(mallory.status).To(gomega.Equal(http.StatusForbidden), mallory.page)
			h.Expect(mallory.page).To(gomega.MatchRegexp(providerButton.String()), "the person cannot choose another way")
		})
	}
}

// isStaff checks what an application gets: an id_token for itself with the nonce, an access token for the API, and the claims of the
// provider in both and at /userinfo.
func (h *fixture) isStaff(provider *oidc.Provider, tokens *oauth2.Token, nonce string) {
	h.T.Helper()
	raw, _ := tokens.Extra("id_token").(string)
	identity, err := provider.VerifierContext(h.clientContext(), &oidc.Config{ClientID: "shop"}).Verify(h.clientContext(), raw)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(identity.Nonce).To(gomega.Equal(nonce))
	h.Expect(identity.VerifyAccessToken(tokens.AccessToken)).To(gomega.Succeed())
	inIdentity := map[string]any{}
	h.Expect(identity.Claims(&inIdentity)).To(gomega.Succeed())
	info, err := provider.UserInfo(h.clientContext(), oauth2.StaticTokenSource(tokens))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	inInfo := map[string]any{}
	h.Expect(info.Claims(&inInfo)).To(gomega.Succeed())
	for place, claims := range map[string]map[string]any{"id_token": inIdentity, "access token": h.claims(provider, tokens.AccessToken), "/userinfo": inInfo} {
		h.Expect(claims).To(gomega.And(gomega.HaveKeyWithValue("sub", "staff:id-jane"), gomega.HaveKeyWithValue("email", "jane@example.com"),
			gomega.HaveKeyWithValue("email_verified", true)), place)
	}
}

package interop

import (
	"net/url"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/onsi/gomega"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/oauth2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

const shopURI = "https://shop.example.com/callback"

// withPeople starts an installation in which Jane signs in with a password, to an application or to those of the changes.
func withPeople(t *testing.T, changes ...func(*v1alpha1.JWTIssuer)) *fixture {
	t.Helper()
	return withPeopleAt(t, 0, changes...)
}

// withPeopleAt is withPeople on a port.
func withPeopleAt(t *testing.T, port int, changes ...func(*v1alpha1.JWTIssuer)) *fixture {
	t.Helper()
	secretOf := func(issuer string) string { return issuer + "-people" }
	h := newFixture(t, time.Now(), port, append([]func(*v1alpha1.JWTIssuer){func(issuer *v1alpha1.JWTIssuer) {
		issuer.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Scopes: []string{"orders:*"}}}}
		issuer.Spec.Login = &v1alpha1.LoginSpec{
			SessionNamespace: issuer.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: secretOf(issuer.Name)}},
			Clients: []v1alpha1.LoginClient{application("shop", shopURI)},
		}
	}}, changes...)...)
	hash, err := bcrypt.GenerateFromPassword([]byte(personPassword), bcrypt.MinCost)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: secretOf(h.Name)}, StringData: map[string]string{"htpasswd": personName + ":" + string(hash) + "\n"},
	})
	return h
}

// application returns a client of an issuer that can ask for an id_token and a scope.
func application(id string, redirectURIs ...string) v1alpha1.LoginClient {
	return v1alpha1.LoginClient{ID: id, RedirectURIs: redirectURIs, Audiences: []string{harness.Audience}, Scopes: []string{"openid", "orders:read"}}
}

// signInWithBrowser opens an authorization request as Jane, allows the access, and returns where the browser goes then.
func (h *fixture) signInWithBrowser(at string) *url.URL {
	h.T.Helper()
	jane := h.person()
	jane.open(at)
	jane.signIn()
	jane.answer("allow")
	h.Expect(jane.at.Host).To(gomega.Equal("shop.example.com"), jane.page)
	return jane.at
}

// TestWebApplicationInGo checks x/oauth2 with PKCE, and go-oidc: discovery, the id_token with its nonce and at_hash, and /userinfo.
func TestWebApplicationInGo(t *testing.T) {
	h := withPeople(t)
	provider := h.withLogin()
	config := &oauth2.Config{ClientID: "shop", RedirectURL: shopURI, Endpoint: provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "orders:read"}}
	verifier := oauth2.GenerateVerifier()
	back := h.signInWithBrowser(config.AuthCodeURL("s1", oauth2.S256ChallengeOption(verifier), oidc.Nonce("n1")))
	h.Expect(back.Query().Get("state")).To(gomega.Equal("s1"))
	h.Expect(back.Query().Get("iss")).To(gomega.Equal(h.url()))
	_, err := config.Exchange(h.clientContext(), back.Query().Get("code"), oauth2.VerifierOption(oauth2.GenerateVerifier()))
	h.Expect(err).To(gomega.MatchError(gomega.ContainSubstring("invalid_grant")), "another verifier")
	tokens, err := config.Exchange(h.clientContext(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	raw, _ := tokens.Extra("id_token").(string)
	identity, err := provider.VerifierContext(h.clientContext(), &oidc.Config{ClientID: "shop"}).Verify(h.clientContext(), raw)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(identity.Subject).To(gomega.Equal("jane"))
	h.Expect(identity.Nonce).To(gomega.Equal("n1"))
	h.Expect(identity.VerifyAccessToken(tokens.AccessToken)).To(gomega.Succeed())
	_, err = h.verifier(provider).Verify(h.clientContext(), tokens.AccessToken)
	h.Expect(err).NotTo(gomega.HaveOccurred(), "the access token is for the API")
	info, err := provider.UserInfo(h.clientContext(), oauth2.StaticTokenSource(tokens))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(info.Subject).To(gomega.Equal("jane"))
	tokens.Expiry = time.Now()
	next, err := config.TokenSource(h.clientContext(), tokens).Token()
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(next.AccessToken).NotTo(gomega.Equal(tokens.AccessToken))
}

// TestWebApplicationsInJavaScript checks openid-client as a web application, with a pushed request as well.
func TestWebApplicationsInJavaScript(t *testing.T) {
	n := findNode(t)
	h := withPeople(t)
	h.withLogin()
	saw := n.run(h, "browser.mjs", map[string]any{
		"issuer": h.url(), "id": "shop", "redirect": shopURI, "audience": harness.Audience, "person": jane,
	})
	web := map[string]any{
		"subject": "jane", "audience": "shop", "scope": "openid orders:read", "user": "jane", "refreshed": "string", "again": "400 invalid_grant", "ended": "400 invalid_grant",
	}
	h.Expect(saw).To(gomega.Equal(map[string]any{"web": web, "pushed": web}))
}

package interop

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/onsi/gomega"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// projected creates a ServiceAccount, and returns a token as in a projected volume, with the issuer as audience.
func (h *fixture) projected(name string) string {
	h.T.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, Name: name}}
	h.Create(account)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{h.url()}}}
	h.Expect(h.Admin.SubResource("token").Create(h.Ctx, account, request)).To(gomega.Succeed())
	return request.Status.Token
}

// program is a client with x/oauth2 and the token endpoint of the metadata.
func program(name string, provider *oidc.Provider) *oauth2.Config {
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams
	return &oauth2.Config{ClientID: name, Endpoint: endpoint}
}

// signIn exchanges a subject token. x/oauth2 does not support RFC 8693; it allows the grant to be set, and sends
// an empty code.
func (h *fixture) signIn(config *oauth2.Config, subjectToken, subjectTokenType, wanted string) (*oauth2.Token, error) {
	return config.Exchange(h.clientContext(), "",
		oauth2.SetAuthURLParam("grant_type", oauth.GrantTokenExchange),
		oauth2.SetAuthURLParam("subject_token", subjectToken),
		oauth2.SetAuthURLParam("subject_token_type", subjectTokenType),
		oauth2.SetAuthURLParam("audience", wanted))
}

// signedIn returns the result of a login, which must succeed.
func (h *fixture) signedIn(config *oauth2.Config, subjectToken, subjectTokenType, wanted string) *oauth2.Token {
	h.T.Helper()
	got, err := h.signIn(config, subjectToken, subjectTokenType, wanted)
	if err != nil {
		h.T.Fatalf("%s is not signed in: %s", config.ClientID, redacted(err))
	}
	return got
}

// refresh exchanges a refresh token, regardless of the access token's end.
func (h *fixture) refresh(config *oauth2.Config, held string) (*oauth2.Token, error) {
	return config.TokenSource(h.clientContext(), &oauth2.Token{RefreshToken: held}).Token()
}

// outcome returns the status and the error code of x/oauth2's error.
func outcome(err error) string {
	var refusal *oauth2.RetrieveError
	switch {
	case err == nil:
		return "200"
	case !errors.As(err, &refusal) || refusal.Response == nil:
		return "an error that is not a RetrieveError"
	default:
		return fmt.Sprintf("%d %s", refusal.Response.StatusCode, refusal.ErrorCode)
	}
}

// sessions returns the sessions of the fixture.
func (h *fixture) sessions() []v1alpha1.JWTRefreshKey {
	h.T.Helper()
	var list v1alpha1.JWTRefreshKeyList
	h.Expect(h.Admin.List(h.Ctx, &list, client.InNamespace(h.Name), client.HasLabels{v1alpha1.LabelSession})).To(gomega.Succeed())
	return list.Items
}

// claims returns the claims of an access token that go-oidc verifies.
func (h *fixture) claims(provider *oidc.Provider, compact string) map[string]any {
	h.T.Helper()
	verified, err := h.verifier(provider).Verify(h.clientContext(), compact)
	h.Expect(err).NotTo(gomega.HaveOccurred(), "an access token is not valid")
	claims := map[string]any{}
	h.Expect(verified.Claims(&claims)).To(gomega.Succeed())
	return claims
}

// TestOAuth2Session checks that a ServiceAccount signs in, and that x/oauth2 continues the session for several
// lifetimes of its access token with one-time tokens. A later use of a used token ends the session, and x/oauth2
// gets the error.
func TestOAuth2Session(t *testing.T) {
	const life = 15 * time.Minute
	h := newFixture(t, time.Now(), 0)
	provider := h.discovery()
	first := h.signedIn(program("till-17", provider), h.projected("till"), oauth.TypeJWT, harness.Audience)
	h.Expect(first.Extra("issued_token_type")).To(gomega.Equal(oauth.TypeAccessToken))
	h.Expect(h.claims(provider, first.AccessToken)).To(gomega.HaveKeyWithValue("sub", "system:serviceaccount:"+h.Name+":till"))

	till := h.inMemory("till-17", provider, first.RefreshToken)
	held := map[string]bool{first.RefreshToken: true}
	// A token that is younger than the grace is not followed.
	h.clock.SetTime(h.clock.Now().Add(life))
	for lives := 1; lives <= 5; lives++ {
		h.Expect(till.access()).To(gomega.Succeed())
		h.Expect(till.exchanges).To(gomega.Equal(lives))
		h.Expect(held[till.token.RefreshToken]).To(gomega.BeFalse(), "a token for one use was given twice")
		held[till.token.RefreshToken] = true
		h.Expect(h.claims(provider, till.token.AccessToken)).To(gomega.HaveKeyWithValue("sub", "system:serviceaccount:"+h.Name+":till"))
		h.clock.SetTime(h.clock.Now().Add(life))
	}

	thief := h.inMemory("thief", provider, first.RefreshToken)
	h.Expect(thief.access()).To(gomega.MatchError(gomega.ContainSubstring("invalid_grant")), "a used token was exchanged")
	h.Expect(till.access()).To(gomega.MatchError(gomega.ContainSubstring("invalid_grant")), "the session continues after a reuse")
}

// TestPasswordLogin checks that x/oauth2 signs a person in by name and password if the issuer has a file of
// passwords. Its function for the grant has no parameter for the required audience; its client configuration does.
func TestPasswordLogin(t *testing.T) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, GenerateName: "passwords-"}}
	password := rand.Text()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	gomega.NewWithT(t).Expect(err).NotTo(gomega.HaveOccurred())
	h := newFixture(t, time.Now(), 0)
	closed := h.discovery()
	_, err = program("till-17", closed).PasswordCredentialsToken(h.clientContext(), "jane", password)
	h.Expect(outcome(err)).To(gomega.Equal("400 unsupported_grant_type"), "an issuer without a file of passwords")
	h.Expect(grantsOf(closed)).NotTo(gomega.ContainElement("password"))

	secret.StringData = map[string]string{"htpasswd": "# people\njane:" + string(hash) + "\n"}
	h.Create(secret)
	issuer := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: h.Name}}
	h.Edit(issuer, func() {
		issuer.Spec.Login = &v1alpha1.LoginSpec{
			SessionNamespace: h.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: secret.Name}},
		}
	})
	h.Eventually(func() []string { return grantsOf(h.discovery()) }).Should(gomega.ContainElement("password"))
	provider := h.discovery()
	config := program("till-17", provider)
	_, err = config.PasswordCredentialsToken(h.clientContext(), "jane", password)
	h.Expect(outcome(err)).To(gomega.Equal("400 invalid_request"))
	h.Expect(redacted(err)).To(gomega.ContainSubstring("audience is missing"))

	byPassword := func(password string) *clientcredentials.Config {
		return &clientcredentials.Config{
			ClientID: config.ClientID, TokenURL: config.Endpoint.TokenURL, AuthStyle: oauth2.AuthStyleInParams,
			EndpointParams: url.Values{"grant_type": {"password"}, "username": {"jane"}, "password": {password}, "audience": {harness.Audience}},
		}
	}
	_, err = byPassword("wrong").Token(h.clientContext())
	h.Expect(outcome(err)).To(gomega.Equal("400 invalid_grant"))
	got, err := byPassword(password).Token(h.clientContext())
	if err != nil {
		t.Fatal(redacted(err))
	}
	h.Expect(h.claims(provider, got.AccessToken)).To(gomega.HaveKeyWithValue("sub", "jane"))
	h.Expect(h.sessions()).To(gomega.HaveLen(1))
	h.Expect(h.sessions()[0].Status.Session.Method).To(gomega.Equal(v1alpha1.LoginPassword))

	h.clock.SetTime(h.clock.Now().Add(time.Minute))
	next, err := h.refresh(config, got.RefreshToken)
	if err != nil {
		t.Fatal(redacted(err))
	}
	h.Expect(next.RefreshToken == got.RefreshToken).To(gomega.BeFalse(), "a token for one use was given again")
	h.Expect(h.claims(provider, next.AccessToken)).To(gomega.HaveKeyWithValue("sub", "jane"))
}

// grantsOf returns the grants of the metadata.
func grantsOf(provider *oidc.Provider) []string {
	var metadata struct {
		Grants []string `json:"grant_types_supported"`
	}
	if err := provider.Claims(&metadata); err != nil {
		return []string{err.Error()}
	}
	return metadata.Grants
}

// people makes an issuer admit people with a verified address and the German locale, with the address as subject
// and the full name as a claim.
func people(p *provider) *v1alpha1.LoginSpec {
	return &v1alpha1.LoginSpec{OIDC: []v1alpha1.OIDCProvider{{
		IssuerURL: p.issuer, CABundle: string(p.bundle), Audiences: []string{providerClient},
		SubjectClaim: "email", SubjectPrefix: "people:",
		Claims:  map[string]v1alpha1.ClaimName{"full_name": "name"},
		Allowed: []v1alpha1.AllowedValues{{Claim: "locale", Values: []string{"de", "nl"}}},
	}}}
}

// TestPeopleSignIn checks that people who signed in at an OpenID Connect provider with their browser get a session
// with its id_token, as long as the issuer names the provider.
func TestPeopleSignIn(t *testing.T) {
	p := newProvider(t, newUser("jane", "de", true), newUser("john", "fr", true), newUser("mallory", "de", false))
	open := func() (*fixture, *v1alpha1.JWTIssuer) {
		var issuer *v1alpha1.JWTIssuer
		h := newFixture(t, time.Now(), 0, func(i *v1alpha1.JWTIssuer) {
			i.Spec.Login = people(p)
			i.Spec.Login.SessionNamespace = i.Name
			i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{harness.Audience}, Claims: []string{"full_name"}}}}
			issuer = i
		})
		return h, issuer
	}
	h, issuer := open()
	provider := h.discovery()
	config := program("till-17", provider)
	jane := p.idToken(providerClient, "jane")
	got := h.signedIn(config, jane, oauth.TypeIDToken, harness.Audience)
	h.Expect(h.claims(provider, got.AccessToken)).To(gomega.And(
		gomega.HaveKeyWithValue("sub", "people:jane@example.com"), gomega.HaveKeyWithValue("full_name", "Jane Miller")))
	h.Expect(h.sessions()).To(gomega.HaveLen(1))
	h.Expect(h.sessions()[0].Status.Session).To(gomega.HaveValue(gomega.And(
		gomega.HaveField("Method", v1alpha1.LoginOIDC), gomega.HaveField("Subject", "people:jane@example.com"), gomega.HaveField("Provider", p.issuer))))

	for _, refused := range []struct{ name, token, want string }{
		{"issued to another client", p.idToken(otherClient, "jane"), "400 invalid_request"},
		{"without an allowed value", p.idToken(providerClient, "john"), "400 invalid_request"},
		{"with an address that is not verified", p.idToken(providerClient, "mallory"), "400 invalid_request"},
	} {
		_, err := h.signIn(config, refused.token, oauth.TypeIDToken, harness.Audience)
		h.Expect(outcome(err)).To(gomega.Equal(refused.want), "an id_token %s", refused.name)
	}
	_, err := h.signIn(config, jane, oauth.TypeIDToken, "https://billing.example.com")
	h.Expect(outcome(err)).To(gomega.Equal("400 invalid_target"), "an audience that is not granted")
	h.Expect(h.sessions()).To(gomega.HaveLen(1), "a refused login has no session")

	named := issuer.Spec.Login.OIDC
	held := h.refreshesUntil(config, got.RefreshToken, "200")
	h.Edit(issuer, func() { issuer.Spec.Login.OIDC = nil })
	held = h.refreshesUntil(config, held, "400 unauthorized_client")
	h.Edit(issuer, func() { issuer.Spec.Login.OIDC = named })
	held = h.refreshesUntil(config, held, "200")

	uncached, _ := open()
	itsConfig := program("till-17", uncached.discovery())
	p.stop()
	_, err = uncached.signIn(itsConfig, jane, oauth.TypeIDToken, harness.Audience)
	h.Expect(outcome(err)).To(gomega.Equal("503 temporarily_unavailable"), "an unavailable provider without cached keys")
	h.Expect(uncached.sessions()).To(gomega.BeEmpty())
	h.signedIn(config, jane, oauth.TypeIDToken, harness.Audience)
	h.refreshesUntil(config, held, "200")
}

// refreshesUntil refreshes a session until the wanted result, which may take until the token service receives a
// change, and returns the valid token.
func (h *fixture) refreshesUntil(config *oauth2.Config, held, want string) string {
	h.T.Helper()
	h.Eventually(func() string {
		got, err := h.refresh(config, held)
		if err == nil {
			held = got.RefreshToken
		}
		return outcome(err)
	}).Should(gomega.Equal(want))
	return held
}

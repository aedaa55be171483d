package interop

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/onsi/gomega"
	"golang.org/x/oauth2"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// refusals reports the bodies of the refusals that a client gets.
type refusals struct {
	http.RoundTripper
	bodies chan string
}

// RoundTrip implements http.RoundTripper.
func (r *refusals) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := r.RoundTripper.RoundTrip(request)
	if err != nil || answer.StatusCode == http.StatusOK {
		return answer, err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(body))
	r.bodies <- string(body)
	return answer, err
}

// TestDeviceInGo checks the device flow of x/oauth2, also with a code challenge: the device polls until a person has decided with a
// browser, and gets its tokens or the denial.
func TestDeviceInGo(t *testing.T) {
	h := withPeople(t, func(issuer *v1alpha1.JWTIssuer) {
		issuer.Spec.Login.Clients = []v1alpha1.LoginClient{{
			ID: "tv", Audiences: []string{harness.Audience}, Scopes: []string{"openid", "orders:read"}, Device: &v1alpha1.DeviceClient{CodePrefix: "TV"},
		}}
	})
	provider := h.withLogin()
	for _, c := range []struct {
		name, answer string
		style        oauth2.AuthStyle
		// early decides before the first poll.
		early bool
		want  string
	}{
		{"allowed before the first poll", "allow", oauth2.AuthStyleAutoDetect, true, "200"},
		{"allowed while the device polls", "allow", oauth2.AuthStyleInParams, false, "200"},
		// Until it has a success, x/oauth2 sends each request with both styles. None of the polls is too early.
		{"allowed while the device polls in both styles", "allow", oauth2.AuthStyleAutoDetect, false, "200"},
		{"denied while the device polls", "deny", oauth2.AuthStyleInHeader, false, "400 access_denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := *h
			h.T, h.WithT = t, gomega.NewWithT(t)
			config := &oauth2.Config{ClientID: "tv", Endpoint: provider.Endpoint()}
			config.Endpoint.AuthStyle = c.style
			noting := &refusals{h.http.Transport, make(chan string, 16)}
			ctx := context.WithValue(h.Ctx, oauth2.HTTPClient, &http.Client{Transport: noting, Timeout: patience})
			verifier := oauth2.GenerateVerifier()
			begun, err := config.DeviceAuth(ctx, oauth2.S256ChallengeOption(verifier))
			h.Expect(err).NotTo(gomega.HaveOccurred())
			h.Expect(begun.UserCode).To(gomega.HavePrefix("TV-"))
			h.Expect(begun.Interval).To(gomega.BeNumerically("==", 5))
			// The device waits for a second instead, and the clock of the token service moves by hand.
			begun.Interval = 1
			jane := h.person()
			if c.early {
				jane.connect(begun.VerificationURIComplete, c.answer)
			}
			type result struct {
				tokens *oauth2.Token
				err    error
			}
			results := make(chan result, 1)
			go func() {
				tokens, err := config.DeviceAccessToken(ctx, begun, oauth2.VerifierOption(verifier))
				results <- result{tokens, err}
			}()
			if !c.early {
				h.Expect(<-noting.bodies).To(gomega.ContainSubstring("authorization_pending"))
				if c.style == oauth2.AuthStyleAutoDetect {
					h.Expect(<-noting.bodies).To(gomega.ContainSubstring("authorization_pending"))
				}
				h.clock.SetTime(h.clock.Now().Add(5 * time.Second))
				jane.connect(begun.VerificationURIComplete, c.answer)
			}
			got := <-results
			h.Expect(outcome(got.err)).To(gomega.Equal(c.want))
			if c.answer == "allow" {
				h.isDevice(provider, got.tokens)
			}
		})
	}
}

// isDevice checks the tokens of a device.
func (h *fixture) isDevice(provider *oidc.Provider, tokens *oauth2.Token) {
	h.T.Helper()
	raw, _ := tokens.Extra("id_token").(string)
	identity, err := provider.VerifierContext(h.clientContext(), &oidc.Config{ClientID: "tv", Now: h.clock.Now}).Verify(h.clientContext(), raw)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(identity.Subject).To(gomega.Equal(personName))
	h.Expect(identity.VerifyAccessToken(tokens.AccessToken)).To(gomega.Succeed())
	h.Expect(h.claims(provider, tokens.AccessToken)).To(gomega.And(
		gomega.HaveKeyWithValue("sub", personName), gomega.HaveKeyWithValue("scope", "openid orders:read")))
	next, err := h.refresh(&oauth2.Config{ClientID: "tv", Endpoint: provider.Endpoint()}, tokens.RefreshToken)
	if err != nil {
		h.T.Fatal(redacted(err))
	}
	h.Expect(h.claims(provider, next.AccessToken)).To(gomega.HaveKeyWithValue("sub", personName))
}

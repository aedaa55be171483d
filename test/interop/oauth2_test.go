package interop

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/onsi/gomega"
	"golang.org/x/oauth2"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// discovery returns what go-oidc discovers at the issuer's URL.
func (h *fixture) discovery() *oidc.Provider {
	h.T.Helper()
	var provider *oidc.Provider
	h.Eventually(func() (err error) {
		provider, err = oidc.NewProvider(h.clientContext(), h.url())
		return err
	}).Should(gomega.Succeed(), "go-oidc finds no metadata at the issuer's URL")
	return provider
}

// clientContext passes an HTTP client to x/oauth2 and go-oidc.
func (h *fixture) clientContext() context.Context {
	return context.WithValue(h.Ctx, oauth2.HTTPClient, h.http)
}

// verifier returns a go-oidc verifier for the API of the audience.
func (h *fixture) verifier(provider *oidc.Provider) *oidc.IDTokenVerifier {
	return provider.VerifierContext(h.clientContext(), &oidc.Config{ClientID: harness.Audience, Now: h.clock.Now})
}

// holder is a program with an oauth2.TokenSource, which requests a token whenever it needs one.
type holder struct {
	name    string
	fixture *fixture
	source  oauth2.TokenSource
	verify  *oidc.IDTokenVerifier

	token *oauth2.Token
	// ends is when the access token ends, by the test's clock.
	ends      time.Time
	exchanges int
}

// inMemory returns a program that read the Secret once. x/oauth2 detects the style of authentication by trying.
func (h *fixture) inMemory(name string, provider *oidc.Provider, held string) *holder {
	config := &oauth2.Config{ClientID: name, Endpoint: provider.Endpoint()}
	return &holder{
		name: name, fixture: h, verify: h.verifier(provider),
		source: config.TokenSource(h.clientContext(), &oauth2.Token{RefreshToken: held}),
	}
}

// access gets a valid access token. x/oauth2 uses the machine's clock, so a token that has ended by the test's
// clock is marked as expired; x/oauth2 does the rest.
func (c *holder) access() error {
	now := c.fixture.clock.Now()
	if c.token != nil && !now.Before(c.ends) {
		c.token.Expiry = time.Now().Add(-time.Second)
	}
	before := c.token
	got, err := c.source.Token()
	if err != nil {
		return fmt.Errorf("%s at %s: exchange %d failed: %s", c.name, now.Format(time.TimeOnly), c.exchanges+1, redacted(err))
	}
	c.token = got
	if got == before {
		return nil
	}
	c.exchanges++
	c.ends = now.Add(time.Duration(got.ExpiresIn) * time.Second)
	if got.ExpiresIn <= 0 || got.Type() != "Bearer" {
		return fmt.Errorf("%s: a token of type %q that lives for %ds", c.name, got.Type(), got.ExpiresIn)
	}
	verified, err := c.verify.Verify(c.fixture.clientContext(), got.AccessToken)
	if err != nil {
		return fmt.Errorf("%s at %s: the access token is not valid: %s", c.name, now.Format(time.TimeOnly), redacted(err))
	}
	// A client that uses expires_in must never present a token after its exp.
	if spare := verified.Expiry.Sub(c.ends); spare < 0 || spare >= time.Second {
		return fmt.Errorf("%s: exp is %s after what expires_in says", c.name, spare)
	}
	return nil
}

// redacted returns an error without parts of the answer, which may contain tokens.
func redacted(err error) string {
	var refusal *oauth2.RetrieveError
	if !errors.As(err, &refusal) {
		return err.Error()
	}
	status := "no status"
	if refusal.Response != nil {
		status = refusal.Response.Status
	}
	return fmt.Sprintf("%s %s (%s)", status, refusal.ErrorCode, refusal.ErrorDescription)
}

// TestOAuth2TokenSource checks that x/oauth2 refreshes for several lifetimes of its access token, takes the next
// refresh token from an answer during the overlap, and returns its own error after the key is revoked.
func TestOAuth2TokenSource(t *testing.T) {
	h := newFixture(t, time.Now(), 0)
	key := h.key("orders", accessFor(time.Minute))
	first := h.AwaitRevision(key, 1)
	client := h.inMemory("tills", h.discovery(), first)
	live := func(lifetimes int) {
		t.Helper()
		for range lifetimes {
			h.Expect(client.access()).To(gomega.Succeed())
			// Within its lifetime the token is used again, without a request.
			h.clock.SetTime(h.clock.Now().Add(30 * time.Second))
			asked := client.exchanges
			h.Expect(client.access()).To(gomega.Succeed())
			h.Expect(client.exchanges).To(gomega.Equal(asked), "an access token was discarded at half its lifetime")
			h.clock.SetTime(h.clock.Now().Add(30 * time.Second))
		}
	}
	live(4)
	h.Expect(client.exchanges).To(gomega.Equal(4))
	h.Expect(client.token.RefreshToken == first).To(gomega.BeTrue(), "the client was given another refresh token before there was one")

	h.Annotate(key, v1alpha1.AnnotationRotate, "hygiene")
	h.AwaitRevision(key, 2)
	// The token service receives the change later; until then the first token is the current one.
	h.Eventually(func() bool {
		live(1)
		return token.Hash(client.token.RefreshToken) == key.Status.TokenHash
	}).Should(gomega.BeTrue(), "the client never got the token of revision 2")
	live(4)
	h.Expect(token.Hash(client.token.RefreshToken)).To(gomega.Equal(key.Status.TokenHash), "the client did not keep the token of revision 2")

	h.Edit(key, func() { key.Spec.Revoked = true })
	h.Eventually(func() string {
		h.clock.SetTime(h.clock.Now().Add(time.Minute))
		err := client.access()
		if err == nil {
			return "exchanged"
		}
		_, err = client.source.Token()
		var refusal *oauth2.RetrieveError
		if !errors.As(err, &refusal) {
			return "an error that is not a RetrieveError"
		}
		return refusal.ErrorCode
	}).Should(gomega.Equal("invalid_grant"), "x/oauth2 does not return the error of the revocation")
}

// TestOAuth2AuthStyles checks both ways in which x/oauth2 sends a client_id without a secret.
func TestOAuth2AuthStyles(t *testing.T) {
	h := newFixture(t, time.Now(), 0)
	held := h.AwaitRevision(h.key("orders"), 1)
	endpoint := h.discovery().Endpoint()
	for name, style := range map[string]oauth2.AuthStyle{"in the header": oauth2.AuthStyleInHeader, "in the body": oauth2.AuthStyleInParams} {
		for _, id := range []string{"", "tills", "refreshkey:shop:a name with spaces & more"} {
			t.Run(fmt.Sprintf("%s as %q", name, id), func(t *testing.T) {
				endpoint.AuthStyle = style
				config := &oauth2.Config{ClientID: id, Endpoint: endpoint}
				got, err := config.TokenSource(h.clientContext(), &oauth2.Token{RefreshToken: held}).Token()
				if err != nil {
					t.Fatal(redacted(err))
				}
				if !got.Valid() || got.RefreshToken != held {
					t.Fatal("the answer holds no access token, or another refresh token")
				}
			})
		}
	}
}

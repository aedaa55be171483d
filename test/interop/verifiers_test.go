package interop

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// cachingVerifier is an API that verifies with jwx, from a copy of the JWKS that it keeps for max-age. It does not
// fetch the JWKS for an unknown kid: verifiers need not, and doing so would hide a signing key that is active too
// early.
type cachingVerifier struct {
	fixture *fixture
	jwksURI string
	cache   *jwk.Cache

	maxAge time.Duration
	// goodUntil is when the copy expires, by the test's clock.
	goodUntil time.Time
}

func (h *fixture) cachingVerifier(jwksURI string) *cachingVerifier {
	h.T.Helper()
	v := &cachingVerifier{fixture: h, jwksURI: jwksURI}
	noting := &http.Client{Transport: &noteMaxAge{h.http.Transport, v}, Timeout: patience}
	var err error
	v.cache, err = jwk.NewCache(h.Ctx, httprc.NewClient(httprc.WithWhitelist(httprc.NewInsecureWhitelist())))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	// By the machine's clock, nothing is fetched again during the test.
	err = v.cache.Register(h.Ctx, jwksURI, jwk.WithHTTPClient(noting), jwk.WithConstantInterval(time.Hour))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(v.maxAge).To(gomega.BeNumerically(">", 0), "the JWKS does not say how long it may be kept")
	v.goodUntil = h.clock.Now().Add(v.maxAge)
	return v
}

// noteMaxAge reads the max-age of an answer.
type noteMaxAge struct {
	http.RoundTripper
	verifier *cachingVerifier
}

func (n *noteMaxAge) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := n.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	for directive := range strings.SplitSeq(response.Header.Get("Cache-Control"), ",") {
		if seconds, ok := strings.CutPrefix(strings.TrimSpace(directive), "max-age="); ok {
			age, err := strconv.Atoi(seconds)
			if err != nil {
				return nil, err
			}
			n.verifier.maxAge = time.Duration(age) * time.Second
		}
	}
	return response, nil
}

// verify verifies an access token with the copy.
func (v *cachingVerifier) verify(compact string) error {
	ctx := v.fixture.Ctx
	if !v.fixture.clock.Now().Before(v.goodUntil) {
		if _, err := v.cache.Refresh(ctx, v.jwksURI); err != nil {
			return err
		}
		v.goodUntil = v.fixture.clock.Now().Add(v.maxAge)
	}
	keys, err := v.cache.Lookup(ctx, v.jwksURI)
	if err != nil {
		return err
	}
	parsed, err := jwt.ParseString(compact, jwt.WithKeySet(keys), jwt.WithIssuer(v.fixture.url()), jwt.WithAudience(harness.Audience),
		jwt.WithClock(jwt.ClockFunc(v.fixture.clock.Now)), jwt.WithRequiredClaim("exp"), jwt.WithRequiredClaim("client_id"))
	if err != nil {
		return err
	}
	if _, ok := parsed.JwtID(); !ok {
		return fmt.Errorf("the token has no jti")
	}
	return nil
}

// jwksURI returns the jwks_uri of the metadata.
func (h *fixture) jwksURI(provider *oidc.Provider) string {
	h.T.Helper()
	var metadata struct {
		JWKSURI string `json:"jwks_uri"`
	}
	h.Expect(provider.Claims(&metadata)).To(gomega.Succeed())
	return metadata.JWKSURI
}

// exchange returns an access token for the token in a key's Secret.
func (h *fixture) exchange(provider *oidc.Provider, key *v1alpha1.JWTRefreshKey) string {
	h.T.Helper()
	got, err := (&secretReader{h, key, provider.Endpoint()}).Token()
	if err != nil {
		h.T.Fatalf("the token in the Secret of %s is not exchanged: %s", key.Name, redacted(err))
	}
	return got.AccessToken
}

// settle makes the manager advance an issuer's signing keys to the test's time, and returns the kid of the active
// access signing key.
func (h *fixture) settle(issuer *v1alpha1.JWTIssuer) (signing string) {
	h.T.Helper()
	due := func() (due []string) {
		h.Expect(h.Reload(issuer)).To(gomega.Succeed())
		for _, key := range issuer.Status.Keys {
			switch now := h.clock.Now(); {
			case key.State == v1alpha1.KeyState(keyring.Pending) && (!now.Before(key.ActiveAt.Time) || key.Algorithm != algorithmOf(issuer)),
				key.State == v1alpha1.KeyState(keyring.Retiring) && !now.Before(key.RetireAt.Time):
				due = append(due, fmt.Sprintf("%s %s %s", key.Use, key.State, key.Algorithm))
			case key.State == v1alpha1.KeyState(keyring.Active) && key.Use == v1alpha1.KeyUse(keyring.Access):
				signing = key.KID
			}
		}
		return due
	}
	if len(due()) > 0 {
		h.touch(issuer)
		h.Eventually(due).Should(gomega.BeEmpty(), "the signing keys do not advance")
	}
	return signing
}

func algorithmOf(issuer *v1alpha1.JWTIssuer) v1alpha1.SigningAlgorithm {
	return cmp.Or(issuer.Spec.Signing.Algorithm, v1alpha1.ES256)
}

// header reads the protected header of a token.
func (h *fixture) header(compact string) jws.Headers {
	h.T.Helper()
	message, err := jws.ParseString(compact)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return message.Signatures()[0].ProtectedHeaders()
}

func (h *fixture) kid(compact string) string {
	h.T.Helper()
	kid, _ := h.header(compact).KeyID()
	return kid
}

// TestDiscovery checks that go-oidc and jwx, from the issuer's URL alone, verify an access token, and refuse a
// refresh token and a token of another audience.
func TestDiscovery(t *testing.T) {
	for _, algorithm := range []v1alpha1.SigningAlgorithm{v1alpha1.ES256, v1alpha1.ES384, v1alpha1.RS256, v1alpha1.EdDSA} {
		t.Run(string(algorithm), func(t *testing.T) {
			h := newFixture(t, time.Now(), 0, func(i *v1alpha1.JWTIssuer) {
				i.Spec.Signing = &v1alpha1.SigningSpec{Algorithm: algorithm}
			})
			provider := h.discovery()
			key := h.key("orders")
			other := h.key("billing", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Audience = "https://billing.example.com" })
			oidcVerifier, jwxVerifier := h.verifier(provider), h.cachingVerifier(h.jwksURI(provider))
			verify := func(compact string) string {
				_, byOIDC := oidcVerifier.Verify(h.clientContext(), compact)
				return fmt.Sprintf("go-oidc %v, jwx %v", byOIDC == nil, jwxVerifier.verify(compact) == nil)
			}
			access := h.exchange(provider, key)
			header := h.header(access)
			typ, _ := header.Type()
			alg, _ := header.Algorithm()
			h.Expect(typ+" "+alg.String()).To(gomega.Equal("at+jwt "+string(algorithm)), "the header of an access token")
			h.Expect(verify(access)).To(gomega.Equal("go-oidc true, jwx true"), "an access token")
			h.Expect(verify(h.AwaitRevision(key, 1))).To(gomega.Equal("go-oidc false, jwx false"), "a refresh token")
			h.Expect(verify(h.exchange(provider, other))).To(gomega.Equal("go-oidc false, jwx false"), "a token of another audience")
			h.clock.SetTime(h.clock.Now().Add(16 * time.Minute))
			h.Expect(verify(access)).To(gomega.Equal("go-oidc false, jwx false"), "a token that has ended")
		})
	}
}

// TestSigningKeyRotation checks that verifiers that keep the JWKS for max-age, started at different times, can
// always verify new and earlier tokens. Meanwhile the signing keys rotate and the algorithm changes, with the
// shortest prepublish.
func TestSigningKeyRotation(t *testing.T) {
	const (
		rotateAfter = 4 * time.Hour
		prepublish  = 20 * time.Minute
		step        = time.Minute
		until       = 11 * time.Hour
		changeAt    = 6 * time.Hour
		life        = time.Hour
	)
	start := time.Now().Truncate(time.Second)
	issuer := &v1alpha1.JWTIssuer{}
	h := newFixture(t, start, 0, func(i *v1alpha1.JWTIssuer) {
		i.Spec.Signing = &v1alpha1.SigningSpec{RotateAfter: &metav1.Duration{Duration: rotateAfter}, Prepublish: &metav1.Duration{Duration: prepublish}}
		issuer = i
	})
	provider := h.discovery()
	key := h.key("orders", accessFor(life))
	byOIDC := h.verifier(provider)
	var byJWX []*cachingVerifier
	// latest is the last token of each signing key, which has the latest end.
	latest := map[string]madeToken{}
	verifications := 0
	for now := start; now.Before(start.Add(until)); now = now.Add(step) {
		h.clock.SetTime(now)
		if age := now.Sub(start); age%(3*time.Minute) == 0 && len(byJWX) < 4 {
			byJWX = append(byJWX, h.cachingVerifier(h.jwksURI(provider)))
		}
		if now.Equal(start.Add(changeAt)) {
			h.Edit(issuer, func() { issuer.Spec.Signing.Algorithm = v1alpha1.RS256 })
		}
		signing := h.settle(issuer)
		if _, known := latest[signing]; !known {
			t.Logf("after %s another key signs", now.Sub(start))
		}
		// The token service receives another signing key after it is stored.
		h.Eventually(func() string {
			compact := h.exchange(provider, key)
			latest[h.kid(compact)] = madeToken{compact, now.Add(life - time.Second)}
			return h.kid(compact)
		}).Should(gomega.Equal(signing), "the token service never signs with the active signing key")
		for _, made := range latest {
			if !now.Before(made.until) {
				continue
			}
			if _, err := byOIDC.Verify(h.clientContext(), made.compact); err != nil {
				t.Errorf("after %s: go-oidc refuses a token that lives for %s: %v", now.Sub(start), made.until.Sub(now), err)
			}
			for i, verifier := range byJWX {
				if err := verifier.verify(made.compact); err != nil {
					t.Errorf("after %s: jwx verifier %d, whose copy is good for %s, refuses a token that lives for %s: %v",
						now.Sub(start), i, verifier.goodUntil.Sub(now), made.until.Sub(now), err)
				}
			}
			verifications += 1 + len(byJWX)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	h.Expect(len(latest)).To(gomega.BeNumerically(">=", 4), "the signing keys did not rotate as often as they should")
	t.Logf("%d verifications of tokens by %d signing keys, none failed; a copy was kept for %s", verifications, len(latest), byJWX[0].maxAge)
}

// madeToken is an access token and its end.
type madeToken struct {
	compact string
	until   time.Time
}

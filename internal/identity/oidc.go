package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	lru "github.com/hashicorp/golang-lru/v2"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

const (
	// upstreamFor bounds how long a login waits for a provider, and each fetch of one of its documents.
	upstreamFor = 10 * time.Second
	// connectFor bounds each step of a connection to a provider. A connection attempt is not cancelled with the
	// fetch that began it, and must also end within upstreamFor.
	connectFor = upstreamFor / 2
	// upstreamBody is the maximum size of a document, in bytes.
	upstreamBody = 1 << 20
	// upstreamRedirects is the maximum number of redirects, all on the same host.
	upstreamRedirects = 3
	// rememberedProviders is the maximum number of providers with cached documents. An entry with a changed
	// caBundle counts as another provider; the least recently used one is evicted.
	rememberedProviders = 256
	// longestReason is the maximum length of a provider's answer in an error, in bytes.
	longestReason = 256
)

// Providers verifies id_tokens of upstream OpenID Connect providers.
type Providers struct {
	clock clock.PassiveClock
	// within is upstreamFor; shorter in tests.
	within time.Duration

	mu sync.Mutex
	// known caches the providers by their URL and certificate authorities.
	known *lru.Cache[string, *provider]
}

// NewProviders returns a Providers.
func NewProviders(clock clock.PassiveClock) *Providers {
	known, err := lru.New[string, *provider](rememberedProviders)
	if err != nil {
		// lru.New fails only for a size that is not positive.
		panic(err)
	}
	return &Providers{clock: clock, within: upstreamFor, known: known}
}

// provider is one OpenID Connect provider.
type provider struct {
	client    *http.Client
	discovery *document[*trust]
	// redeeming bounds the codes that are redeemed at the same time.
	redeeming chan struct{}
}

// trust is what a provider's discovery document provides.
type trust struct {
	published *oidc.Provider
	keysURL   string
	keys      *document[providerKeys]
	verifier  *oidc.IDTokenVerifier
}

// Verify returns the person that an id_token identifies, by a provider's entry (OpenID Connect Core §3.1.3.7). It
// returns ErrRefused for a token that is not acceptable, and upstream.ErrUnavailable while the provider's
// documents are not known.
func (p *Providers) Verify(ctx context.Context, entry *v1alpha1.OIDCProvider, idToken string) (*Person, error) {
	verified, err := p.verified(ctx, entry, idToken)
	if err != nil {
		return nil, err
	}
	return personOf(entry, verified, p.clock.Now())
}

// verified returns an id_token that the provider of an entry signed. Its other claims are not checked.
func (p *Providers) verified(ctx context.Context, entry *v1alpha1.OIDCProvider, idToken string) (*oidc.IDToken, error) {
	if !WellFormed(idToken) || notIDToken(idToken) {
		return nil, ErrRefused
	}
	found, err := p.provider(entry)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.within)
	defer cancel()
	trusted, err := found.discovery.read(ctx)
	if err != nil {
		return nil, unavailable(entry.IssuerURL, err)
	}
	var outage error
	verified, err := trusted.verifier.Verify(context.WithValue(ctx, outageKey{}, &outage), idToken)
	if outage != nil {
		return nil, unavailable(entry.IssuerURL, outage)
	}
	if err != nil {
		return nil, ErrRefused
	}
	return verified, nil
}

// unavailable returns upstream.ErrUnavailable with the reason, which may contain part of the provider's answer.
func unavailable(issuer string, err error) error {
	reason := err.Error()
	if len(reason) > longestReason {
		reason = strings.ToValidUTF8(reason[:longestReason], "") + "..."
	}
	return fmt.Errorf("%w: the provider %s is unavailable: %s", upstream.ErrUnavailable, issuer, reason)
}

// provider returns the provider of an entry.
func (p *Providers) provider(entry *v1alpha1.OIDCProvider) (*provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := entry.IssuerURL + "\x00" + entry.CABundle
	if known, ok := p.known.Get(name); ok {
		return known, nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.DialContext = (&net.Dialer{Timeout: connectFor}).DialContext
	transport.TLSHandshakeTimeout = connectFor
	// A document is fetched once an hour, so connections are not kept open.
	transport.DisableKeepAlives = true
	if entry.CABundle != "" {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(entry.CABundle)) {
			return nil, fmt.Errorf("%w: caBundle of %s holds no certificate", upstream.ErrUnavailable, entry.IssuerURL)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	made := &provider{client: &http.Client{Transport: boundedTransport{transport}, CheckRedirect: sameHost}, redeeming: make(chan struct{}, mostWaiting)}
	made.discovery = newDocument(p.clock, p.within, func(ctx context.Context) (*trust, error) {
		return made.discover(ctx, entry.IssuerURL, p.clock, p.within)
	})
	p.known.Add(name, made)
	return made, nil
}

// discover reads the provider's discovery document. It keeps the known keys if the document still names their URL.
func (p *provider) discover(ctx context.Context, issuer string, clock clock.PassiveClock, within time.Duration) (*trust, error) {
	published, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), issuer)
	if err != nil {
		return nil, err
	}
	var content struct {
		JWKSURI    string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := published.Claims(&content); err != nil {
		return nil, err
	}
	if at, err := url.Parse(content.JWKSURI); err != nil || at.Scheme != "https" {
		return nil, errors.New("its jwks_uri is not an https URL")
	}
	algorithms := asymmetric(content.Algorithms)
	if len(algorithms) == 0 {
		// Every provider must support RS256 (OpenID Connect Discovery §3).
		algorithms = []string{oidc.RS256}
	}
	found := &trust{published: published, keysURL: content.JWKSURI}
	if before, ok := p.discovery.latest(); ok && before.keysURL == found.keysURL {
		found.keys = before.keys
	} else {
		found.keys = newDocument(clock, within, func(ctx context.Context) (providerKeys, error) {
			return fetchKeys(ctx, p.client, found.keysURL)
		})
	}
	found.verifier = oidc.NewVerifier(issuer, newKeySet(found.keys, algorithms, clock), &oidc.Config{
		// An entry can have several audiences; personOf checks them.
		SkipClientIDCheck: true, SupportedSigningAlgs: algorithms, Now: clock.Now,
	})
	return found, nil
}

// asymmetric removes "none" and the algorithms with a key that clients share.
func asymmetric(algorithms []string) []string {
	return slices.DeleteFunc(slices.Clone(algorithms), func(name string) bool {
		return name == "none" || strings.HasPrefix(name, "HS")
	})
}

// sameHost allows redirects only to the requested host, which is the trusted one.
func sameHost(next *http.Request, asked []*http.Request) error {
	if next.URL.Scheme != "https" || next.URL.Host != asked[0].URL.Host || len(asked) > upstreamRedirects {
		return errors.New("the provider redirects to another host, or too often")
	}
	return nil
}

// boundedTransport fails answers that are longer than upstreamBody.
type boundedTransport struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, upstreamBody)
	}
	return response, err
}

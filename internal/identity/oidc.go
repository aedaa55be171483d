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
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

const (
	// upstreamFor bounds a login's wait for a provider, and each fetch of one of its documents.
	upstreamFor = 10 * time.Second
	// connectFor bounds each step of a connection to a provider: a connection attempt is not
	// cancelled with the fetch that began it, and must end within upstreamFor as well.
	connectFor = upstreamFor / 2
	// upstreamBody is the longest document that is read.
	upstreamBody = 1 << 20
	// upstreamRedirects is how many redirects are followed, on the host that was asked.
	upstreamRedirects = 3
	// rememberedProviders bounds the providers whose documents are kept. An entry whose caBundle
	// changes is another provider here; the one that was used least recently makes room.
	rememberedProviders = 256
	// longestReason bounds what a log line holds of a provider's answer.
	longestReason = 256
)

// Providers verifies id_tokens of upstream OpenID Connect providers.
type Providers struct {
	clock clock.PassiveClock
	// within is upstreamFor, and shorter in tests.
	within time.Duration

	mu sync.Mutex
	// known are the providers that were used most recently, by their URL and their authorities.
	known *lru.Cache[string, *upstream]
}

// NewProviders makes Providers.
func NewProviders(clock clock.PassiveClock) *Providers {
	known, err := lru.New[string, *upstream](rememberedProviders)
	if err != nil {
		// lru.New refuses no size but one that is not positive.
		panic(err)
	}
	return &Providers{clock: clock, within: upstreamFor, known: known}
}

// upstream is one provider.
type upstream struct {
	client    *http.Client
	discovery *document[*trust]
}

// trust is what a provider's discovery document leads to.
type trust struct {
	keysURL  string
	keys     *document[providerKeys]
	verifier *oidc.IDTokenVerifier
}

// Verify tells whose id_token it is (OpenID Connect Core §3.1.3.7), by a provider's entry. It
// returns ErrRefused for a token that is not acceptable, and ErrUnavailable of the registry while
// the provider's documents are not known.
func (p *Providers) Verify(ctx context.Context, entry *v1alpha1.OIDCProvider, idToken string) (*Person, error) {
	if !WellFormed(idToken) || notIDToken(idToken) {
		return nil, ErrRefused
	}
	up, err := p.upstream(entry)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.within)
	defer cancel()
	found, err := up.discovery.read(ctx)
	if err != nil {
		return nil, unavailable(entry.IssuerURL, err)
	}
	var outage error
	verified, err := found.verifier.Verify(context.WithValue(ctx, outageKey{}, &outage), idToken)
	if outage != nil {
		return nil, unavailable(entry.IssuerURL, outage)
	}
	if err != nil {
		return nil, ErrRefused
	}
	return personOf(entry, verified, p.clock.Now())
}

// unavailable says that a provider is unavailable, and why. A part of its answer may be in the reason.
func unavailable(issuer string, err error) error {
	reason := err.Error()
	if len(reason) > longestReason {
		reason = strings.ToValidUTF8(reason[:longestReason], "") + "..."
	}
	return fmt.Errorf("%w: the provider %s is unavailable: %s", registry.ErrUnavailable, issuer, reason)
}

// upstream returns the provider of an entry.
func (p *Providers) upstream(entry *v1alpha1.OIDCProvider) (*upstream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := entry.IssuerURL + "\x00" + entry.CABundle
	if up, ok := p.known.Get(name); ok {
		return up, nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.DialContext = (&net.Dialer{Timeout: connectFor}).DialContext
	transport.TLSHandshakeTimeout = connectFor
	// A document is fetched once an hour: an open connection would be kept for nothing.
	transport.DisableKeepAlives = true
	if entry.CABundle != "" {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(entry.CABundle)) {
			return nil, fmt.Errorf("%w: caBundle of %s holds no certificate", registry.ErrUnavailable, entry.IssuerURL)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	up := &upstream{client: &http.Client{Transport: boundedTransport{transport}, CheckRedirect: sameHost}}
	up.discovery = newDocument(p.clock, p.within, func(ctx context.Context) (*trust, error) {
		return up.discover(ctx, entry.IssuerURL, p.clock, p.within)
	})
	p.known.Add(name, up)
	return up, nil
}

// discover reads the provider's discovery document. The keys that are known already are kept
// where the document still names their URL.
func (u *upstream) discover(ctx context.Context, issuer string, clock clock.PassiveClock, within time.Duration) (*trust, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, u.client), issuer)
	if err != nil {
		return nil, err
	}
	var content struct {
		JWKSURI    string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := provider.Claims(&content); err != nil {
		return nil, err
	}
	if at, err := url.Parse(content.JWKSURI); err != nil || at.Scheme != "https" {
		return nil, errors.New("its jwks_uri is not an https URL")
	}
	algorithms := asymmetric(content.Algorithms)
	if len(algorithms) == 0 {
		// RS256 is the algorithm that every provider has to support (OpenID Connect Discovery §3).
		algorithms = []string{oidc.RS256}
	}
	found := &trust{keysURL: content.JWKSURI}
	if before, ok := u.discovery.latest(); ok && before.keysURL == found.keysURL {
		found.keys = before.keys
	} else {
		found.keys = newDocument(clock, within, func(ctx context.Context) (providerKeys, error) {
			return fetchKeys(ctx, u.client, found.keysURL)
		})
	}
	found.verifier = oidc.NewVerifier(issuer, newKeySet(found.keys, algorithms, clock), &oidc.Config{
		// There can be several audiences; they are checked with the rest of the entry.
		SkipClientIDCheck: true, SupportedSigningAlgs: algorithms, Now: clock.Now,
	})
	return found, nil
}

// asymmetric leaves out the algorithms by which a client could sign, and none.
func asymmetric(algorithms []string) []string {
	return slices.DeleteFunc(slices.Clone(algorithms), func(name string) bool {
		return name == "none" || strings.HasPrefix(name, "HS")
	})
}

// sameHost follows a redirect only on the host that was asked, which is the one that is trusted.
func sameHost(next *http.Request, asked []*http.Request) error {
	if next.URL.Scheme != "https" || next.URL.Host != asked[0].URL.Host || len(asked) > upstreamRedirects {
		return errors.New("the provider redirects to another host, or too often")
	}
	return nil
}

// boundedTransport reads no answer that is longer than upstreamBody.
type boundedTransport struct{ next http.RoundTripper }

// RoundTrip is part of http.RoundTripper.
func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, upstreamBody)
	}
	return response, err
}

package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

const (
	// upstreamFor is how long a provider is waited for.
	upstreamFor = 10 * time.Second
	// upstreamEvery is how often at the most one of its documents is fetched: a stranger's token
	// that names an unknown key makes us ask for the keys again.
	upstreamEvery = 5 * time.Second
	// discoveredFor is how long is believed what a provider says of itself beside its keys.
	discoveredFor = time.Hour
	// upstreamBody is the longest document that is read.
	upstreamBody = 1 << 20
	// upstreamRedirects is how many redirects are followed, on the host that was asked.
	upstreamRedirects = 3
)

// Person is who an id_token says somebody is.
type Person struct {
	// Subject is prefixed as the provider's entry says.
	Subject string
	// Claims are those of ours that are mapped from the provider's.
	Claims map[string]apiextensionsv1.JSON
}

// Providers verifies id_tokens of upstream OpenID Connect providers.
type Providers struct {
	clock clock.PassiveClock

	mu sync.Mutex
	// known are those that were asked, by their URL and what is trusted of them.
	known map[string]*upstream
}

// NewProviders makes Providers.
func NewProviders(clock clock.PassiveClock) *Providers {
	return &Providers{clock: clock, known: map[string]*upstream{}}
}

// upstream is one provider as it was asked last.
type upstream struct {
	client *http.Client

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	readAt   time.Time
}

// Verify tells whose id_token it is (OpenID Connect Core §3.1.3.7), by a provider's entry. An
// unacceptable one is ErrRefused, and a provider that cannot be asked ErrUnavailable of the registry.
func (p *Providers) Verify(ctx context.Context, entry *v1alpha1.OIDCProvider, idToken string) (*Person, error) {
	if len(idToken) > longestToken || ofAnotherKind(idToken) {
		return nil, ErrRefused
	}
	up, err := p.upstream(entry)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, upstreamFor)
	defer cancel()
	verifier, err := up.discovered(ctx, entry.IssuerURL, p.clock)
	if err != nil {
		return nil, err
	}
	var away error
	verified, err := verifier.Verify(context.WithValue(ctx, awayKey{}, &away), idToken)
	if away != nil {
		return nil, fmt.Errorf("%w: %w", registry.ErrUnavailable, away)
	}
	if err != nil {
		return nil, ErrRefused
	}
	return personOf(entry, verified)
}

func (p *Providers) upstream(entry *v1alpha1.OIDCProvider) (*upstream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := entry.IssuerURL + "\x00" + entry.CABundle
	if up := p.known[name]; up != nil {
		return up, nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	if entry.CABundle != "" {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(entry.CABundle)) {
			return nil, fmt.Errorf("%w: caBundle of %s holds no certificate", registry.ErrUnavailable, entry.IssuerURL)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	up := &upstream{client: &http.Client{
		Transport:     &sparing{next: transport, clock: p.clock, recent: map[string]*fetched{}},
		CheckRedirect: sameHost,
		Timeout:       upstreamFor,
	}}
	p.known[name] = up
	return up, nil
}

// discovered reads what the provider says of itself, and once in a while again.
func (u *upstream) discovered(ctx context.Context, issuer string, clock clock.PassiveClock) (*oidc.IDTokenVerifier, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.verifier != nil && clock.Since(u.readAt) < discoveredFor {
		return u.verifier, nil
	}
	verifier, err := u.discover(ctx, issuer, clock)
	if err == nil {
		u.verifier, u.readAt = verifier, clock.Now()
	} else if u.verifier == nil {
		return nil, fmt.Errorf("%w: the provider %s cannot be asked: %w", registry.ErrUnavailable, issuer, err)
	}
	return u.verifier, nil
}

func (u *upstream) discover(ctx context.Context, issuer string, clock clock.PassiveClock) (*oidc.IDTokenVerifier, error) {
	// What it answers is for others too, and that it did not is remembered: whoever goes away must not
	// end the question. The client's own timeout does.
	withClient := oidc.ClientContext(context.WithoutCancel(ctx), u.client)
	provider, err := oidc.NewProvider(withClient, issuer)
	if err != nil {
		return nil, err
	}
	var document struct {
		JWKSURI    string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, err
	}
	if at, err := url.Parse(document.JWKSURI); err != nil || at.Scheme != "https" {
		return nil, errors.New("its keys are not under https")
	}
	keys := &upstreamKeys{remote: oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), u.client), document.JWKSURI)}
	return oidc.NewVerifier(issuer, keys, &oidc.Config{
		// Audiences are several, and checked with the rest of the entry.
		SkipClientIDCheck: true, SupportedSigningAlgs: asymmetric(document.Algorithms), Now: clock.Now,
	}), nil
}

// ofAnotherKind: a provider signs more than id_tokens with the same keys, for the same clients:
// access tokens (RFC 9068), logout tokens, security events. Those that say so in their typ are
// told apart by it (RFC 8725 §3.11); an id_token has none, or JWT.
func ofAnotherKind(compact string) bool {
	encoded, _, _ := strings.Cut(compact, ".")
	var header struct {
		Type string `json:"typ"`
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || json.Unmarshal(raw, &header) != nil {
		return true
	}
	return header.Type != "" && !strings.EqualFold(header.Type, "JWT")
}

// asymmetric leaves out what a client could sign itself, and what nobody signs.
func asymmetric(algorithms []string) []string {
	return slices.DeleteFunc(slices.Clone(algorithms), func(name string) bool {
		return name == "none" || strings.HasPrefix(name, "HS")
	})
}

// awayKey is where Verify is told that the keys could not be fetched, of which go-oidc makes
// a bad signature.
type awayKey struct{}

type upstreamKeys struct{ remote *oidc.RemoteKeySet }

// VerifySignature is part of oidc.KeySet.
func (k *upstreamKeys) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.remote.VerifySignature(ctx, jwt)
	if err != nil && (strings.HasPrefix(err.Error(), "fetching keys ") || ctx.Err() != nil) {
		if away, ok := ctx.Value(awayKey{}).(*error); ok {
			*away = err
		}
	}
	return payload, err
}

// ClaimedIssuer is `iss` of a JWT that nobody has verified: whom to ask about it.
func ClaimedIssuer(compact string) string {
	parts := strings.Split(compact, ".")
	if len(compact) > longestToken || len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return ""
	}
	return claims.Issuer
}

// sameHost follows a redirect only on the host that was asked, which is the one that is trusted.
func sameHost(next *http.Request, asked []*http.Request) error {
	if next.URL.Scheme != "https" || next.URL.Host != asked[0].URL.Host || len(asked) > upstreamRedirects {
		return errors.New("the provider redirects to somewhere else")
	}
	return nil
}

// sparing fetches a document at most once in upstreamEvery, and no long one.
type sparing struct {
	next  http.RoundTripper
	clock clock.PassiveClock

	mu     sync.Mutex
	recent map[string]*fetched
}

type fetched struct {
	at     time.Time
	status int
	header http.Header
	body   []byte
	err    error
}

// RoundTrip is part of http.RoundTripper.
func (s *sparing) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.URL.String()
	last := s.recent[name]
	if last == nil || s.clock.Since(last.at) >= upstreamEvery {
		last = s.fetch(r)
		s.recent[name] = last
	}
	if last.err != nil {
		return nil, last.err
	}
	return &http.Response{
		StatusCode: last.status, Status: http.StatusText(last.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: last.header.Clone(), Body: io.NopCloser(bytes.NewReader(last.body)), ContentLength: int64(len(last.body)), Request: r,
	}, nil
}

func (s *sparing) fetch(r *http.Request) *fetched {
	got := &fetched{at: s.clock.Now()}
	response, err := s.next.RoundTrip(r)
	if err != nil {
		got.err = err
		return got
	}
	defer func() { _ = response.Body.Close() }()
	got.status, got.header = response.StatusCode, response.Header
	got.body, got.err = io.ReadAll(io.LimitReader(response.Body, upstreamBody+1))
	if got.err == nil && len(got.body) > upstreamBody {
		got.err = fmt.Errorf("%s answers more than %d bytes", r.URL.Host, upstreamBody)
	}
	return got
}

// personOf holds an id_token against the provider's entry.
func personOf(entry *v1alpha1.OIDCProvider, verified *oidc.IDToken) (*Person, error) {
	var claims map[string]json.RawMessage
	if err := verified.Claims(&claims); err != nil || verified.IssuedAt.IsZero() || verified.Expiry.IsZero() || lookalike(claims) {
		return nil, ErrRefused
	}
	if !forUs(entry, verified.Audience, claims) {
		return nil, ErrRefused
	}
	for _, allowed := range entry.Allowed {
		if !slices.ContainsFunc(valuesOf(claims[allowed.Claim]), func(value string) bool { return slices.Contains(allowed.Values, value) }) {
			return nil, ErrRefused
		}
	}
	name := entry.SubjectClaim
	if name == "" {
		name = "sub"
	}
	var subject string
	if err := json.Unmarshal(claims[name], &subject); err != nil || subject == "" {
		return nil, ErrRefused
	}
	if (name == addressClaim || asksForAddress(entry)) && string(claims["email_verified"]) != "true" {
		return nil, ErrRefused
	}
	person := &Person{Subject: entry.SubjectPrefix + subject}
	for ours, theirs := range entry.Claims {
		value := claims[string(theirs)]
		if len(valuesOf(value)) == 0 {
			return nil, ErrRefused
		}
		if person.Claims == nil {
			person.Claims = map[string]apiextensionsv1.JSON{}
		}
		person.Claims[ours] = apiextensionsv1.JSON{Raw: value}
	}
	return person, nil
}

// addressClaim is the claim that anybody may make of somebody's address. A provider that knows no
// better may leave out that it has not verified it: zitadel/oidc writes no false.
const addressClaim = "email"

// asksForAddress tells whether an address decides who is let in, or is told to the API.
func asksForAddress(entry *v1alpha1.OIDCProvider) bool {
	for _, theirs := range entry.Claims {
		if theirs == addressClaim {
			return true
		}
	}
	return slices.ContainsFunc(entry.Allowed, func(allowed v1alpha1.AllowedValues) bool { return allowed.Claim == addressClaim })
}

// lookalike: encoding/json, by which go-oidc reads a token, takes a name in another case for the
// same name, and the last of the two counts.
func lookalike(claims map[string]json.RawMessage) bool {
	for name := range claims {
		for _, checked := range [...]string{"iss", "sub", "aud", "exp", "iat", "nbf"} {
			if name != checked && strings.EqualFold(name, checked) {
				return true
			}
		}
	}
	return false
}

// forUs: one of the entry's audiences is named, and where the token has more than one, it was
// issued to one of ours (OpenID Connect Core §3.1.3.7, 3 to 5).
func forUs(entry *v1alpha1.OIDCProvider, audiences []string, claims map[string]json.RawMessage) bool {
	named := slices.ContainsFunc(audiences, func(audience string) bool { return slices.Contains(entry.Audiences, audience) })
	raw, given := claims["azp"]
	if !given {
		return named && len(audiences) == 1
	}
	var party string
	return named && json.Unmarshal(raw, &party) == nil && slices.Contains(entry.Audiences, party)
}

// valuesOf are the texts that a claim holds; none where it is empty or something else.
func valuesOf(raw json.RawMessage) []string {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return nil
	}
	switch value := value.(type) {
	case string:
		if value == "" {
			return nil
		}
		return []string{value}
	case bool, float64:
		return []string{string(raw)}
	case []any:
		var texts []string
		for _, item := range value {
			text, ok := item.(string)
			if !ok {
				return nil
			}
			texts = append(texts, text)
		}
		return texts
	default:
		return nil
	}
}

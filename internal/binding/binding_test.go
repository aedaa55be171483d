package binding

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/dpop"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
	"github.com/refreshkeys/refreshkeys/test/framework/signing"
)

const (
	issuerURL = "https://tokens.example.com"
	// assertion is the client assertion of orders, and away is one that the API server does not answer about.
	assertion, away = "assertion-of-orders", "assertion-without-answer"
)

// reviews is a Reviewer that knows one assertion, and records what it is asked.
type reviews struct{ asked []string }

func (r *reviews) ServiceAccount(_ context.Context, issuer, token string) (*identity.ServiceAccount, error) {
	r.asked = append(r.asked, issuer+" "+token)
	switch token {
	case assertion:
		return &identity.ServiceAccount{Namespace: "shop", Name: "orders", UID: "u"}, nil
	case away:
		return nil, upstream.Unavailable("the API server is away")
	default:
		return nil, identity.ErrRefused
	}
}

// device makes DPoP proofs with a key of its own.
type device struct {
	key   ed25519.PrivateKey
	now   time.Time
	nonce string
}

// proof returns a proof for a URL.
func (d *device) proof(target string) string {
	encode := base64.RawURLEncoding.EncodeToString
	public, _ := d.key.Public().(ed25519.PublicKey)
	header := fmt.Sprintf(`{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":%q}}`, encode(public))
	payload := fmt.Sprintf(`{"jti":"proof-1","htm":"POST","htu":%q,"iat":%d`, target, d.now.Unix())
	if d.nonce != "" {
		payload += fmt.Sprintf(`,"nonce":%q`, d.nonce)
	}
	signed := encode([]byte(header)) + "." + encode([]byte(payload+"}"))
	return signed + "." + encode(ed25519.Sign(d.key, []byte(signed)))
}

// unavailable is the outcome of a check that the API server does not answer.
const unavailable = "unavailable"

// outcome returns the code of a refusal, unavailable, or nothing for success.
func outcome(err error) string {
	var refusal *oauth.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refusal):
		return string(refusal.Code)
	case errors.Is(err, upstream.ErrUnavailable):
		return unavailable
	default:
		return err.Error()
	}
}

// TestProve checks what credentials prove, that credentials that fail are an error even where none are required, and that an
// assertion is not sent to the API server after a proof that fails.
func TestProve(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC))
	proofs, err := dpop.New(clock)
	if err != nil {
		t.Fatal(err)
	}
	issuer := &registry.Issuer{URL: issuerURL, TokenEndpoints: []string{issuerURL + "/token"}, Rings: signing.Next(t, nil, clock.Now())}
	client := &device{key: ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize))), now: clock.Now()}
	var refusal *oauth.Error
	if _, err := New(proofs, nil).Prove(t.Context(), issuer, &Credentials{Proofs: []string{client.proof(issuerURL + "/token")}}); !errors.As(err, &refusal) || refusal.Code != oauth.UseDPoPNonce {
		t.Fatalf("a proof without a nonce: %v", err)
	}
	client.nonce = refusal.DPoPNonce
	good, elsewhere := client.proof(issuerURL+"/token"), client.proof(issuerURL+"/revoke")
	for _, c := range []struct {
		name         string
		credentials  Credentials
		key, account bool
		// asked is true if the API server is asked about the assertion.
		asked bool
		want  string
	}{
		{name: "nothing"},
		{name: "a proof", credentials: Credentials{Proofs: []string{good}}, key: true},
		{name: "an assertion", credentials: Credentials{Assertion: assertion}, account: true, asked: true},
		{name: "both", credentials: Credentials{Proofs: []string{good}, Assertion: assertion}, key: true, account: true, asked: true},
		{name: "a proof for another URL", credentials: Credentials{Proofs: []string{elsewhere}}, want: string(oauth.InvalidDPoPProof)},
		{name: "two proofs", credentials: Credentials{Proofs: []string{good, good}}, want: string(oauth.InvalidDPoPProof)},
		{name: "an empty proof", credentials: Credentials{Proofs: []string{""}}, want: string(oauth.InvalidDPoPProof)},
		{name: "an assertion that is refused", credentials: Credentials{Assertion: "other"}, asked: true, want: string(oauth.InvalidClient)},
		{name: "an assertion without an answer", credentials: Credentials{Assertion: away}, asked: true, want: unavailable},
		{name: "a good proof and an assertion that is refused", credentials: Credentials{Proofs: []string{good}, Assertion: "other"}, asked: true, want: string(oauth.InvalidClient)},
		{name: "a bad proof and an assertion", credentials: Credentials{Proofs: []string{elsewhere}, Assertion: assertion}, want: string(oauth.InvalidDPoPProof)},
	} {
		reviewer := &reviews{}
		proven, err := New(proofs, reviewer).Prove(t.Context(), issuer, &c.credentials)
		if got := outcome(err); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if (proven.Thumbprint != "") != c.key || (proven.Account != nil) != c.account {
			t.Errorf("%s: it proves the key %q and the ServiceAccount %v", c.name, proven.Thumbprint, proven.Account)
		}
		var want []string
		if c.asked {
			want = []string{issuerURL + " " + c.credentials.Assertion}
		}
		if fmt.Sprint(reviewer.asked) != fmt.Sprint(want) {
			t.Errorf("%s: the API server is asked about %q, want %q", c.name, reviewer.asked, want)
		}
	}
}

// TestSatisfies checks that the client must prove both the binding in the token and the current binding of its
// refresh key.
func TestSatisfies(t *testing.T) {
	account := func(namespace, name string) Proven {
		return Proven{Account: &identity.ServiceAccount{Namespace: namespace, Name: name, UID: "u"}}
	}
	key := Proven{Proven: dpop.Proven{Thumbprint: "t"}}
	both := account("shop", "orders")
	both.Thumbprint = "t"
	for _, c := range []struct {
		name           string
		client         Proven
		account, print string
		binding        *v1alpha1.BindingSpec
		want           oauth.Code
	}{
		{name: "nothing asked, nothing proven"},
		{name: "nothing asked, all proven", client: both},
		{name: "the ServiceAccount", client: account("shop", "orders"), account: "orders"},
		{name: "no ServiceAccount", account: "orders", want: oauth.InvalidClient},
		{name: "another ServiceAccount", client: account("shop", "billing"), account: "orders", want: oauth.InvalidClient},
		{name: "another namespace's", client: account("other", "orders"), account: "orders", want: oauth.InvalidClient},
		{name: "a key instead of the ServiceAccount", client: key, account: "orders", want: oauth.InvalidClient},
		{name: "the key", client: key, print: "t"},
		{name: "no key", print: "t", want: oauth.InvalidDPoPProof},
		{name: "another key", client: key, print: "u", want: oauth.InvalidDPoPProof},
		{name: "a ServiceAccount instead of the key", client: account("shop", "orders"), print: "t", want: oauth.InvalidDPoPProof},
		{name: "both", client: both, account: "orders", print: "t"},
		{name: "both asked, one proven", client: key, account: "orders", print: "t", want: oauth.InvalidClient},
		{name: "both asked, the other proven", client: account("shop", "orders"), account: "orders", print: "t", want: oauth.InvalidDPoPProof},
		{name: "asked by the key only", binding: &v1alpha1.BindingSpec{ServiceAccountName: "orders"}, want: oauth.InvalidClient},
		{name: "asked by the key only, and proven", client: account("shop", "orders"), binding: &v1alpha1.BindingSpec{ServiceAccountName: "orders"}},
		{name: "asked by the token, and no more by the key", binding: &v1alpha1.BindingSpec{JWKThumbprint: "t"}, client: key, account: "orders", want: oauth.InvalidClient},
		{name: "the key asks for another than the token", client: key, print: "t", binding: &v1alpha1.BindingSpec{JWKThumbprint: "u"}, want: oauth.InvalidDPoPProof},
	} {
		claims := &token.Claims{ServiceAccount: c.account, JWKThumbprint: c.print, Object: token.Object{Namespace: "shop"}}
		if got := outcome(c.client.Satisfies(claims, c.binding)); got != string(c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestUnboundCostsNothing checks that an unbound token without credentials causes no allocations.
func TestUnboundCostsNothing(t *testing.T) {
	clients := &Clients{}
	claims := &token.Claims{Object: token.Object{Namespace: "shop"}}
	answer := &oauth.TokenAnswer{}
	allocations := testing.AllocsPerRun(100, func() {
		client, err := clients.Prove(t.Context(), nil, &Credentials{})
		if err = errors.Join(err, client.Satisfies(claims, nil), clients.Consume(&client.Proven), clients.Constrain(answer, &client.Proven, nil)); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%.0f allocations", allocations)
	}
}

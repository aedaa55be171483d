package service

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// device is a client with a key of its own; go-jose signs its proofs.
type device struct {
	h      *fixture
	signer jose.Signer
	// thumbprint is the JWK thumbprint of its key.
	thumbprint string
	// nonce is the last nonce that it received.
	nonce string
	// at is the URL of the token endpoint in its proofs.
	at string
}

func (h *fixture) device() *device {
	h.T.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	options := (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return &device{h: h, signer: signer, thumbprint: base64.RawURLEncoding.EncodeToString(sum), at: h.URL() + "/token"}
}

// proof returns a proof for the token endpoint, made now. A claim that is changed to nil is left out.
func (d *device) proof(change ...func(map[string]any)) string {
	d.h.T.Helper()
	claims := map[string]any{"jti": uuid.NewString(), "htm": "POST", "htu": d.at, "iat": d.h.Clock.Now().Unix()}
	if d.nonce != "" {
		claims["nonce"] = d.nonce
	}
	for _, c := range change {
		c(claims)
	}
	payload, err := json.Marshal(claims)
	d.h.Expect(err).NotTo(gomega.HaveOccurred())
	signed, err := d.signer.Sign(payload)
	d.h.Expect(err).NotTo(gomega.HaveOccurred())
	compact, err := signed.CompactSerialize()
	d.h.Expect(err).NotTo(gomega.HaveOccurred())
	return compact
}

// refresh exchanges a token with a proof, and first gets a nonce if it has none.
func (d *device) refresh(r *operator.Replica, compact string, more ...string) *operator.Answer {
	d.h.T.Helper()
	got := d.h.present(r, compact, []string{d.proof()}, more...)
	d.learn(got)
	if got.Text("error") == "use_dpop_nonce" {
		got = d.h.present(r, compact, []string{d.proof()}, more...)
		d.learn(got)
	}
	return got
}

func (d *device) learn(got *operator.Answer) {
	if nonces := got.Header.Values("DPoP-Nonce"); len(nonces) == 1 {
		d.nonce = nonces[0]
	}
}

// present exchanges a token with any number of DPoP headers.
func (h *fixture) present(r *operator.Replica, compact string, proofs []string, more ...string) *operator.Answer {
	h.T.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {compact}}
	for i := 0; i+1 < len(more); i += 2 {
		form.Add(more[i], more[i+1])
	}
	request, err := http.NewRequestWithContext(h.Ctx, http.MethodPost, r.Server.URL+"/"+h.Name+"/token", strings.NewReader(form.Encode()))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, proof := range proofs {
		request.Header.Add("DPoP", proof)
	}
	return h.Do(r, request)
}

// asserting returns the parameters of a client assertion.
func asserting(assertion string) []string {
	return []string{oauth.ParamClientAssertion, assertion, oauth.ParamClientAssertionType, oauth.AssertionJWTBearer}
}

// says returns the claims of a token without verifying it.
func (h *fixture) says(compact string) map[string]any {
	h.T.Helper()
	parts := strings.Split(compact, ".")
	h.Expect(parts).To(gomega.HaveLen(3))
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	h.Expect(err).NotTo(gomega.HaveOccurred())
	claims := map[string]any{}
	h.Expect(json.Unmarshal(raw, &claims)).To(gomega.Succeed())
	return claims
}

// reviewCounter counts the TokenReviews of a replica, and fails them when it is cut.
type reviewCounter struct {
	next http.RoundTripper
	sent atomic.Int64
	cut  atomic.Bool
}

func (l *reviewCounter) RoundTrip(request *http.Request) (*http.Response, error) {
	if strings.HasSuffix(request.URL.Path, "/tokenreviews") {
		l.sent.Add(1)
		if l.cut.Load() {
			return nil, errors.New("the line is cut")
		}
	}
	return l.next.RoundTrip(request)
}

func (l *reviewCounter) wire(config *rest.Config, _ *registry.Options) {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { l.next = next; return l })
}

// asked returns how many reviews a function causes.
func (l *reviewCounter) asked(do func()) int64 {
	before := l.sent.Load()
	do()
	return l.sent.Load() - before
}

// reviewed is how long a positive review of an assertion is cached.
const reviewed = 10 * time.Second

package interop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/onsi/gomega"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestADeviceWithAKey checks that oauth4webapi and openid-client refresh a bound token, including nonces, and that
// an API with oauth4webapi accepts the access token only with a proof. jwx computes the thumbprint of the client
// key.
func TestADeviceWithAKey(t *testing.T) {
	n := findNode(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, private := range map[string]crypto.Signer{"ES256": ec, "Ed25519": ed} {
		t.Run(algorithm, func(t *testing.T) {
			// node uses the machine's clock, and so does this fixture.
			h := newFixture(t, time.Now(), 0)
			key, err := jwk.Import(private)
			h.Expect(err).NotTo(gomega.HaveOccurred())
			thumbprint, err := key.Thumbprint(crypto.SHA256)
			h.Expect(err).NotTo(gomega.HaveOccurred())
			raw, err := json.Marshal(key)
			h.Expect(err).NotTo(gomega.HaveOccurred())
			bound := h.key("till", func(k *v1alpha1.JWTRefreshKey) {
				k.Spec.Binding = &v1alpha1.BindingSpec{JWKThumbprint: base64.RawURLEncoding.EncodeToString(thumbprint)}
			})
			held := h.AwaitRevision(bound, 1)
			h.clock.SetTime(time.Now())
			saw := n.run(h, "device.mjs", map[string]any{
				"issuer": h.url(), "audience": harness.Audience, "bound": held, "key": json.RawMessage(raw), "algorithm": algorithm,
			})
			h.Expect(saw).To(gomega.Equal(map[string]any{
				"algorithmOffered": true,
				"withoutProof":     "400 invalid_dpop_proof",
				"needsNonce":       true,
				"tokenType":        "dpop", // oauth4webapi gives it in lower case
				"otherKey":         "400 invalid_dpop_proof",
				"byItself":         "dpop",
				"confirmed":        true,
				"takenByAPI":       true,
				"takenFromThief":   false,
				"takenAsBearer":    false,
			}))
		})
	}
}

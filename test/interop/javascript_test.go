package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"golang.org/x/oauth2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// Environment variables of hack/interop: the paths of node and of the packages of js/package-lock.json, or why they are
// absent.
const (
	nodeVariable     = "INTEROP_NODE"
	packagesVariable = "INTEROP_JS"
	absentVariable   = "INTEROP_NO_NODE"
)

// node runs programs of test/interop/js.
type node struct{ binary, packages string }

func findNode(t *testing.T) node {
	t.Helper()
	n := node{binary: os.Getenv(nodeVariable), packages: os.Getenv(packagesVariable)}
	if n.binary == "" || n.packages == "" {
		why := os.Getenv(absentVariable)
		if why == "" {
			why = "run it by `make interop`, which gets node and the packages"
		}
		t.Skip("openid-client, simple-oauth2 and jose were NOT tried: " + why)
	}
	return n
}

// run passes input to a program, and returns its output.
func (n node) run(h *fixture, program string, given map[string]any) map[string]any {
	h.T.Helper()
	input, err := json.Marshal(given)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(h.Ctx, n.binary, filepath.Join(n.packages, program))
	command.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+suite.trustedFile)
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := command.Run(); err != nil {
		h.T.Fatalf("%v: %s", err, withoutTokens(stderr.String()))
	}
	saw := map[string]any{}
	h.Expect(json.Unmarshal(stdout.Bytes(), &saw)).To(gomega.Succeed())
	return saw
}

// TestJavaScript checks that openid-client discovers the endpoints, exchanges a superseded token and signs out,
// and that jose and oauth4webapi verify its access tokens.
func TestJavaScript(t *testing.T) {
	n := findNode(t)
	// node uses the machine's clock, and so does this fixture.
	h := newFixture(t, time.Now(), 0)
	key := h.key("orders")
	superseded := h.AwaitRevision(key, 1)
	h.Annotate(key, v1alpha1.AnnotationRotate, "hygiene")
	current := h.AwaitRevision(key, 2)
	config := &oauth2.Config{Endpoint: h.discovery().Endpoint()}
	h.Eventually(func() bool {
		got, err := config.TokenSource(h.clientContext(), &oauth2.Token{RefreshToken: superseded}).Token()
		return err == nil && got.RefreshToken == current
	}).Should(gomega.BeTrue(), "the token service never received revision 2")
	h.clock.SetTime(time.Now())

	saw := n.run(h, "client.mjs", map[string]any{"issuer": h.url(), "audience": harness.Audience, "superseded": superseded})
	h.Expect(saw["expiresIn"]).To(gomega.BeNumerically("~", 15*60, 5))
	delete(saw, "expiresIn")
	h.Expect(saw).To(gomega.Equal(map[string]any{
		"sameMetadata":         true,
		"rolledOver":           true,
		"keptCurrent":          true,
		"tellsTheEnd":          true,
		"subject":              "refreshkey:" + h.Name + ":orders",
		"algorithm":            "ES256",
		"rfc9068":              "refreshkey:" + h.Name + ":orders",
		"otherAudience":        "ERR_JWT_CLAIM_VALIDATION_FAILED",
		"refreshTokenAsAccess": "ERR_JWKS_NO_MATCHING_KEY",
		"afterRevocation":      "400 invalid_grant",
	}))
}

// TestJavaScriptSimple checks that simple-oauth2 refreshes repeatedly, with a stable token and with one-time
// tokens. It loses its refresh token after an answer without one.
func TestJavaScriptSimple(t *testing.T) {
	n := findNode(t)
	h := newFixture(t, time.Now(), 0)
	for _, c := range []struct {
		name          string
		mode          v1alpha1.RotationMode
		refreshTokens float64
	}{
		{"orders", v1alpha1.RotationScheduled, 1},
		{"till", v1alpha1.RotationOneTimeUse, 4},
	} {
		key := h.key(c.name, func(k *v1alpha1.JWTRefreshKey) {
			// Without a grace, every use of a one-time token is followed by another.
			k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: c.mode, RetryGrace: &metav1.Duration{}}
		})
		held := h.AwaitRevision(key, 1)
		saw := n.run(h, "simple.mjs", map[string]any{"endpoint": h.discovery().Endpoint().TokenURL, "held": held})
		h.Expect(saw).To(gomega.Equal(map[string]any{"accessTokens": 3.0, "refreshTokens": c.refreshTokens, "ends": true}), c.name)
	}
}

// TestJavaScriptSession checks that openid-client signs in with a ServiceAccount token, refreshes with one-time
// tokens, and signs out, and that jose and oauth4webapi verify its access tokens.
func TestJavaScriptSession(t *testing.T) {
	n := findNode(t)
	// Without a grace every use of a session's token is followed by another.
	h := newFixture(t, time.Now(), 0, func(i *v1alpha1.JWTIssuer) { i.Spec.Login = &v1alpha1.LoginSpec{SessionRetryGrace: &metav1.Duration{}} })
	h.discovery()
	saw := n.run(h, "session.mjs", map[string]any{"issuer": h.url(), "audience": harness.Audience, "serviceAccountToken": h.projected("till")})
	subject := "system:serviceaccount:" + h.Name + ":till"
	h.Expect(saw).To(gomega.Equal(map[string]any{
		"advertised":      true,
		"forged":          "400 invalid_request",
		"issuedTokenType": oauth.TypeAccessToken,
		"subject":         subject,
		"rfc9068":         subject,
		"refreshTokens":   3.0,
		"accessTokens":    3.0,
		"afterRevocation": "400 invalid_grant",
	}))
}

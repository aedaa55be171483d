package service

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"go.uber.org/zap/zapcore"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/logline"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
	"github.com/refreshkeys/refreshkeys/test/observability/lines"
)

// TestNothingSecretIsLogged checks that logs contain neither credentials nor issued tokens, for successes,
// refusals and internal failures.
func TestNothingSecretIsLogged(t *testing.T) {
	const password, wrong = "correct-horse-battery", "incorrect-horse-battery"
	h := newFixture(t, clock.RealClock{})
	file := h.passwordFile(htpasswd(t, "jane", password))
	h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{SessionNamespace: h.Name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: file}}}
	})
	h.Manage()
	log := &auditBuffer{}
	h.Log = logline.NewLogger(zapcore.AddSync(log), 10, false)
	good := h.Replica()
	failing := h.Replica(func(config *rest.Config, _ *registry.Options) {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &unrecorded{next} })
	})
	h.serves(good, failing)
	shown, device := h.workload("till"), h.device()
	secrets := []string{password, wrong, shown}
	for _, r := range []*operator.Replica{good, failing} {
		byPassword := func(password string) *operator.Answer {
			return h.Post(r, "/token", url.Values{"grant_type": {"password"}, "username": {"jane"}, "password": {password}, "audience": {harness.Audience}})
		}
		proof := device.proof()
		for _, got := range []*operator.Answer{
			h.signIn(r, shown), h.signIn(r, shown+"x"), h.signIn(r, shown, "audience", "two words"), byPassword(password), byPassword(wrong),
		} {
			held := got.Text("refresh_token")
			next := h.Refresh(r, held, asserting(shown)...)
			h.Refresh(r, held, asserting(shown+"x")...)
			h.present(r, next.Text("refresh_token"), []string{proof})
			h.Introspect(r, shown, got.Text("access_token"), "")
			h.Revoke(r, next.Text("refresh_token"))
			secrets = append(secrets, proof, held, got.Text("access_token"), next.Text("refresh_token"), next.Text("access_token"))
		}
	}
	said := log.all()
	for _, outcome := range []string{`"status":200`, `"status":400`, `"status":503`, "it is lost"} {
		h.Expect(strings.Contains(said, outcome)).To(gomega.BeTrue(), "nothing is logged for %s", outcome)
	}
	for i, secret := range secrets {
		for _, part := range strings.Split(secret, ".") {
			// The failure message must not contain it either.
			if len(part) > 8 && strings.Contains(said, part) {
				t.Errorf("secret %d is in the log", i)
			}
		}
	}
}

// TestLogLinesAreOneObjectEach checks that every line of the log and of the audit log, as the command writes them,
// is one JSON object with unique names, and that it names a failed dependency.
func TestLogLinesAreOneObjectEach(t *testing.T) {
	const nowhere = "https://127.0.0.1:1"
	h := newFixture(t, clock.RealClock{})
	h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{SessionNamespace: h.Name, OIDC: []v1alpha1.OIDCProvider{{IssuerURL: nowhere, Audiences: []string{"cli"}}}}
	})
	h.Manage()
	log := &auditBuffer{}
	h.Log = logline.NewLogger(zapcore.AddSync(log), 10, false)
	good, line := h.Replica(), &apiConnection{}
	away := h.Replica(func(config *rest.Config, _ *registry.Options) {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { line.next = next; return line })
	})
	audit, _ := h.observed(good)
	h.serves(good, away)
	held := h.AwaitRevision(h.Key("orders"), 1)
	h.outcomes(held, "200", good, away)
	once := h.AwaitRevision(h.Key("device", oneTime(time.Minute)), 1)
	shown, auditor := h.workload("till"), h.caller("auditor", "")
	idToken := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"x"}`)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+nowhere+`","sub":"jane","aud":"cli"}`)) + ".AAAA"
	line.set(true)
	for _, r := range []*operator.Replica{good, away} {
		access := h.Refresh(r, held).Text("access_token")
		h.Refresh(r, "nonsense")
		h.Refresh(r, once)
		h.Refresh(r, held, "scope", "more")
		h.Refresh(r, held, asserting(shown)...)
		h.signIn(r, shown)
		h.Expect(h.signIn(r, idToken).Outcome()).To(gomega.Equal("503 temporarily_unavailable"))
		h.Introspect(r, "", access, "")
		h.Introspect(r, "nonsense", access, "")
		h.Introspect(r, auditor, access, "")
		h.Introspect(r, shown, access, "")
		h.Revoke(r, "nonsense")
		h.Post(r, "/token", nil)
		h.Post(r, "/nowhere", nil)
		h.Post(r, "/jwks.json", nil)
		h.serves(r)
		h.Revoke(r, held)
	}
	said := map[string]string{"the log": log.all(), "the audit log": audit.all()}
	for name, text := range said {
		for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
			if err := lines.Twice([]byte(line)); err != nil {
				t.Errorf("%s: %v in %s", name, err, line)
			}
		}
	}
	for _, status := range []string{"200", "400", "401", "404", "405", "503"} {
		h.Expect(said["the log"]).To(gomega.ContainSubstring(`"status":` + status))
	}
	for _, line := range strings.Split(said["the log"], "\n") {
		if strings.Contains(line, nowhere) {
			h.Expect(line).To(gomega.ContainSubstring("the provider " + nowhere + " is unavailable"))
			h.Expect(line).NotTo(gomega.ContainSubstring("API server"))
		}
	}
	h.Expect(said["the log"]).To(gomega.ContainSubstring("the API server is unavailable"))
	h.Expect(said["the log"]).To(gomega.ContainSubstring(nowhere))
	// A caller without the right gets no details, and is recorded.
	const caller = `"system:serviceaccount:`
	h.Expect(said["the log"]).To(gomega.ContainSubstring(`"withheld":"insufficient_scope","caller_name":` + caller))
	h.Expect(said["the audit log"]).To(gomega.MatchRegexp(`"event":"introspection",.*"result":"insufficient_scope","status":200,.*"caller":` + caller))
	// A name with a number is a duplicate that the logger has renamed.
	h.Expect(said["the log"]).NotTo(gomega.MatchRegexp(`"[A-Za-z]+_[0-9]+":`), "two fields of a line have one name")
}

package service

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// TestNothingSecretIsLogged: what proves somebody, and what he gets for it, is on the wire only; of
// what went well, of what was refused, and of what the service itself failed at.
func TestNothingSecretIsLogged(t *testing.T) {
	const password, wrong = "correct-horse-battery", "incorrect-horse-battery"
	h := newHouse(t, clock.RealClock{})
	file := h.passwordFile(htpasswd(t, "jane", password))
	h.issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{SessionNamespace: h.name, Passwords: &v1alpha1.PasswordLogin{SecretRef: v1alpha1.LocalSecretReference{Name: file}}}
	})
	h.manage()
	var mu sync.Mutex
	var book strings.Builder
	h.log = funcr.New(func(prefix, args string) {
		mu.Lock()
		defer mu.Unlock()
		book.WriteString(prefix + " " + args + "\n")
	}, funcr.Options{Verbosity: 10})
	good := h.replica()
	failing := h.replica(func(config *rest.Config, _ *registry.Options) {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &unrecorded{next} })
	})
	h.serves(good, failing)
	shown, device := h.workload("till"), h.device()
	secrets := []string{password, wrong, shown}
	for _, r := range []*replica{good, failing} {
		byPassword := func(password string) *answer {
			return h.post(r, "/token", url.Values{"grant_type": {"password"}, "username": {"jane"}, "password": {password}, "audience": {audience}})
		}
		proof := device.proof()
		for _, got := range []*answer{
			h.signIn(r, shown), h.signIn(r, shown+"x"), h.signIn(r, shown, "audience", "two words"), byPassword(password), byPassword(wrong),
		} {
			held := got.text("refresh_token")
			next := h.refresh(r, held, asserting(shown)...)
			h.refresh(r, held, asserting(shown+"x")...)
			h.present(r, next.text("refresh_token"), []string{proof})
			h.introspect(r, shown, got.text("access_token"), "")
			h.post(r, "/revoke", url.Values{"token": {next.text("refresh_token")}})
			secrets = append(secrets, proof, held, got.text("access_token"), next.text("refresh_token"), next.text("access_token"))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	said := book.String()
	for _, outcome := range []string{`"status"=200`, `"status"=400`, `"status"=503`, "it is lost"} {
		h.Expect(strings.Contains(said, outcome)).To(gomega.BeTrue(), "nothing is said of %s", outcome)
	}
	for i, secret := range secrets {
		for _, part := range strings.Split(secret, ".") {
			// A failure must not show it either.
			if len(part) > 8 && strings.Contains(said, part) {
				t.Errorf("secret %d is in the log", i)
			}
		}
	}
}

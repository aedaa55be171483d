package service

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

const (
	// mounted is where the clients of pages find the Secret.
	mounted = "/var/run/secrets/refreshkey"
	// identity is the directory of the workload's own token.
	identity = "/var/run/secrets/identity"
)

// plays returns a page, and a shell for it in which the names of the page, each before that of this test, are replaced.
func (h *fixture) plays(path string, names ...string) (*guide.Page, guide.Shell) {
	h.T.Helper()
	page, err := guide.Read(filepath.Join(server.Root, path))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	dir := h.T.TempDir()
	names = append(names, "namespace: shop", "namespace: "+h.Name, "--namespace shop", "--namespace "+h.Name)
	shell := guide.Shell{Dir: dir, Env: server.Environment(dir), Typed: strings.NewReplacer(names...)}
	h.Expect(shell.Files(page, server.Root)).To(gomega.Succeed())
	return page, shell
}

// mount writes the values of a Secret to a folder, with the certificate of the replica: those of this suite have their own.
func (h *fixture) mount(dir string, r *operator.Replica, data map[string][]byte) {
	h.T.Helper()
	data[v1alpha1.SecretCA] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Server.Certificate().Raw})
	for name, value := range data {
		h.Expect(os.WriteFile(filepath.Join(dir, name), value, 0o600)).To(gomega.Succeed())
	}
}

// TestTheGuideToBoundTokens applies the manifest of docs/bound-tokens.md and runs its client on files as in the
// Pod.
func TestTheGuideToBoundTokens(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Manage()
	r := h.Replica()
	h.Issuer(func(i *v1alpha1.JWTIssuer) { i.Spec.EndpointURL = r.Server.URL + "/" + h.Name })
	dir := t.TempDir()
	page, shell := h.plays("docs/bound-tokens.md", "spec:\n  audience:", "spec:\n  issuerRef: {name: "+h.Name+"}\n  audience:",
		mounted, dir, identity+"/token", filepath.Join(dir, "identity"))
	_, err := shell.Play(h.Ctx, page, page.Own())
	h.Expect(err).NotTo(gomega.HaveOccurred())
	key := &v1alpha1.JWTRefreshKey{}
	key.Namespace, key.Name = h.Name, "orders"
	held := h.AwaitRevision(key, 1)
	pod := &corev1.Pod{}
	h.Expect(h.Admin.Get(h.Ctx, client.ObjectKeyFromObject(key), pod)).To(gomega.Succeed())
	h.Expect(pod.Spec.ServiceAccountName).To(gomega.Equal(key.Spec.Binding.ServiceAccountName))
	h.outcomes(held, "401 invalid_client", r)

	secret := &corev1.Secret{}
	h.Expect(h.Admin.Get(h.Ctx, types.NamespacedName{Namespace: h.Name, Name: "orders"}, secret)).To(gomega.Succeed())
	secret.Data["identity"] = []byte(h.AccountToken(h.Name, "orders", h.URL()))
	h.mount(dir, r, secret.Data)
	out, err := shell.Run(h.Ctx, "sh bound.sh")
	if err != nil || !strings.HasPrefix(out, "eyJ") || strings.Contains(out, "refresh_token") {
		t.Errorf("the client of the guide got no access token: %v", err)
	}
}

// TestTheGuideToLogin applies the manifests of docs/login.md, and computes the redirect URI of a provider with its command.
func TestTheGuideToLogin(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	page, shell := h.plays("docs/login.md")
	h.Expect(h.applies(page, shell, "browser.yaml", "provider.yaml", "device.yaml")).To(gomega.BeEmpty())
	out, err := shell.Run(h.Ctx, "sh callback.sh")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(strings.TrimSpace(out)).To(gomega.Equal(endpoint.CallbackURL("https://tokens.example.com/staff", endpoint.ProviderID("https://idp.example.com"))))
}

// applies creates the objects of the manifests of a page, which are all that its own commands do at first, and returns the other commands.
func (h *fixture) applies(page *guide.Page, shell guide.Shell, manifests ...string) []guide.Step {
	h.T.Helper()
	steps := page.Own()
	h.Expect(len(steps)).To(gomega.BeNumerically(">=", len(manifests)))
	for i, name := range manifests {
		h.Expect(steps[i].Applied).To(gomega.Equal(name))
	}
	_, err := shell.Play(h.Ctx, page, steps[:len(manifests)])
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return steps[len(manifests):]
}

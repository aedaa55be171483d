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
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

const (
	// mounted is where the clients of pages find the Secret.
	mounted = "/var/run/secrets/refreshkey"
	// identity is the directory of the workload's own token.
	identity = "/var/run/secrets/identity"
)

// plays returns a page, and a shell for it in which the names of the page, each before that of this test, are replaced.
func (h *harness) plays(path string, names ...string) (*guide.Page, guide.Shell) {
	h.t.Helper()
	page, err := guide.Read(filepath.Join(server.Root, path))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	dir := h.t.TempDir()
	names = append(names, "namespace: shop", "namespace: "+h.name, "--namespace shop", "--namespace "+h.name)
	shell := guide.Shell{Dir: dir, Env: server.Environment(dir), Typed: strings.NewReplacer(names...)}
	h.Expect(shell.Files(page, server.Root)).To(gomega.Succeed())
	return page, shell
}

// mount writes the values of a Secret to a folder, with the certificate of the replica: those of this suite have their own.
func (h *harness) mount(dir string, r *replica, data map[string][]byte) {
	h.t.Helper()
	data[v1alpha1.SecretCA] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw})
	for name, value := range data {
		h.Expect(os.WriteFile(filepath.Join(dir, name), value, 0o600)).To(gomega.Succeed())
	}
}

// TestTheGuideToBoundTokens applies the manifest of docs/bound-tokens.md and runs its client on files as in the
// Pod.
func TestTheGuideToBoundTokens(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.manage()
	r := h.replica()
	h.issuer(func(i *v1alpha1.JWTIssuer) { i.Spec.EndpointURL = r.server.URL + "/" + h.name })
	dir := t.TempDir()
	page, shell := h.plays("docs/bound-tokens.md", "spec:\n  audience:", "spec:\n  issuerRef: {name: "+h.name+"}\n  audience:",
		mounted, dir, identity+"/token", filepath.Join(dir, "identity"))
	_, err := shell.Play(h.ctx, page, page.Own())
	h.Expect(err).NotTo(gomega.HaveOccurred())
	key := &v1alpha1.JWTRefreshKey{}
	key.Namespace, key.Name = h.name, "orders"
	held := h.reaches(key, 1)
	pod := &corev1.Pod{}
	h.Expect(h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), pod)).To(gomega.Succeed())
	h.Expect(pod.Spec.ServiceAccountName).To(gomega.Equal(key.Spec.Binding.ServiceAccountName))
	h.outcomes([]*replica{r}, held, "401 invalid_client")

	secret := &corev1.Secret{}
	h.Expect(h.admin.Get(h.ctx, types.NamespacedName{Namespace: h.name, Name: "orders"}, secret)).To(gomega.Succeed())
	secret.Data["identity"] = []byte(h.accountToken("orders", h.url()))
	h.mount(dir, r, secret.Data)
	out, err := shell.Run(h.ctx, "sh bound.sh")
	if err != nil || !strings.HasPrefix(out, "eyJ") || strings.Contains(out, "refresh_token") {
		t.Errorf("the client of the guide got no access token: %v", err)
	}
}

// TestTheGuideToLogin applies the manifests of docs/login.md, signs in with its client and ends the session with
// its commands.
func TestTheGuideToLogin(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer()
	h.manage()
	r := h.replica()
	h.serves(r)
	dir := t.TempDir()
	page, shell := h.plays("docs/login.md", identity, dir)
	steps := page.Own()
	h.Expect(steps).To(gomega.HaveLen(3))
	h.Expect(steps[0].Applied).To(gomega.Equal("login.yaml"))
	h.Expect(steps[1].Applied).To(gomega.Equal("people.yaml"))
	_, err := shell.Play(h.ctx, page, steps[:2])
	h.Expect(err).NotTo(gomega.HaveOccurred())

	h.mount(dir, r, map[string][]byte{"token": []byte(h.accountToken("till", h.url()))})
	signIn := shell
	signIn.Typed = strings.NewReplacer("https://tokens.example.com", r.server.URL+"/"+h.name, identity, dir)
	out, err := signIn.Run(h.ctx, page.Files["login.sh"])
	if err != nil || !strings.Contains(out, `"refresh_token":"eyJ`) {
		t.Fatalf("the client of the guide got no refresh token: %v", err)
	}
	var said []string
	for _, command := range guide.Lines(steps[2:]) {
		out, err := shell.Run(h.ctx, command)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		said = append(said, out)
	}
	h.Expect(said).To(gomega.HaveLen(3))
	h.Expect(said[1]).To(gomega.Equal("system:serviceaccount:" + h.name + ":till"))
	h.Expect(h.sessions()).To(gomega.BeEmpty())
}

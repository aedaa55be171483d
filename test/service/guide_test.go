package service

import (
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// identity is the directory of the workload's own token in the guide.
const identity = "/var/run/secrets/identity"

var named = regexp.MustCompile("(?s)<!-- ([a-z]+[.][a-z]+) -->\n```[a-z]+\n(.*?)```\n")

// snippets returns the named blocks of a page.
func (h *fixture) snippets(page string) map[string]string {
	h.T.Helper()
	text, err := os.ReadFile(filepath.Join(server.Root, "docs", page))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	shown := map[string]string{}
	for _, found := range named.FindAllStringSubmatch(string(text), -1) {
		shown[found[1]] = found[2]
	}
	return shown
}

// TestTheGuideToBoundTokens applies the manifest of docs/bound-tokens.md and runs its client on files as in the
// Pod.
func TestTheGuideToBoundTokens(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Manage()
	r := h.Replica()
	h.Issuer(func(i *v1alpha1.JWTIssuer) { i.Spec.EndpointURL = r.Server.URL + "/" + h.Name })
	shown := h.snippets("bound-tokens.md")
	manifest := strings.ReplaceAll(shown["bound.yaml"], "namespace: shop", "namespace: "+h.Name)
	manifest = strings.Replace(manifest, "spec:\n", "spec:\n  issuerRef: {name: "+h.Name+"}\n", 1)
	_, err := server.Kubectl(h.Ctx, manifest, "apply", "-f", "-")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	key := &v1alpha1.JWTRefreshKey{}
	key.Namespace, key.Name = h.Name, "orders"
	held := h.AwaitRevision(key, 1)
	pod := &corev1.Pod{}
	h.Expect(h.Admin.Get(h.Ctx, client.ObjectKeyFromObject(key), pod)).To(gomega.Succeed())
	h.Expect(pod.Spec.ServiceAccountName).To(gomega.Equal(key.Spec.Binding.ServiceAccountName))
	h.outcomes([]*operator.Replica{r}, held, "401 invalid_client")

	dir := t.TempDir()
	secret := &corev1.Secret{}
	h.Expect(h.Admin.Get(h.Ctx, types.NamespacedName{Namespace: h.Name, Name: "orders"}, secret)).To(gomega.Succeed())
	secret.Data[v1alpha1.SecretCA] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Server.Certificate().Raw})
	secret.Data["identity"] = []byte(h.AccountToken(h.Name, "orders", h.URL()))
	for name, value := range secret.Data {
		h.Expect(os.WriteFile(filepath.Join(dir, name), value, 0o600)).To(gomega.Succeed())
	}
	script := strings.ReplaceAll(strings.ReplaceAll(shown["bound.sh"], mounted, dir), identity+"/token", filepath.Join(dir, "identity"))
	out, err := exec.CommandContext(t.Context(), "sh", "-c", script).Output()
	if err != nil || !strings.HasPrefix(string(out), "eyJ") || strings.Contains(string(out), "refresh_token") {
		t.Errorf("the client of the guide got no access token: %v", err)
	}
}

// TestTheGuideToLogin applies the manifests of docs/login.md, signs in with its client and ends the session with
// its commands.
func TestTheGuideToLogin(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Issuer()
	h.Manage()
	r := h.Replica()
	h.serves(r)
	shown := h.snippets("login.md")
	ours := func(name string) string {
		return strings.ReplaceAll(strings.ReplaceAll(shown[name], "namespace: shop", "namespace: "+h.Name), "--namespace shop", "--namespace "+h.Name)
	}
	_, err := server.Kubectl(h.Ctx, ours("login.yaml"), "apply", "-f", "-")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	_, err = server.Kubectl(h.Ctx, shown["people.yaml"], "apply", "--dry-run=server", "-f", "-")
	h.Expect(err).NotTo(gomega.HaveOccurred())

	dir := t.TempDir()
	for name, value := range map[string][]byte{
		"token":  []byte(h.AccountToken(h.Name, "till", h.URL())),
		"ca.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Server.Certificate().Raw}),
	} {
		h.Expect(os.WriteFile(filepath.Join(dir, name), value, 0o600)).To(gomega.Succeed())
	}
	script := strings.ReplaceAll(strings.ReplaceAll(shown["login.sh"], identity, dir), "https://tokens.example.com", r.Server.URL+"/"+h.Name)
	out, err := exec.CommandContext(t.Context(), "sh", "-c", script).Output()
	if err != nil || !strings.Contains(string(out), `"refresh_token":"eyJ`) {
		t.Fatalf("the client of the guide got no refresh token: %v", err)
	}
	var said []string
	for line := range strings.Lines(ours("sessions.sh")) {
		words := strings.Fields(line)
		h.Expect(words[0]).To(gomega.Equal("kubectl"))
		out, err := server.Kubectl(h.Ctx, "", words[1:]...)
		h.Expect(err).NotTo(gomega.HaveOccurred())
		said = append(said, out)
	}
	h.Expect(said).To(gomega.HaveLen(3))
	h.Expect(said[1]).To(gomega.Equal("system:serviceaccount:" + h.Name + ":till"))
	h.Expect(h.sessions()).To(gomega.BeEmpty())
}

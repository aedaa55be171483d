package service

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

// TestClientsOfThePage runs the clients of docs/how-to/clients.md on a Secret as mounted: with the private authority in ca.crt, and
// without that file, with a certificate that the system trusts.
func TestClientsOfThePage(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Manage()
	r := h.Replica()
	h.Issuer(func(i *v1alpha1.JWTIssuer) { i.Spec.EndpointURL = r.Server.URL + "/" + h.Name })
	h.AwaitRevision(h.Key("orders"), 1)
	secret := &corev1.Secret{}
	h.Expect(h.Admin.Get(h.Ctx, types.NamespacedName{Namespace: h.Name, Name: "orders"}, secret)).To(gomega.Succeed())
	system := filepath.Join(t.TempDir(), "system.crt")
	for name, variables := range map[string][]string{
		"private": {"NODE_EXTRA_CA_CERTS=" + filepath.Join(mounted, v1alpha1.SecretCA)},
		"public":  {"SSL_CERT_FILE=" + system, "CURL_CA_BUNDLE=" + system, "NODE_OPTIONS=--use-openssl-ca"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			h.mount(dir, r, secret.Data)
			if name == "public" {
				h.Expect(os.Rename(filepath.Join(dir, v1alpha1.SecretCA), system)).To(gomega.Succeed())
			}
			h.clients(t, dir, string(secret.Data[v1alpha1.SecretToken]), variables)
		})
	}
}

// clients runs each client of the page on a folder with the values of the Secret.
func (h *fixture) clients(t *testing.T, dir, refreshToken string, variables []string) {
	t.Helper()
	page, shell := h.plays("docs/how-to/clients.md", mounted, dir)
	h.Expect(page.Files).To(gomega.HaveLen(4), "the page shows clients in four languages")
	for _, variable := range variables {
		shell.Env = append(shell.Env, strings.ReplaceAll(variable, mounted, dir))
	}
	shell.Env = append(shell.Env, "HOME="+os.Getenv("HOME"))
	runners := map[string]string{".sh": "sh", ".py": "python3", ".mjs": "node", ".go": "go run"}
	for name := range page.Files {
		t.Run(name, func(t *testing.T) {
			runner := runners[filepath.Ext(name)]
			if _, err := exec.LookPath(strings.Fields(runner)[0]); err != nil {
				t.Skipf("there is no %s here", runner)
			}
			file := filepath.Join(shell.Dir, name)
			if runner == "go run" {
				file = inModule(t, file)
			}
			program := shell
			program.Dir = server.Root
			log := filepath.Join(t.TempDir(), "stderr")
			out, err := program.Run(t.Context(), runner+" "+file+" 2>"+log)
			complaint, readErr := os.ReadFile(log)
			if readErr != nil {
				t.Error(readErr)
			}
			if err != nil || strings.Count(out, ".") < 2 || !strings.Contains(out, "eyJ") {
				t.Errorf("the client got no access token: %v\n%s", err, guide.Masked(string(complaint)))
			}
			if strings.Contains(out+string(complaint), refreshToken) {
				t.Error("the client shows the refresh token")
			}
		})
	}
}

// inModule returns the path of a copy within the module: only there the Go client finds its library.
func inModule(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(server.Root, "bin"), 0o750); err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp(filepath.Join(server.Root, "bin"), "client-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	copied := filepath.Join(folder, filepath.Base(file))
	if err := os.WriteFile(copied, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

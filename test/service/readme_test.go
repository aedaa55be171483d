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

// TestClientsOfTheReadme runs the README's clients on a Secret as mounted.
func TestClientsOfTheReadme(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Manage()
	r := h.Replica()
	h.Issuer(func(i *v1alpha1.JWTIssuer) { i.Spec.EndpointURL = r.Server.URL + "/" + h.Name })
	h.AwaitRevision(h.Key("orders"), 1)
	secret := &corev1.Secret{}
	h.Expect(h.Admin.Get(h.Ctx, types.NamespacedName{Namespace: h.Name, Name: "orders"}, secret)).To(gomega.Succeed())
	dir := t.TempDir()
	h.mount(dir, r, secret.Data)
	page, shell := h.plays("README.md", mounted, dir)
	h.Expect(page.Files).To(gomega.HaveLen(4), "the README shows clients in four languages")
	shell.Env = append(shell.Env, "NODE_EXTRA_CA_CERTS="+filepath.Join(dir, v1alpha1.SecretCA), "HOME="+os.Getenv("HOME"))
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
				t.Errorf("the client of the README got no access token: %v\n%s", err, guide.Masked(string(complaint)))
			}
			if strings.Contains(out+string(complaint), string(secret.Data[v1alpha1.SecretToken])) {
				t.Error("the client of the README shows the refresh token")
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
	folder, err := os.MkdirTemp(filepath.Join(server.Root, "bin"), "readme-")
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

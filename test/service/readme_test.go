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

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// mounted is where the README's clients find the Secret.
const mounted = "/var/run/secrets/refreshkey"

var snippet = regexp.MustCompile("(?s)<!-- (client[.][a-z]+) -->\n```[a-z]+\n(.*?)```\n")

// TestClientsOfTheReadme runs the README's clients on a Secret as mounted.
func TestClientsOfTheReadme(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Manage()
	r := h.Replica()
	h.Issuer(func(i *v1alpha1.JWTIssuer) { i.Spec.EndpointURL = r.Server.URL + "/" + h.Name })
	h.AwaitRevision(h.Key("orders"), 1)
	secret := &corev1.Secret{}
	h.Expect(h.Admin.Get(h.Ctx, types.NamespacedName{Namespace: h.Name, Name: "orders"}, secret)).To(gomega.Succeed())
	// The replicas of this suite have their own certificate.
	secret.Data[v1alpha1.SecretCA] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Server.Certificate().Raw})
	dir := t.TempDir()
	for name, value := range secret.Data {
		h.Expect(os.WriteFile(filepath.Join(dir, name), value, 0o600)).To(gomega.Succeed())
	}
	readme, err := os.ReadFile(filepath.Join(server.Root, "README.md"))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	found := snippet.FindAllStringSubmatch(string(readme), -1)
	h.Expect(found).To(gomega.HaveLen(4), "the README shows clients in four languages")
	runners := map[string][]string{".sh": {"sh"}, ".py": {"python3"}, ".mjs": {"node"}, ".go": {"go", "run"}}
	for _, client := range found {
		t.Run(client[1], func(t *testing.T) {
			words := runners[filepath.Ext(client[1])]
			if _, err := exec.LookPath(words[0]); err != nil {
				t.Skipf("there is no %s here", words[0])
			}
			// The Go client finds its library only within the module.
			if err := os.MkdirAll(filepath.Join(server.Root, "bin"), 0o750); err != nil {
				t.Fatal(err)
			}
			folder, err := os.MkdirTemp(filepath.Join(server.Root, "bin"), "readme-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(folder) })
			path := filepath.Join(folder, client[1])
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(client[2], mounted, dir)), 0o600); err != nil {
				t.Fatal(err)
			}
			command := exec.CommandContext(t.Context(), words[0], append(words[1:], path)...)
			command.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+filepath.Join(dir, v1alpha1.SecretCA))
			out, err := command.Output()
			if err != nil || strings.Count(string(out), ".") < 2 || !strings.Contains(string(out), "eyJ") {
				t.Errorf("the client of the README got no access token: %v", err)
			}
			if strings.Contains(string(out), string(secret.Data[v1alpha1.SecretToken])) {
				t.Error("the client of the README shows the refresh token")
			}
		})
	}
}

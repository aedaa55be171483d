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
)

// identity is where the guide has a workload's own token.
const identity = "/var/run/secrets/identity"

var boundSnippet = regexp.MustCompile("(?s)<!-- (bound[.][a-z]+) -->\n```[a-z]+\n(.*?)```\n")

// TestTheGuideToBoundTokens applies the manifest of docs/bound-tokens.md and runs its client, on
// files as the pod would have them.
func TestTheGuideToBoundTokens(t *testing.T) {
	h := newHouse(t, clock.RealClock{})
	h.manage()
	r := h.replica()
	h.issuer(func(i *v1alpha1.JWTIssuer) { i.Spec.EndpointURL = r.server.URL + "/" + h.name })
	guide, err := os.ReadFile(filepath.Join(server.Root, "docs", "bound-tokens.md"))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	shown := map[string]string{}
	for _, found := range boundSnippet.FindAllStringSubmatch(string(guide), -1) {
		shown[found[1]] = found[2]
	}
	manifest := strings.ReplaceAll(shown["bound.yaml"], "namespace: shop", "namespace: "+h.name)
	manifest = strings.Replace(manifest, "spec:\n", "spec:\n  issuerRef: {name: "+h.name+"}\n", 1)
	_, err = server.Kubectl(h.ctx, manifest, "apply", "-f", "-")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	key := &v1alpha1.JWTRefreshKey{}
	key.Namespace, key.Name = h.name, "orders"
	held := h.reaches(key, 1)
	pod := &corev1.Pod{}
	h.Expect(h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), pod)).To(gomega.Succeed())
	h.Expect(pod.Spec.ServiceAccountName).To(gomega.Equal(key.Spec.Binding.ServiceAccountName))
	h.outcomes([]*replica{r}, held, "401 invalid_client")

	dir := t.TempDir()
	secret := &corev1.Secret{}
	h.Expect(h.admin.Get(h.ctx, types.NamespacedName{Namespace: h.name, Name: "orders"}, secret)).To(gomega.Succeed())
	secret.Data[v1alpha1.SecretCA] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw})
	secret.Data["identity"] = []byte(h.accountToken("orders", h.url()))
	for name, value := range secret.Data {
		h.Expect(os.WriteFile(filepath.Join(dir, name), value, 0o600)).To(gomega.Succeed())
	}
	script := strings.ReplaceAll(strings.ReplaceAll(shown["bound.sh"], mounted, dir), identity+"/token", filepath.Join(dir, "identity"))
	out, err := exec.CommandContext(t.Context(), "sh", "-c", script).Output()
	if err != nil || !strings.Contains(string(out), `"access_token":"eyJ`) {
		t.Errorf("the client of the guide got no access token: %v", err)
	}
}

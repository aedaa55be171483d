package interop

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

// TestTheGuideToSinglePageApplications runs the files of docs/how-to/single-page-application.md in Chromium, at the origin of the page and
// with its declaration: a person signs in, loads the page again, also when the access token has ended and the network is away at first, and
// signs out.
func TestTheGuideToSinglePageApplications(t *testing.T) {
	n := findChromium(t)
	page, err := guide.Read(filepath.Join(suite.server.Root, "docs", "how-to", "single-page-application.md"))
	if err != nil {
		t.Fatal(err)
	}
	var declared v1alpha1.JWTIssuer
	if err := yaml.Unmarshal([]byte(page.Files["issuer.yaml"]), &declared); err != nil {
		t.Fatal(err)
	}
	h := withPeople(t, func(issuer *v1alpha1.JWTIssuer) { issuer.Spec.Login.Clients = declared.Spec.Login.Clients })
	h.forBrowsers()
	saw := n.run(h, "guide.mjs", map[string]any{
		"page": declared.Spec.URL, "issuer": h.url(), "person": jane, "trusted": string(suite.pair.Certificate), "served": served(t, "board.example.com"),
		"origin": declared.Spec.Login.Clients[0].AllowedOrigins[0],
		"files":  map[string]any{"/": page.Files["index.html"], "/board.js": page.Files["board.js"]},
	})
	h.Expect(saw).To(gomega.Equal(map[string]any{
		"first": "Not signed in", "signedIn": "Signed in as jane", "address": "/", "again": "Signed in as jane", "authorization": "DPoP",
		"away": "Not signed in", "back": "Signed in as jane", "renewed": true, "signedOut": "Not signed in",
	}))
	dir := t.TempDir()
	shell := guide.Shell{Dir: dir, Env: suite.server.Environment(dir), Typed: strings.NewReplacer("--namespace people", "--namespace "+h.Name)}
	_, err = shell.Play(h.Ctx, page, page.Of(t.Name()))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(h.sessions()).To(gomega.ConsistOf(gomega.And(
		gomega.HaveField("Status.Session.Client", "board"), gomega.HaveField("Status.RevocationReason", v1alpha1.RevokedLogout),
		gomega.HaveField("Spec.Binding.JWKThumbprint", gomega.Not(gomega.BeEmpty())))))
}

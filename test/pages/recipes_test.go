package pages

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

// pageOf returns a page.
func (h *fixture) pageOf(name string) *guide.Page {
	h.T.Helper()
	page, err := guide.Read(filepath.Join(suite.root, name))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return page
}

// TestRestartsOfTheMountPage plays what docs/how-to/mount.md says of restarts, where they are on.
func TestRestartsOfTheMountPage(t *testing.T) {
	h := newFixture(t)
	page, shell := h.pageOf("docs/how-to/mount.md"), h.shell("")
	h.Expect(shell.Files(page, "")).To(gomega.Succeed())
	_, err := suite.Kubectl(h.Ctx, "apply", "--server-side", "-f", filepath.Join(suite.root, "config", "restarts", "role.yaml"))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	_, err = cluster.RunManager(h.Ctx, suite.Cluster, "--restarts")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	t.Cleanup(func() {
		if _, err := cluster.RunManager(context.Background(), suite.Cluster); err != nil {
			t.Error(err)
		}
	})
	_, err = shell.Run(h.Ctx, "kubectl create namespace shop; kubectl apply -f orders.yaml; kubectl wait --for=condition=Ready jrk/orders --namespace shop")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.run("docs/how-to/mount.md", shell)
}

// TestAMoveToAnotherCluster moves a key to a second control plane by the commands of docs/operations.md, and checks what the page says of
// its tokens.
func TestAMoveToAnotherCluster(t *testing.T) {
	h := newFixture(t)
	page, old := h.pageOf("docs/operations.md"), h.shell(functions)
	blocks := page.Of(t.Name())
	if len(blocks) != 4 {
		t.Fatalf("the page has %d blocks for this test, want the backup of keys and three of the move", len(blocks))
	}
	backup := page.Own()[0:2]
	_, err := old.Play(h.Ctx, page, append(backup, blocks[0]))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.sh(`kubectl get secret orders -n shop -o go-template='{{index .data "ca.crt" | base64decode}}' > ca.crt
kubectl get secret orders -n shop -o go-template='{{index .data "token-endpoint" | base64decode}}' > endpoint
keep orders first`)
	h.Expect(h.sh("use first")).To(gomega.Equal("accepted"))
	before := h.sh(blocks[3].Commands)

	target := h.anotherCluster()
	moved := old
	moved.Prelude = "export PATH=" + filepath.Dir(target.KubectlPath()) + ":$PATH KUBECONFIG=" + target.Kubeconfig() + "\n" + functions
	_, err = moved.Play(h.Ctx, page, blocks[1:2])
	h.Expect(err).NotTo(gomega.HaveOccurred())
	// The URLs of the issuers are those of the old cluster, since no host name leads to the new one.
	h.Expect(cluster.Install(h.Ctx, target)).To(gomega.Succeed())
	_, err = cluster.RunManager(h.Ctx, target)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	_, err = cluster.RunTokenServers(h.Ctx, target, 1)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	moved.Prelude += stripOf(blocks[1])
	printed, err := moved.Play(h.Ctx, page, blocks[2:])
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(strings.TrimSpace(printed[1])).To(gomega.Equal(before), "the signing keys are the same")

	h.movedTokens(target, moved)
}

// stripOf returns the line of a block that sets the variable strip, for the shell of another block.
func stripOf(step guide.Step) string {
	line, _, _ := strings.Cut(step.Commands, "\n")
	return line + "\n"
}

// anotherCluster returns a control plane without the operator, until the test ends.
func (h *fixture) anotherCluster() *cluster.Cluster {
	h.T.Helper()
	target, err := cluster.Start(h.Ctx, cluster.Options{Dir: filepath.Join(h.T.TempDir(), "cluster"), ControllerManager: true})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.T.Cleanup(func() {
		if err := target.Stop(context.Background()); err != nil {
			h.T.Error(err)
		}
	})
	return target
}

// movedTokens checks that the new cluster refuses the earlier token, and accepts the one in its own Secret. The certificate of its token
// service is of the authority that moved.
func (h *fixture) movedTokens(target *cluster.Cluster, moved guide.Shell) {
	h.T.Helper()
	at, err := target.Port("tokenserver-1")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	// The host name leads to the new cluster.
	h.Expect(os.WriteFile(filepath.Join(h.dir, ".curlrc"), fmt.Appendf(nil, "connect-to = \"::127.0.0.1:%d\"\n", at), 0o600)).To(gomega.Succeed())
	said, err := moved.Run(h.Ctx, `keep orders second; echo "$(use first) $(use second)"`)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(strings.Fields(said)).To(gomega.Equal([]string{"invalid_grant", "accepted"}))
	list, err := target.Kubectl(h.Ctx, "get", "jwtrefreshkey", "orders", "--namespace=shop", "--output=json")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	var there v1alpha1.JWTRefreshKey
	h.Expect(json.Unmarshal(list, &there)).To(gomega.Succeed())
	here := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders"}}
	h.Expect(h.Reload(here)).To(gomega.Succeed())
	h.Expect(there.UID).NotTo(gomega.Equal(here.UID))
	h.Expect(there.Status.Revision).To(gomega.BeEquivalentTo(1))
}

// What `make up` prints: its person, the command that signs the person in, and the commands of a refresh key.
var (
	printedPerson  = regexp.MustCompile(`(?m)^  user name (\S+), password (\S+)$`)
	printedLogin   = regexp.MustCompile(`(?m)^  kubectl refreshkey login .+$`)
	printedCommand = regexp.MustCompile(`^(kubectl (apply|wait|get) |field|  sed )`)
)

// TestThePersonOfMakeUpIsAccepted signs the person that `make up` prints in on the command line, as it says, and asks the API server who
// the person is.
func TestThePersonOfMakeUpIsAccepted(t *testing.T) {
	h := newFixture(t)
	found := printedPerson.FindStringSubmatch(suite.said)
	if found == nil {
		t.Fatalf("make up names no person:\n%s", suite.said)
	}
	authority, err := cluster.TokenServiceCA(h.Ctx, suite.Cluster)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	bundle, err := os.ReadFile(authority)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	person := newPerson(h, found[2], bundle)
	person.name = found[1]
	shell := h.shell("")
	shell.Env = append(shell.Env, "XDG_CONFIG_HOME="+filepath.Join(h.dir, ".config"), "OPENED="+person.openings)
	login := printedLogin.FindString(suite.said)
	said, err := shell.Run(h.Ctx, strings.TrimSpace(login)+`
kubectl refreshkey exchange --session default | tr -d '\n' > access-token
sed 's/^/Authorization: Bearer /' access-token > header
server=$(kubectl config view --minify --raw -o jsonpath='{.clusters[0].cluster.server}')
kubectl config view --minify --raw -o jsonpath='{.clusters[0].cluster.certificate-authority-data}' | base64 -d > server.crt
curl --silent --cacert server.crt --header @header --header 'Content-Type: application/json' "$server/apis/authentication.k8s.io/v1/selfsubjectreviews" \
  --data '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'`)
	h.Expect(person.failures()).To(gomega.BeEmpty(), "the browser")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(said).To(gomega.ContainSubstring("local:"+person.name), "the API server does not know the person at once")
}

// TestWhatMakeUpPrints types the commands that `make up` prints for a refresh key.
func TestWhatMakeUpPrints(t *testing.T) {
	h := newFixture(t)
	var typed strings.Builder
	for line := range strings.Lines(suite.said) {
		if command := strings.TrimPrefix(line, "  "); command != line && printedCommand.MatchString(command) {
			typed.WriteString(command)
		}
	}
	said, err := h.shell("").Run(h.Ctx, typed.String())
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(strings.Count(said, "eyJ")).To(gomega.BeNumerically(">=", 1), "no access token: %s", guide.Masked(said))
	kubectl, err := h.shell("").Run(h.Ctx, "command -v kubectl kubectl-refreshkey")
	h.Expect(err).NotTo(gomega.HaveOccurred())
	h.Expect(strings.Fields(kubectl)).To(gomega.Equal([]string{suite.KubectlPath(), filepath.Join(suite.root, "bin", "kubectl-refreshkey")}))
}

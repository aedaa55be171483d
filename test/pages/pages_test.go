// Package pages runs the documentation: every command of a page, in order, in one shell,
// against a real cluster with the operator, the token service and the plugin.
package pages

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// pageTimeout is much longer than a page takes.
const pageTimeout = 4 * time.Minute

// suite is shared by all tests: a control plane, a manager and two replicas of the token service, each in its own process.
var suite struct {
	*cluster.Cluster
	root string
	// bin is a folder with kubectl, the plugin, and the commands that open a browser.
	bin string
	// trust is the file of the API server's --authentication-config. A page lets the API server trust an issuer by it.
	trust string
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "pages-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	suite.trust = filepath.Join(folder, "authentication.json")
	content, err := cluster.AuthenticationConfiguration()
	if err == nil {
		err = os.WriteFile(suite.trust, content, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return harness.Main(m, &suite.Cluster, prepare, "--authentication-config="+suite.trust)
}

// prepare installs the operator as a user does, with all of its functions, and the commands that pages call.
func prepare(ctx context.Context, c *cluster.Cluster) (err error) {
	if suite.root, err = cluster.RepositoryRoot(); err != nil {
		return err
	}
	suite.bin = filepath.Join(c.Dir(), "bin")
	if err := os.Mkdir(suite.bin, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(c.KubectlPath(), filepath.Join(suite.bin, "kubectl")); err != nil {
		return err
	}
	if err := writeOpeners(suite.bin); err != nil {
		return err
	}
	if err := cluster.Build(ctx, suite.root, "./cmd/kubectl-refreshkey", filepath.Join(suite.bin, "kubectl-refreshkey")); err != nil {
		return err
	}
	if err := cluster.Install(ctx, c); err != nil {
		return err
	}
	for _, role := range []string{"fast-propagation", "restarts"} {
		if _, err := c.Kubectl(ctx, "apply", "--server-side", "-f", filepath.Join(suite.root, "config", role, "role.yaml")); err != nil {
			return err
		}
	}
	if _, err := cluster.RunManager(ctx, c, "--fast-propagation", "--restarts"); err != nil {
		return err
	}
	if _, err := cluster.RunTokenServers(ctx, c, 2); err != nil {
		return err
	}
	if err := cluster.EnsureIssuer(ctx, c, cluster.DefaultIssuer); err != nil {
		return err
	}
	_, err = c.Kubectl(ctx, "create", "namespace", "shop")
	return err
}

// fixture gives a test the shared cluster and a user's folder.
type fixture struct {
	*harness.Harness
	dir string
}

// newFixture returns a fixture after whose test the cluster is as it was.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	h := &fixture{Harness: harness.On(t, suite.Config(), clock.RealClock{}), dir: t.TempDir()}
	t.Cleanup(func() { h.tidy(t) })
	return h
}

// TestPages runs every command of every page that guide.Plays assigns to it, and compares its output with the page.
func TestPages(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(guide.Plays)) {
		if guide.Plays[name].Test == t.Name() {
			t.Run(name, func(t *testing.T) {
				page, err := guide.Read(filepath.Join(suite.root, name))
				if err != nil {
					t.Fatal(err)
				}
				newFixture(t).play(page)
			})
		}
	}
}

// noMake stands in for make: the cluster is up.
const noMake = "make() { case $1 in up|down) ;; *) echo \"make $1 is not for a page\"; return 1;; esac; }\n"

// play runs the commands of a page.
func (h *fixture) play(page *guide.Page) {
	h.T.Helper()
	ctx, cancel := context.WithTimeout(h.Ctx, pageTimeout)
	defer cancel()
	shell := h.shell(noMake)
	h.Expect(shell.Files(page, suite.root)).To(gomega.Succeed())
	if _, err := shell.Play(ctx, page, page.Own()); err != nil {
		h.T.Fatal(err)
	}
}

// shell returns the shell of a user who has the plugin and the administrator's kubeconfig.
func (h *fixture) shell(prelude string) guide.Shell {
	return guide.Shell{Dir: h.dir, Prelude: prelude, Env: append(os.Environ(),
		"PATH="+suite.bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "HOME="+h.dir,
		"KUBECONFIG="+suite.Kubeconfig(), "KUBERC=off", "KUBECTL_KUBERC=false", "NO_COLOR=1")}
}

// tidy restores the initial state of the cluster for the next page. The context of the test has ended.
func (h *fixture) tidy(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), pageTimeout)
	defer cancel()
	for _, namespace := range []string{"shop", "default"} {
		for _, kind := range []string{"jwtrefreshkeys", "deployments", "secrets", "configmaps"} {
			// kube-controller-manager creates this one again.
			args := []string{"delete", kind, "--field-selector=metadata.name!=kube-root-ca.crt", "--namespace", namespace, "--timeout=30s"}
			if _, err := suite.Kubectl(ctx, args...); err != nil {
				t.Errorf("tidy up: %v", err)
			}
		}
	}
	issuer := harness.NewIssuer(cluster.DefaultIssuer)
	err := h.Admin.Get(ctx, client.ObjectKeyFromObject(issuer), issuer)
	if ready := meta.FindStatusCondition(issuer.Status.Conditions, v1alpha1.ConditionReady); err == nil && ready != nil && ready.Reason == v1alpha1.ReasonKeysReady {
		return
	}
	// A page withdrew the signing keys. The next page starts with new ones.
	h.RemoveIssuer(issuer.Name)
	if err := cluster.EnsureIssuer(ctx, suite.Cluster, issuer.Name); err != nil {
		t.Errorf("tidy up: %v", err)
	}
}

// TestAnnotateAgain checks that the annotate commands of a page work more than once: kubectl changes an annotation only
// with --overwrite. TestPages runs each command only once.
func TestAnnotateAgain(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "git", "-C", suite.root, "grep", "-hn", "kubectl annotate", "--", "README.md", "docs/*.md").Output()
	if err != nil || len(out) == 0 {
		t.Fatal("no page annotates anything", err)
	}
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "kubectl annotate --overwrite ") {
			t.Errorf("works only the first time: %s", line)
		}
	}
}

// Package pages runs the documentation as a reader does who has typed `make up` and nothing else: every command of a page, in order, in
// one shell and an empty folder, in the cluster of `make up`.
package pages

import (
	"context"
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

// makeUp stands in for make. The cluster is up: its `make up` prints what that of the suite printed, and sets the variables as it says. The
// suite itself runs `make down` at its end.
const makeUp = "make() { case $1 in up) cat \"$SAID\"; eval \"$(grep '^  export ' \"$SAID\")\";; down) ;; *) echo \"make $1 is not for a page\"; return 1;; esac; }\n"

// inCheckout are the pages whose reader is in a checkout of the repository. Other readers are in an empty folder.
var inCheckout = []string{"README.md"}

// play runs the commands of a page. A page that begins with `make up` says how a shell uses the cluster. The reader of another page has
// done so.
func (h *fixture) play(page *guide.Page) {
	h.T.Helper()
	ctx, cancel := context.WithTimeout(h.Ctx, pageTimeout)
	defer cancel()
	steps := page.Own()
	shell := h.shell("")
	if len(steps) > 0 && steps[0].Commands == "make up\n" {
		shell.Prelude = makeUp
	}
	root := ""
	if slices.ContainsFunc(inCheckout, func(name string) bool { return page.Path == filepath.Join(suite.root, name) }) {
		root = suite.root
	}
	h.Expect(page.Unnamed()).To(gomega.BeEmpty(), "a reader does not have these files")
	h.Expect(shell.Files(page, root)).To(gomega.Succeed())
	if _, err := shell.Play(ctx, page, steps); err != nil {
		h.T.Fatal(err)
	}
}

// shell returns the shell of a reader who has typed what `make up` says.
func (h *fixture) shell(prelude string) guide.Shell {
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "KUBE") })
	return guide.Shell{Dir: h.dir, Prelude: suite.exports + prelude, Env: append(env,
		"PATH="+suite.bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "HOME="+h.dir, "SAID="+suite.saidFile,
		"KUBERC=off", "KUBECTL_KUBERC=false", "NO_COLOR=1")}
}

// tidy restores the initial state of the cluster for the next page. The context of the test has ended.
func (h *fixture) tidy(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), pageTimeout)
	defer cancel()
	for _, args := range [][]string{
		{"jwtrefreshkeys", "--all", "--namespace=default"},
		{"namespaces", "shop", "ci", "--ignore-not-found", "--timeout=60s"},
	} {
		if _, err := suite.Kubectl(ctx, append([]string{"delete"}, args...)...); err != nil {
			t.Errorf("tidy up: %v", err)
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

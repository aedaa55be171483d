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

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

// pageTimeout is much longer than a page takes.
const pageTimeout = 90 * time.Second

var shared *shell

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv("USE_EXISTING_CLUSTER") == "true" {
		fmt.Println("the pages do not run in an existing cluster")
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "pages-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	shared = &shell{dir: dir}
	defer shared.stop()
	if err := shared.start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "pages:", err)
		return 1
	}
	return m.Run()
}

// TestPages runs every command of every page that guide.Plays assigns to it, and compares its output with the page.
func TestPages(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(guide.Plays)) {
		if guide.Plays[name].Test == t.Name() {
			t.Run(name, func(t *testing.T) {
				page, err := guide.Read(filepath.Join(shared.root, name))
				if err != nil {
					t.Fatal(err)
				}
				shared.play(t, page)
			})
		}
	}
}

// noMake stands in for make: the cluster is up.
const noMake = "make() { case $1 in up|down) ;; *) echo \"make $1 is not for a page\"; return 1;; esac; }\n"

// play runs the commands of a page.
func (s *shell) play(t *testing.T, page *guide.Page) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pageTimeout)
	defer cancel()
	defer s.tidy(t)
	dir := t.TempDir()
	here := guide.Shell{Dir: dir, Env: s.environment(dir), Prelude: noMake}
	if err := here.Files(page, s.root); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Play(ctx, page, page.Own()); err != nil {
		t.Fatal(err)
	}
}

// shell is a cluster with the files and variables that a user's shell needs.
type shell struct {
	dir, root, bin string
	cluster        *cluster.Cluster
	// operator are the processes of the manager and the token service.
	operator []*cluster.Process
}

func (s *shell) start(ctx context.Context) (err error) {
	if s.root, err = cluster.RepositoryRoot(); err != nil {
		return err
	}
	s.bin = filepath.Join(s.dir, "bin")
	if s.cluster, err = cluster.Start(ctx, cluster.Options{Dir: filepath.Join(s.dir, "cluster"), ControllerManager: true}); err != nil {
		return err
	}
	if err := os.Mkdir(s.bin, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(s.cluster.KubectlPath(), filepath.Join(s.bin, "kubectl")); err != nil {
		return err
	}
	if err := cluster.Build(ctx, s.root, "./cmd/kubectl-refreshkey", filepath.Join(s.bin, "kubectl-refreshkey")); err != nil {
		return err
	}
	if err := cluster.Install(ctx, s.cluster); err != nil {
		return err
	}
	for _, role := range []string{"fast-propagation", "restarts"} {
		if _, err := s.cluster.Kubectl(ctx, "apply", "--server-side", "-f", filepath.Join(s.root, "config", role, "role.yaml")); err != nil {
			return err
		}
	}
	manager, err := cluster.RunManager(ctx, s.cluster, "--fast-propagation", "--restarts")
	if err != nil {
		return err
	}
	replicas, err := cluster.RunTokenServers(ctx, s.cluster, 2)
	if err != nil {
		return err
	}
	s.operator = slices.Concat(replicas, []*cluster.Process{manager})
	if err := cluster.EnsureIssuer(ctx, s.cluster, cluster.DefaultIssuer); err != nil {
		return err
	}
	_, err = s.cluster.Kubectl(ctx, "create", "namespace", "shop")
	return err
}

func (s *shell) stop() {
	if s.cluster != nil {
		if err := s.cluster.Stop(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "pages: stop:", err)
		}
	}
}

func (s *shell) environment(home string) []string {
	return append(os.Environ(), "PATH="+s.bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "HOME="+home,
		"KUBECONFIG="+s.cluster.Kubeconfig(), "KUBERC=off", "KUBECTL_KUBERC=false", "NO_COLOR=1")
}

// tidy restores the initial state of the cluster for the next page.
func (s *shell) tidy(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), pageTimeout)
	defer cancel()
	for _, namespace := range []string{"shop", "default"} {
		for _, kind := range []string{"jwtrefreshkeys", "deployments", "secrets", "configmaps"} {
			// kube-controller-manager creates this one again.
			args := []string{"delete", kind, "--field-selector=metadata.name!=kube-root-ca.crt", "--namespace", namespace, "--timeout=30s"}
			if _, err := s.cluster.Kubectl(ctx, args...); err != nil {
				t.Errorf("tidy up: %v", err)
			}
		}
	}
	reason, err := s.cluster.Kubectl(ctx, "get", "jwtissuer", "default", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].reason}`)
	if err == nil && string(reason) == v1alpha1.ReasonKeysReady {
		return
	}
	// A page withdrew the signing keys. The next page starts with new ones.
	for _, object := range [][]string{{"jwtissuer", "default"}, {"secret", "signing-keys-default", "--namespace=refreshkeys-system"}} {
		if _, err := s.cluster.Kubectl(ctx, append([]string{"delete", "--ignore-not-found"}, object...)...); err != nil {
			t.Errorf("tidy up: %v", err)
		}
	}
	if err := cluster.EnsureIssuer(ctx, s.cluster, cluster.DefaultIssuer); err != nil {
		t.Errorf("tidy up: %v", err)
	}
}

// TestAnnotateAgain checks that the annotate commands of a page work more than once: kubectl changes an annotation only
// with --overwrite. TestPages runs each command only once.
func TestAnnotateAgain(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "git", "-C", shared.root, "grep", "-hn", "kubectl annotate", "--", "README.md", "docs/*.md").Output()
	if err != nil || len(out) == 0 {
		t.Fatal("no page annotates anything", err)
	}
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "kubectl annotate --overwrite ") {
			t.Errorf("works only the first time: %s", line)
		}
	}
}

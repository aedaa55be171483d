// Package compat holds the parts of `make compat` that are not suites of other packages: an upgrade from the release before and the
// way back, step by step.
package compat

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// earlierRelease is the commit of v0.1.0: what the changelog calls "Earlier changes". All others came after it.
const earlierRelease = "f76d5d7c962c1891f65c4c959c6342cc0a5b22ba"

// TestVersionSkew runs the CRDs, the manager and the token service of the release before and of this tree together, in the steps of an
// upgrade and of the way back. In each step, tokens of earlier steps and new ones are exchanged, a key rotates, and one is revoked.
func TestVersionSkew(t *testing.T) {
	if os.Getenv("COMPAT") != "true" {
		t.Skip("make compat runs it: it builds the release before")
	}
	log.SetLogger(logr.Discard())
	earlier, present := checkout(t, earlierRelease), release{root: root(t)}
	earlier.build(t)
	present.bin = t.TempDir()
	present.build(t)

	control, err := cluster.Start(t.Context(), cluster.Options{Dir: filepath.Join(t.TempDir(), "cluster")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = control.Stop(t.Context()) })
	s := newInstallation(t, control)

	for _, step := range []struct {
		name                      string
		crd, manager, tokenServer release
	}{
		{"the release before", earlier, earlier, earlier},
		{"upgrade: new CRDs and rights", present, earlier, earlier},
		{"upgrade: new manager", present, present, earlier},
		{"upgrade: all new", present, present, present},
		{"the other order: new token service, old manager", present, earlier, present},
		{"rollback: old programs, new CRDs", present, earlier, earlier},
		{"rollback: all old", earlier, earlier, earlier},
		{"upgrade in one step", present, present, present},
	} {
		passed := t.Run(step.name, func(t *testing.T) {
			in := s.in(t)
			in.run(step.crd, step.manager, step.tokenServer)
			in.works()
		})
		if !passed {
			t.FailNow()
		}
		s.steps++
	}
}

// release is a checkout, and the folder of its programs.
type release struct{ root, bin string }

// checkout returns a worktree of a commit until the test ends.
func checkout(t *testing.T, commit string) release {
	t.Helper()
	r := release{root: filepath.Join(t.TempDir(), "release"), bin: t.TempDir()}
	git(t, "worktree", "add", "--detach", r.root, commit)
	t.Cleanup(func() { git(t, "worktree", "remove", "--force", r.root) })
	return r
}

func git(t *testing.T, arguments ...string) {
	t.Helper()
	// The context of the test has ended when it cleans up.
	command := exec.CommandContext(context.WithoutCancel(t.Context()), "git", arguments...)
	command.Dir = root(t)
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s\nThe test needs a clone with the history of main.", arguments, err, said)
	}
}

func (r release) build(t *testing.T) {
	t.Helper()
	for _, program := range []string{"manager", "tokenserver"} {
		if err := cluster.Build(t.Context(), r.root, "./cmd/"+program, r.program(program)); err != nil {
			t.Fatal(err)
		}
	}
}

func (r release) program(name string) string { return filepath.Join(r.bin, name) }

package workflows

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
	"go.yaml.in/yaml/v4"
)

const folder = "../../.github/workflows"

// files returns the workflows.
func files(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "*.yml"))
	if err != nil || len(found) < 4 {
		t.Fatalf("found the workflows %v (%v), want at least ci, release, scorecard and fuzz", found, err)
	}
	return found
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestActionlint runs actionlint on each workflow.
func TestActionlint(t *testing.T) {
	var said bytes.Buffer
	linter, err := actionlint.NewLinter(&said, &actionlint.LinterOptions{Shellcheck: "", Pyflakes: ""})
	if err != nil {
		t.Fatal(err)
	}
	faults, err := linter.LintFiles(files(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(faults) > 0 {
		t.Error(said.String())
	}
}

// TestActionlintFindsAFault checks that the test above can fail.
func TestActionlintFindsAFault(t *testing.T) {
	linter, err := actionlint.NewLinter(&bytes.Buffer{}, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	faults, err := linter.Lint("x.yml", []byte("on: push\njobs:\n  x:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ nothing.here }}\n"), nil)
	if err != nil || len(faults) == 0 {
		t.Errorf("actionlint accepts an undefined variable: %v", err)
	}
}

var (
	uses   = regexp.MustCompile(`(?m)^\s*(?:- )?uses: (.*)$`)
	pinned = regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40} # v\d[\w.]*$`)
)

// TestActionsArePinned checks that each action is named by a commit, with the version beside it, and by one commit everywhere.
func TestActionsArePinned(t *testing.T) {
	commits := map[string]string{}
	for _, file := range files(t) {
		for _, found := range uses.FindAllStringSubmatch(read(t, file), -1) {
			if !pinned.MatchString(found[1]) {
				t.Errorf("%s: %q is not OWNER/NAME@COMMIT # VERSION", file, found[1])
				continue
			}
			name, commit, _ := strings.Cut(found[1], "@")
			if before, ok := commits[name]; ok && before != commit {
				t.Errorf("%s: %s is pinned to %s and to %s", file, name, before, commit)
			}
			commits[name] = commit
		}
	}
}

// workflow is what this test reads of one.
type workflow struct {
	Permissions map[string]string `yaml:"permissions"`
	Jobs        map[string]struct {
		Permissions map[string]string `yaml:"permissions"`
		Timeout     int               `yaml:"timeout-minutes"`
	} `yaml:"jobs"`
}

// writes are all rights to write, by workflow and job.
var writes = map[string]string{
	"release.yml/release contents":            "write",
	"release.yml/release packages":            "write",
	"scorecard.yml/scorecard security-events": "write",
	"scorecard.yml/scorecard id-token":        "write",
}

// TestPermissions checks that a workflow has no rights by default, and each job has the listed ones.
func TestPermissions(t *testing.T) {
	for _, file := range files(t) {
		parsed := workflow{}
		if err := yaml.Unmarshal([]byte(read(t, file)), &parsed); err != nil {
			t.Fatal(err)
		}
		if parsed.Permissions == nil || len(parsed.Permissions) != 0 {
			t.Errorf("%s: the permissions of the workflow are %v, want {}", file, parsed.Permissions)
		}
		for name, job := range parsed.Jobs {
			if job.Timeout == 0 {
				t.Errorf("%s: job %s has no timeout-minutes", file, name)
			}
			for right, level := range job.Permissions {
				if level != "read" && writes[filepath.Base(file)+"/"+name+" "+right] != level {
					t.Errorf("%s: job %s has the permission %s: %s", file, name, right, level)
				}
			}
		}
	}
}

var (
	calls   = regexp.MustCompile(`\bmake ([a-z][a-z-]*)`)
	targets = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)
)

// TestTargetsExist checks that each target of make that a workflow calls is in the Makefile.
func TestTargetsExist(t *testing.T) {
	exist := map[string]bool{}
	for _, found := range targets.FindAllStringSubmatch(read(t, "../../Makefile"), -1) {
		exist[found[1]] = true
	}
	called := 0
	for _, file := range files(t) {
		for _, found := range calls.FindAllStringSubmatch(read(t, file), -1) {
			called++
			if !exist[found[1]] {
				t.Errorf("%s calls make %s, which does not exist", file, found[1])
			}
		}
	}
	if called < 4 {
		t.Errorf("the workflows call make %d times", called)
	}
}

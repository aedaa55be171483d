package version

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestOf checks from where the version and the revision of a build come.
func TestOf(t *testing.T) {
	recorded := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "1f0e3dad99908345f7439f8ffabdffc4"}
	changed := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for _, c := range []struct {
		name              string
		version, revision string
		build             *debug.BuildInfo
		want, line        string
	}{
		{"a release", "v0.2.0", "1f0e3dad99908345f7439f8ffabdffc4", recorded("v0.1.9", commit), "v0.2.0 1f0e3dad99908345f7439f8ffabdffc4", "v0.2.0 (revision 1f0e3dad9990, "},
		{"go install", "", "", recorded("v0.1.9"), "v0.1.9 unknown", "v0.1.9 (revision unknown, "},
		{"a checkout", "", "", recorded("(devel)", commit), "dev 1f0e3dad99908345f7439f8ffabdffc4", "dev (revision 1f0e3dad9990, "},
		{"a changed checkout", "", "", recorded("(devel)", commit, changed), "dev 1f0e3dad99908345f7439f8ffabdffc4-dirty", "dev (revision 1f0e3dad9990-dirty, "},
		{"without VCS", "", "", recorded(""), "dev unknown", "dev (revision unknown, "},
		{"without any record", "", "", nil, "dev unknown", "dev (revision unknown, "},
	} {
		got := of(c.version, c.revision, c.build)
		if got.Version+" "+got.Revision != c.want || !strings.HasPrefix(got.String(), c.line) || got.GoVersion != runtime.Version() {
			t.Errorf("%s: %+v, %q, want %s and %q", c.name, got, got, c.want, c.line)
		}
	}
}

// TestCollector checks the metric.
func TestCollector(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(Info{Version: "v0.2.0", Revision: "1f0e", GoVersion: "go1.26.0"}.Collector())
	want := "# HELP refreshkeys_build_info Always 1. The labels say which build runs.\n# TYPE refreshkeys_build_info gauge\n" +
		"refreshkeys_build_info{goversion=\"go1.26.0\",revision=\"1f0e\",version=\"v0.2.0\"} 1\n"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

// TestEachCommandSaysItsVersion builds the four commands as a release does, and runs them with --version.
func TestEachCommandSaysItsVersion(t *testing.T) {
	if testing.Short() {
		t.Skip("links four commands; test/plugin links one")
	}
	const at = "github.com/refreshkeys/refreshkeys/internal/version."
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-p", "1", "-o", dir,
		"-ldflags", "-s -w -X "+at+"Version=v9.8.7 -X "+at+"Revision=1f0e3dad99908345f7439f8ffabdffc4", "../../cmd/...")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for command, name := range map[string]string{"manager": "manager", "tokenserver": "tokenserver", "console": "console", "kubectl-refreshkey": "kubectl refreshkey"} {
		said, err := exec.CommandContext(t.Context(), filepath.Join(dir, command), "--version").Output()
		if want := name + " version v9.8.7 (revision 1f0e3dad9990, " + runtime.Version() + ", "; err != nil || !strings.HasPrefix(string(said), want) {
			t.Errorf("%s --version: %v: %q, want %q", command, err, said, want)
		}
	}
}

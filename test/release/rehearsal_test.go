package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

// TestRehearsal is a release from its build to an upgrade, in this order.
func TestRehearsal(t *testing.T) {
	suite.key, suite.public = makeKeys(t, "release")
	suite.registry = serveRegistry(t)
	suite.dir = filepath.Join(suite.work, "release")
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"build", build},
		{"files", files},
		{"reproducible", reproducible},
		{"publish", publish},
		{"page", page},
		{"tampering", tampering},
		{"tampering in the registry", tamperingInTheRegistry},
		{"kubectl apply", applied},
		{"Helm and the upgrade from v0.1.0", upgraded},
	} {
		started := time.Now()
		if !t.Run(part.name, part.test) {
			t.FailNow()
		}
		t.Logf("%s: %.0f s", part.name, time.Since(started).Seconds())
	}
}

func build(t *testing.T) {
	env := environment("GOVULNDB="+vulnerabilities(t), "RELEASE_DIR="+suite.dir)
	command(t, suite.root, env, "make", "--no-print-directory", "release", "VERSION="+version)
}

// files checks that the release has all files, and that each says what it has to.
func files(t *testing.T) {
	want := []string{
		"NOTES.md", "SHA256SUMS", "SHA256SUMS.sig", "install.yaml", "provenance.intoto.json", "provenance.json",
		"refreshkey.yaml", "refreshkeys-" + number + ".tgz", "refreshkeys.openvex.json",
	}
	for _, image := range []string{"manager", "tokenserver", "console"} {
		want = append(want, "refreshkeys-"+image+"_"+version+"_oci.tar")
		for _, arch := range []string{"amd64", "arm64"} {
			want = append(want, "refreshkeys-"+image+"_"+version+"_linux_"+arch+".spdx.json")
		}
	}
	for _, platform := range platforms() {
		name := "kubectl-refreshkey_" + version + "_" + strings.ReplaceAll(platform, "/", "_")
		want = append(want, name+".tar.gz", name+".spdx.json")
	}
	var found []string
	entries, err := os.ReadDir(suite.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			found = append(found, entry.Name())
		}
	}
	slices.Sort(want)
	slices.Sort(found)
	if !slices.Equal(found, want) {
		t.Errorf("the release has the files\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	holds(t, "NOTES.md", "# Refresh Keys "+version, "git tag --annotate --message v0.1.0 v0.1.0 "+earlierCommit(t))
	holds(t, "install.yaml", "ghcr.io/refreshkeys/manager:"+version+"@sha256:", "ghcr.io/refreshkeys/tokenserver:"+version+"@sha256:")
	holds(t, "refreshkey.yaml", "version: "+version, "os: windows, arch: arm64")
	holds(t, "refreshkeys.openvex.json", `"status": "not_affected"`, "GO-2026-0001", `"author": "Refresh Keys"`)
	holds(t, "provenance.json", "https://slsa.dev/provenance/v1", "SLSA Build L1", command(t, suite.root, nil, "git", "rev-parse", "HEAD"))
	holds(t, "kubectl-refreshkey_"+version+"_linux_amd64.spdx.json", "SPDX-2.3", "pkg:golang/k8s.io/client-go@")
	if text := read(t, "refreshkey.yaml"); strings.Count(text, strings.Repeat("0", 64)) != 6-len(platforms()) || strings.Contains(text, "v0.0.0") {
		t.Error("krew's manifest has an archive without its checksum or version")
	}
	if text := read(t, "provenance.json"); regexp.MustCompile(`L[234]\b`).MatchString(text) {
		t.Error("the provenance claims more than SLSA Build L1")
	}
}

// platforms returns those of the plugin: all of a release, or the list in PLATFORMS for a shorter rehearsal.
func platforms() []string {
	if some := strings.Fields(os.Getenv("PLATFORMS")); len(some) > 0 {
		return some
	}
	return []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(suite.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func holds(t *testing.T, name string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(read(t, name), text) {
			t.Errorf("%s does not hold %q", name, text)
		}
	}
}

// reproducible builds the same commit in another folder, and compares all checksums.
func reproducible(t *testing.T) {
	other := checkout(t, "HEAD")
	for _, built := range []string{"tools", "k8s"} {
		if err := os.MkdirAll(filepath.Join(other, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(suite.root, "bin", built), filepath.Join(other, "bin", built)); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(suite.work, "again")
	command(t, other, environment("GOVULNDB="+vulnerabilities(t), "RELEASE_DIR="+dir), "make", "--no-print-directory", "release", "VERSION="+version)
	again, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	if first := read(t, "SHA256SUMS"); first != string(again) {
		t.Errorf("two builds of one commit differ:\n%s\nand\n%s", first, again)
	}
}

// checkout returns a folder with a commit of this repository.
func checkout(t *testing.T, commit string) string {
	t.Helper()
	folder := filepath.Join(suite.work, "checkout-"+commit[:4])
	command(t, suite.root, nil, "git", "worktree", "add", "--detach", folder, commit)
	t.Cleanup(func() {
		if said, err := exec.Command("git", "-C", suite.root, "worktree", "remove", "--force", folder).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, said)
		}
	})
	return folder
}

func publish(t *testing.T) {
	command(t, suite.root, environment("RELEASE_DIR="+suite.dir), "make", "--no-print-directory", "release-publish", "VERSION="+version)
}

// page runs the commands with which a user verifies a release, as docs/releasing.md shows them.
func page(t *testing.T) {
	read, err := guide.Read(filepath.Join(suite.root, "docs/releasing.md"))
	if err != nil {
		t.Fatal(err)
	}
	command(t, suite.dir, nil, "cp", suite.public, filepath.Join(suite.work, "refreshkeys.pub"))
	shell := guide.Shell{
		Dir: suite.dir, Env: environment(),
		Typed: strings.NewReplacer("ghcr.io/refreshkeys", suite.registry, "refreshkeys.pub", filepath.Join(suite.work, "refreshkeys.pub"),
			"make release-verify", "make --directory "+suite.root+" RELEASE_DIR="+suite.dir+" release-verify"),
	}
	played := 0
	for _, step := range read.Steps {
		if step.Elsewhere != "TestRehearsal" {
			continue
		}
		played++
		if said, err := shell.Run(t.Context(), shell.Typed.Replace(step.Commands)); err != nil {
			t.Errorf("docs/releasing.md:%d: %v\n%s", step.Line, err, said)
		}
	}
	if played < 3 {
		t.Errorf("docs/releasing.md has %d blocks of commands for a user", played)
	}
}

// verify runs the check of a release, and returns what it says and whether it accepts the release.
func verify(t *testing.T, dir, public, registry string) (string, bool) {
	t.Helper()
	check := exec.CommandContext(t.Context(), filepath.Join(suite.root, "hack/release/run"), "verify", version)
	check.Env = environment("RELEASE_DIR="+dir, "KEY="+public, "REGISTRY="+registry)
	said, err := check.CombinedOutput()
	return string(said), err == nil
}

// tampering changes a release in each way that a check has to notice.
func tampering(t *testing.T) {
	_, other := makeKeys(t, "other")
	change := func(name string, with func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			file := filepath.Join(dir, name)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			write(t, file, with(text))
		}
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(text []byte) []byte { text[len(text)/2] ^= 1; return text }
	archive := "kubectl-refreshkey_" + version + "_linux_amd64.tar.gz"
	for _, test := range []struct {
		name, key, says string
		change          func(*testing.T, string)
	}{
		{"nothing", suite.public, "", func(*testing.T, string) {}},
		{"another key", other, "is not signed by this key", func(*testing.T, string) {}},
		{"a changed byte", suite.public, archive + " is missing, or is not what was released", change(archive, flip)},
		{"a changed byte in the checksums", suite.public, "SHA256SUMS is not signed by this key", change("SHA256SUMS", flip)},
		{"no signature", suite.public, "have no signature", remove("SHA256SUMS.sig")},
		{"no provenance", suite.public, "the provenance has no signature", remove("provenance.intoto.json")},
		{"a missing file", suite.public, "install.yaml is missing", remove("install.yaml")},
		{"another file", suite.public, "is not in SHA256SUMS", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "more"), nil) }},
		{"another provenance", suite.public, "the provenance is not signed by this key", change("provenance.intoto.json", func(text []byte) []byte {
			return []byte(strings.Replace(string(text), `"payload":"ey`, `"payload":"ew`, 1))
		})},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "release")
			command(t, suite.dir, nil, "cp", "--recursive", "--link", suite.dir, dir)
			test.change(t, dir)
			said, accepted := verify(t, dir, test.key, "")
			if accepted != (test.says == "") || !strings.Contains(said, test.says) {
				t.Errorf("the check accepts it: %v, and says %q, want %q", accepted, said, test.says)
			}
		})
	}
}

// tamperingInTheRegistry puts another image under the tag of a release, and removes a signature.
func tamperingInTheRegistry(t *testing.T) {
	if said, accepted := verify(t, suite.dir, suite.public, suite.registry); !accepted {
		t.Fatalf("the check refuses what was published: %s", said)
	}
	repository, err := name.NewRepository(suite.registry + "/manager")
	if err != nil {
		t.Fatal(err)
	}
	good, err := remote.Index(repository.Tag(version))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repository.Tag(version), empty.Image); err != nil {
		t.Fatal(err)
	}
	if said, accepted := verify(t, suite.dir, suite.public, suite.registry); accepted || !strings.Contains(said, "it has no signature") {
		t.Errorf("another image under the tag is accepted: %v, %s", accepted, said)
	}
	if err := remote.WriteIndex(repository.Tag(version), good); err != nil {
		t.Fatal(err)
	}
	digest, err := good.Digest()
	if err != nil {
		t.Fatal(err)
	}
	signature := repository.Tag("sha256-" + digest.Hex + ".sig")
	kept, err := remote.Image(signature)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(signature); err != nil {
		t.Fatal(err)
	}
	if said, accepted := verify(t, suite.dir, suite.public, suite.registry); accepted || !strings.Contains(said, "it has no signature") {
		t.Errorf("an image without a signature is accepted: %v, %s", accepted, said)
	}
	if err := remote.Write(signature, kept); err != nil {
		t.Fatal(err)
	}
}

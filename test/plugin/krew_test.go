package plugin

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// manifest is the manifest of a krew plugin.
type manifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string `json:"version"`
		Homepage         string `json:"homepage"`
		ShortDescription string `json:"shortDescription"`
		Description      string `json:"description"`
		Caveats          string `json:"caveats"`
		Platforms        []struct {
			Selector struct {
				MatchLabels map[string]string `json:"matchLabels"`
			} `json:"selector"`
			URI    string `json:"uri"`
			SHA256 string `json:"sha256"`
			Bin    string `json:"bin"`
		} `json:"platforms"`
	} `json:"spec"`
}

func readManifest(t *testing.T, file string) *manifest {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m := &manifest{}
	if err := yaml.UnmarshalStrict(raw, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// wellFormed checks krew's requirements for a manifest, and those of its index for a description.
func wellFormed(t *testing.T, m *manifest, version string) {
	t.Helper()
	if m.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || m.Kind != "Plugin" || m.Metadata.Name != "refreshkey" || m.Spec.Version != version {
		t.Errorf("the manifest is %s %s, %s %s", m.APIVersion, m.Kind, m.Metadata.Name, m.Spec.Version)
	}
	if short := m.Spec.ShortDescription; short == "" || len(short) > 50 || strings.HasSuffix(short, ".") || m.Spec.Description == "" || m.Spec.Homepage == "" {
		t.Errorf("the description is %q", short)
	}
	var platforms []string
	for _, platform := range m.Spec.Platforms {
		system, arch := platform.Selector.MatchLabels["os"], platform.Selector.MatchLabels["arch"]
		platforms = append(platforms, system+"/"+arch)
		bin := "kubectl-refreshkey"
		if system == "windows" {
			bin += ".exe"
		}
		if platform.Bin != bin || !strings.HasSuffix(platform.URI, "/"+version+"/kubectl-refreshkey_"+version+"_"+system+"_"+arch+".tar.gz") {
			t.Errorf("%s/%s: %s in %s", system, arch, platform.Bin, platform.URI)
		}
		if !regexp.MustCompile("^[0-9a-f]{64}$").MatchString(platform.SHA256) {
			t.Errorf("%s/%s: the checksum is %q", system, arch, platform.SHA256)
		}
	}
	slices.Sort(platforms)
	if want := []string{"darwin/amd64", "darwin/arm64", "linux/amd64", "linux/arm64", "windows/amd64", "windows/arm64"}; !slices.Equal(platforms, want) {
		t.Errorf("platforms %v, want %v", platforms, want)
	}
}

// testKrewManifest checks that krew accepts the manifest, and that a release fills in the checksums of its archives.
func testKrewManifest(_ *fixture, t *testing.T) {
	wellFormed(t, readManifest(t, filepath.Join(server.Root, "hack", "krew", "refreshkey.yaml")), "v0.0.0")
	if runtime.GOOS != "linux" {
		t.Skip("hack/krew/release needs GNU tar and sed, as a release on Linux has")
	}
	const version = "v9.8.7"
	dir := t.TempDir()
	release := exec.CommandContext(t.Context(), filepath.Join(server.Root, "hack", "krew", "release"), version, dir)
	platform := runtime.GOOS + "/" + runtime.GOARCH
	release.Env = append(os.Environ(), "PLATFORMS="+platform)
	if said, err := release.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	m := readManifest(t, filepath.Join(dir, "refreshkey.yaml"))
	wellFormed(t, m, version)
	archive := "kubectl-refreshkey_" + version + "_" + runtime.GOOS + "_" + runtime.GOARCH + ".tar.gz"
	raw, err := os.ReadFile(filepath.Join(dir, archive))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	for _, listed := range m.Spec.Platforms {
		if strings.HasSuffix(listed.URI, archive) && listed.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("the manifest's checksum is %s, but the archive's is %x", listed.SHA256, sum)
		}
	}
	unpack(t, filepath.Join(dir, archive), dir)
	for _, name := range []string{"kubectl-refreshkey", "kubectl_complete-refreshkey", "LICENSE"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if said, _, code := run(dir, os.Environ(), "", filepath.Join(dir, "kubectl-refreshkey"), "--version"); code != 0 || !strings.Contains(said, version) {
		t.Errorf("exit code %d: %s", code, said)
	}
}

func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := tar.NewReader(zipped)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		raw, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(header.Name)), raw, header.FileInfo().Mode()); err != nil {
			t.Fatal(err)
		}
	}
}

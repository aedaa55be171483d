package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const version = "v0.0.0-test"

// built is the folder with the images under test, for all platforms of a release.
var built string

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "images-")
	if err != nil {
		panic(err)
	}
	built = folder
	err = run(context.Background(), "../..", built, version, []string{"linux/amd64", "linux/arm64"})
	if err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// TestImages checks that each archive names its image, which has both platforms, a user that is not
// root, and a static binary for the right processor as its only file.
func TestImages(t *testing.T) {
	for _, command := range commands {
		t.Run(command, func(t *testing.T) {
			index := open(t, built, command)
			if err := validate.Index(index); err != nil {
				t.Fatal(err)
			}
			manifest, err := index.IndexManifest()
			if err != nil {
				t.Fatal(err)
			}
			var platforms []string
			for _, image := range manifest.Manifests {
				platforms = append(platforms, image.Platform.String())
				found, err := index.Image(image.Digest)
				if err != nil {
					t.Fatal(err)
				}
				checkImage(t, command, image.Platform.Architecture, found)
			}
			if !slices.Equal(platforms, []string{"linux/amd64", "linux/arm64"}) {
				t.Errorf("it is for %v", platforms)
			}
		})
	}
}

// machines are the values of `e_machine` in an ELF header (System V ABI, chapter 4).
var machines = map[string]byte{"amd64": 62, "arm64": 183}

func checkImage(t *testing.T, command, architecture string, image v1.Image) {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	path := "/ko-app/" + command
	if file.Config.User != user || !slices.Equal(file.Config.Entrypoint, []string{path}) || file.Architecture != architecture {
		t.Errorf("%s runs %v as user %q", file.Architecture, file.Config.Entrypoint, file.Config.User)
	}
	if file.Config.Labels["org.opencontainers.image.version"] != version {
		t.Errorf("its labels are %v", file.Config.Labels)
	}
	content := mutate.Extract(image)
	defer func() { _ = content.Close() }()
	files := 0
	for entries := tar.NewReader(content); ; {
		entry, err := entries.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if entry.Typeflag != tar.TypeReg {
			continue
		}
		files++
		header := make([]byte, 20)
		if _, err := io.ReadFull(entries, header); err != nil {
			t.Fatal(err)
		}
		if "/"+strings.TrimPrefix(entry.Name, "/") != path || header[18] != machines[architecture] {
			t.Errorf("file %s is for machine %d", entry.Name, header[18])
		}
	}
	if files != 1 {
		t.Errorf("it holds %d files", files)
	}
}

// TestSBOM checks that each image has an SBOM, in SPDX, that names a module of the binary.
func TestSBOM(t *testing.T) {
	for _, command := range commands {
		for _, platform := range []string{"linux-amd64", "linux-arm64"} {
			text, err := os.ReadFile(filepath.Join(built, "sbom", command+"-"+platform+".spdx.json"))
			if err != nil {
				t.Fatal(err)
			}
			var sbom struct {
				SPDXVersion string `json:"spdxVersion"`
				Packages    []struct {
					Name    string `json:"name"`
					Version string `json:"versionInfo"`
				} `json:"packages"`
			}
			if err := json.Unmarshal(text, &sbom); err != nil {
				t.Fatal(err)
			}
			versions := map[string]string{}
			for _, each := range sbom.Packages {
				versions[each.Name] = each.Version
			}
			// Without a file system, the only CAs are those in the binary.
			if command != "manager" && versions["golang.org/x/crypto/x509roots/fallback"] == "" {
				t.Errorf("%s, %s: it can verify no provider with a public certificate", command, platform)
			}
			if !strings.HasPrefix(sbom.SPDXVersion, "SPDX-2.") || versions["k8s.io/client-go"] == "" {
				t.Errorf("%s, %s: %s without the version of client-go", command, platform, sbom.SPDXVersion)
			}
		}
	}
}

// TestReproducible builds the same sources in another folder, from a copy without its repository
// and with an empty build cache, as a user does to verify the content of
// an image. One platform of one command covers everything that could differ.
func TestReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles everything again, which takes minutes")
	}
	sources := copySources(t)
	t.Setenv("GOCACHE", t.TempDir())
	again := t.TempDir()
	all := commands
	commands = []string{"tokenserver"}
	t.Cleanup(func() { commands = all })
	if err := run(t.Context(), sources, again, version, []string{"linux/amd64"}); err != nil {
		t.Fatal(err)
	}
	manifest, err := open(t, built, "tokenserver").IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	_, second := unpacked(t, again, "tokenserver")
	if first := manifest.Manifests[0]; first.Digest != second.Digest {
		t.Errorf("the image for %s is %s, and built again %s", first.Platform, first.Digest, second.Digest)
	}
}

// TestReproducibleArchive checks that a second build gives the same archives, byte for byte.
func TestReproducibleArchive(t *testing.T) {
	again := t.TempDir()
	if err := run(t.Context(), "../..", again, version, []string{"linux/amd64", "linux/arm64"}); err != nil {
		t.Fatal(err)
	}
	archives, err := filepath.Glob(filepath.Join(built, "docker", "*.tar"))
	if err != nil || len(archives) != 2*len(commands) {
		t.Fatalf("found %v (%v), want an archive for each command and platform", archives, err)
	}
	for _, command := range commands {
		archives = append(archives, filepath.Join(built, command+".tar"))
	}
	for _, archive := range archives {
		file, err := filepath.Rel(built, archive)
		if err != nil {
			t.Fatal(err)
		}
		first, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		second, err := os.ReadFile(filepath.Join(again, file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s differs between two builds", file)
		}
	}
}

func copySources(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{"go.mod", "go.sum", "api", "cmd", "controllers", "internal"} {
		if out, err := exec.Command("cp", "-r", filepath.Join("../..", source), folder).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return folder
}

// unpacked returns the layout in an archive. Its only entry must have the name of the image.
func unpacked(t *testing.T, folder, command string) (layout.Path, v1.Descriptor) {
	t.Helper()
	target := t.TempDir()
	archive := filepath.Join(folder, command+".tar")
	if out, err := exec.Command("tar", "--extract", "--file", archive, "--directory", target).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	path, err := layout.FromPath(target)
	if err != nil {
		t.Fatal(err)
	}
	index, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("%s.tar holds %d images", command, len(manifest.Manifests))
	}
	entry := manifest.Manifests[0]
	want := repository + "/" + command + ":" + version
	for _, name := range []string{"org.opencontainers.image.ref.name", "io.containerd.image.name"} {
		if entry.Annotations[name] != want {
			t.Errorf("%s is %q, not %q", name, entry.Annotations[name], want)
		}
	}
	return path, entry
}

func open(t *testing.T, folder, command string) v1.ImageIndex {
	t.Helper()
	path, entry := unpacked(t, folder, command)
	all, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	index, err := all.ImageIndex(entry.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

package main

import (
	"context"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	crane "github.com/google/go-containerregistry/cmd/crane/cmd"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// serveRegistry returns the host of an empty registry on loopback.
func serveRegistry(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// checkPushed checks that a registry has the images that were built, whole, and returns the digest of their index there and here.
func checkPushed(t *testing.T, command, reference string) (got, want v1.Hash) {
	t.Helper()
	parsed, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(parsed)
	if err != nil {
		t.Fatalf("%s is no index of images: %v", reference, err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	original := open(t, built, command)
	if there, here := digests(t, index), digests(t, original); !slices.Equal(there, here) {
		t.Errorf("the registry has the images %v of %s, want %v", there, command, here)
	}
	if got, err = index.Digest(); err != nil {
		t.Fatal(err)
	}
	if want, err = original.Digest(); err != nil {
		t.Fatal(err)
	}
	return got, want
}

// digests returns those of the images in an index.
func digests(t *testing.T, index v1.ImageIndex) (all []string) {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range manifest.Manifests {
		all = append(all, image.Digest.String())
	}
	return all
}

// TestCranePush pushes the layout of each command by crane's own command.
func TestCranePush(t *testing.T) {
	host := serveRegistry(t)
	for _, command := range commands {
		reference := host + "/" + command + ":" + version
		push := crane.New("crane", "", nil)
		push.SetArgs([]string{"push", filepath.Join(built, command), reference})
		push.SetOut(io.Discard)
		if err := push.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("crane push %s: %v", command, err)
		}
		if got, want := checkPushed(t, command, reference); got != want {
			t.Errorf("the registry has the index %s, want %s", got, want)
		}
	}
}

// TestDockerArchives reads each archive of one platform as `docker load` and `kind load image-archive` do: by manifest.json.
// Neither program runs here.
func TestDockerArchives(t *testing.T) {
	for _, command := range commands {
		manifest, err := open(t, built, command).IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		for _, built := range manifest.Manifests {
			checkDockerArchive(t, command, built)
		}
	}
}

func checkDockerArchive(t *testing.T, command string, want v1.Descriptor) {
	t.Helper()
	archive := filepath.Join(built, "docker", command+"-linux-"+want.Platform.Architecture+".tar")
	listed, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(archive) })
	if err != nil || len(listed) != 1 || len(listed[0].RepoTags) != 1 || listed[0].RepoTags[0] != repository+"/"+command+":"+version {
		t.Fatalf("%s names %v (%v)", archive, listed, err)
	}
	image, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(image); err != nil {
		t.Error(err)
	}
	// A docker archive has no OCI manifest. Its configuration, which lists the layers, is the same.
	original, err := open(t, built, command).Image(want.Digest)
	if err != nil {
		t.Fatal(err)
	}
	expected, err := original.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := image.ConfigName(); err != nil || got != expected {
		t.Errorf("%s has the configuration %s (%v), want %s", archive, got, err, expected)
	}
}

// installed returns the path of a program, and skips the test where there is none.
func installed(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("skipped: %s is not installed", program)
	}
	return path
}

// TestSkopeoCopy copies the layout and the archive into a registry by skopeo. Skopeo 1.9 writes another index, with a digest of its own.
func TestSkopeoCopy(t *testing.T) {
	skopeo := installed(t, "skopeo")
	host := serveRegistry(t)
	for _, command := range commands {
		for i, source := range []string{"oci:" + filepath.Join(built, command), "oci-archive:" + filepath.Join(built, command+".tar")} {
			reference := host + "/" + command + ":" + []string{"layout", "archive"}[i]
			out, err := exec.CommandContext(t.Context(), skopeo, "copy", "--all", "--insecure-policy", "--dest-tls-verify=false", source, "docker://"+reference).CombinedOutput()
			if err != nil {
				t.Fatalf("skopeo copy %s: %v\n%s", source, err, out)
			}
			checkPushed(t, command, reference)
		}
	}
}

// TestContainerdImport imports the archives into a containerd of its own, by ctr. It needs root.
func TestContainerdImport(t *testing.T) {
	containerd, ctr := installed(t, "containerd"), installed(t, "ctr")
	if os.Getuid() != 0 {
		t.Skip("skipped: containerd needs root")
	}
	address := startContainerd(t, containerd)
	for _, command := range commands {
		ctrRun(t, ctr, address, "images", "import", "--all-platforms", filepath.Join(built, command+".tar"))
		digest, err := open(t, built, command).Digest()
		if err != nil {
			t.Fatal(err)
		}
		listed := ctrRun(t, ctr, address, "images", "list", "name=="+repository+"/"+command+":"+version)
		if !strings.Contains(listed, digest.String()) || !strings.Contains(listed, "linux/amd64,linux/arm64") {
			t.Errorf("containerd has not %s for both platforms:\n%s", digest, listed)
		}
	}
}

func ctrRun(t *testing.T, ctr, address string, arguments ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), ctr, append([]string{"--address", address, "--namespace", "k8s.io"}, arguments...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ctr %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return string(out)
}

// startContainerd starts containerd with folders of its own and without plugins that need a kernel's modules, and returns its socket.
func startContainerd(t *testing.T, program string) string {
	t.Helper()
	// A socket's path is at most 108 bytes long.
	folder, err := os.MkdirTemp("", "ctr-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	socket := filepath.Join(folder, "s")
	config := filepath.Join(folder, "config.toml")
	text := "version = 2\nroot = \"" + folder + "/root\"\nstate = \"" + folder + "/state\"\n" +
		"disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"" + socket + "\"\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	process := exec.CommandContext(ctx, program, "--config", config)
	process.Stdout, process.Stderr = out, out
	if err := process.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = process.Wait(); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended; _ = out.Close() })
	for {
		if exec.Command(installed(t, "ctr"), "--address", socket, "--connect-timeout", "1s", "version").Run() == nil {
			return socket
		}
		select {
		case <-ended:
			said, _ := os.ReadFile(out.Name())
			t.Fatalf("containerd has ended:\n%s", said)
		default:
		}
	}
}

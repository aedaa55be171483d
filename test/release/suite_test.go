// Package release rehearses a release: it builds one with a key of its own, publishes it to a registry on this machine, verifies it
// as docs/releasing.md says, and installs and upgrades from there on a real API server.
package release

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

const (
	version   = "v0.2.0"
	number    = "0.2.0"
	namespace = "refreshkeys-system"
)

// suite is what all tests share.
var suite struct {
	*cluster.Cluster
	// work is a folder for all that is not the release.
	root, helm, work string
	// dir is the release, and key and public its pair of keys, which exist for this run only.
	dir, key, public string
	// registry is where the release is published, such as 127.0.0.1:5000/refreshkeys.
	registry string
}

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &suite.Cluster, prepare)) }

func prepare(_ context.Context, c *cluster.Cluster) (err error) {
	if suite.root, err = cluster.RepositoryRoot(); err != nil {
		return err
	}
	suite.work = filepath.Join(c.Dir(), "rehearsal")
	if err := os.MkdirAll(suite.work, 0o700); err != nil {
		return err
	}
	built, err := exec.Command(filepath.Join(suite.root, "hack/helm/build.sh")).Output()
	if err != nil {
		return fmt.Errorf("build helm: %w", err)
	}
	suite.helm = strings.TrimSpace(string(built))
	return os.Symlink(c.KubectlPath(), filepath.Join(suite.work, "kubectl"))
}

// environment returns that of the commands: the keys and the registry of the rehearsal, and a small database of vulnerabilities.
func environment(more ...string) []string {
	helm := filepath.Join(suite.work, "helm")
	return append(os.Environ(), append([]string{
		"KEY=" + suite.key, "REGISTRY=" + suite.registry, "HELM=" + suite.helm, "KUBECONFIG=" + suite.Kubeconfig(),
		"HELM_CACHE_HOME=" + helm, "HELM_CONFIG_HOME=" + helm, "HELM_DATA_HOME=" + helm,
	}, more...)...)
}

// command runs a program in a folder, and fails the test where it fails.
func command(t *testing.T, dir string, env []string, program string, arguments ...string) string {
	t.Helper()
	run := exec.CommandContext(t.Context(), program, arguments...)
	run.Dir, run.Env = dir, env
	said, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(arguments, " "), err, said)
	}
	return strings.TrimSpace(string(said))
}

func kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	said, err := suite.Kubectl(t.Context(), arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(said))
}

func helm(t *testing.T, arguments ...string) string {
	t.Helper()
	return command(t, suite.root, environment(), suite.helm, arguments...)
}

// makeKeys writes a new pair of keys, and returns the files of the private and of the public one.
func makeKeys(t *testing.T, name string) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	private, public = filepath.Join(suite.work, name+".key"), filepath.Join(suite.work, name+".pub")
	write(t, private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	write(t, public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: shown}))
	return private, public
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// vulnerabilities writes a database with one made-up vulnerability, of a package that no program imports, and returns its URL.
func vulnerabilities(t *testing.T) string {
	t.Helper()
	const id, modified = "GO-2026-0001", "2026-01-01T00:00:00Z"
	dir := filepath.Join(suite.work, "vulndb")
	for name, content := range map[string]any{
		"index/db.json":      map[string]any{"modified": modified},
		"index/modules.json": []any{map[string]any{"path": "stdlib", "vulns": []any{map[string]any{"id": id, "modified": modified}}}},
		"index/vulns.json":   []any{map[string]any{"id": id, "modified": modified}},
		"ID/" + id + ".json": map[string]any{
			"schema_version": "1.3.1", "id": id, "modified": modified, "published": modified, "details": "It exists in this test only.",
			"affected": []any{map[string]any{
				"package":            map[string]any{"name": "stdlib", "ecosystem": "Go"},
				"ranges":             []any{map[string]any{"type": "SEMVER", "events": []any{map[string]any{"introduced": "0"}}}},
				"ecosystem_specific": map[string]any{"imports": []any{map[string]any{"path": "image/gif", "symbols": []any{"Decode"}}}},
			}},
		},
	} {
		text, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), text)
	}
	return "file://" + dir
}

// serveRegistry starts an empty registry on loopback that keeps layers on disk.
func serveRegistry(t *testing.T) string {
	t.Helper()
	blobs := registry.NewDiskBlobHandler(filepath.Join(suite.work, "blobs"))
	server := httptest.NewServer(registry.New(registry.WithBlobHandler(blobs), registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/refreshkeys"
}

package release

import (
	"archive/tar"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// programs returns the folder with the manager and the token service of the images in the registry.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, program := range []string{"manager", "tokenserver"} {
		reference, err := name.ParseReference(suite.registry + "/" + program + ":" + version)
		if err != nil {
			t.Fatal(err)
		}
		image, err := remote.Image(reference, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
		if err != nil {
			t.Fatal(err)
		}
		content := mutate.Extract(image)
		extract(t, content, "ko-app/"+program, filepath.Join(dir, program))
		_ = content.Close()
	}
	return dir
}

func extract(t *testing.T, content io.Reader, path, to string) {
	t.Helper()
	for files := tar.NewReader(content); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("the image has no %s", path)
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimPrefix(header.Name, "/") != path {
			continue
		}
		program, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o700) //nolint:gosec // a program
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(program, files); err != nil { //nolint:gosec // its size is that of a program
			t.Fatal(err)
		}
		if err := program.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
}

// start runs the manager and a token service of a folder, with the ServiceAccounts of the installation: a cluster without
// nodes runs no pods.
func start(t *testing.T, dir string) {
	t.Helper()
	for _, program := range []string{"manager", "tokenserver"} {
		kubeconfig := filepath.Join(suite.work, program+".kubeconfig")
		if err := suite.ServiceAccountKubeconfig(t.Context(), namespace, "refreshkeys-"+program, kubeconfig); err != nil {
			t.Fatal(err)
		}
		health := address(t, program+"-health")
		args := []string{"--bind-address=" + address(t, "tokenserver-1"), "--shutdown-delay=0"}
		if program == "manager" {
			args = []string{"--metrics-bind-address=" + address(t, "metrics"), "--tls-names=localhost"}
		}
		_, err := suite.Run(t.Context(), cluster.Program{
			Name: program, Binary: filepath.Join(dir, program), Health: "http://" + health + "/readyz",
			Args: append([]string{"--kubeconfig=" + kubeconfig, "--namespace=" + namespace, "--health-probe-bind-address=" + health}, args...),
		})
		if err != nil {
			t.Fatal(err)
		}
		if program == "manager" {
			kubectl(t, "wait", "--for=condition=Ready", "--timeout=5m", "jwtissuer/default")
		}
	}
}

func address(t *testing.T, purpose string) string {
	t.Helper()
	port, err := suite.Port(purpose)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func stop(t *testing.T) {
	t.Helper()
	for _, program := range []string{"tokenserver", "manager"} {
		if process := suite.Process(program); process != nil && process.Running() {
			if err := process.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

// createIssuer creates the default issuer, with the URL of the token service beside this cluster.
func createIssuer(t *testing.T) {
	t.Helper()
	address, err := suite.TokenServerURL(1)
	if err != nil {
		t.Fatal(err)
	}
	applyText(t, "apiVersion: jwt.refreshkeys.dev/v1alpha1\nkind: JWTIssuer\nmetadata: {name: default}\nspec: {url: \""+address+"\"}\n")
}

func applyText(t *testing.T, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "object.yaml")
	write(t, file, []byte(text))
	kubectl(t, "apply", "-f", file)
}

// issue creates a refresh key, and returns its Secret once the key is Ready.
func issue(t *testing.T, name string) map[string][]byte {
	t.Helper()
	applyText(t, "apiVersion: jwt.refreshkeys.dev/v1alpha1\nkind: JWTRefreshKey\nmetadata: {name: "+name+", namespace: default}\nspec: {audience: [\"https://api.example.com\"]}\n")
	kubectl(t, "wait", "--for=condition=Ready", "--timeout=5m", "jwtrefreshkey/"+name)
	return secret(t, name)
}

func secret(t *testing.T, name string) map[string][]byte {
	t.Helper()
	found := struct{ Data map[string][]byte }{}
	if err := json.Unmarshal([]byte(kubectl(t, "get", "secret", name, "--output=json")), &found); err != nil {
		t.Fatal(err)
	}
	return found.Data
}

// exchanges checks that the token of a Secret gets an access token, at the address and with the authority in it.
func exchanges(t *testing.T, secret map[string][]byte) {
	t.Helper()
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(secret["ca.crt"])
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}, Timeout: 5 * time.Minute}
	defer client.CloseIdleConnections()
	answer, err := client.PostForm(string(secret["token-endpoint"]), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {string(secret["token"])}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	got := struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error"`
	}{}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil || got.AccessToken == "" {
		t.Errorf("the exchange gets %d %s (%v)", answer.StatusCode, got.Error, err)
	}
}

// pullable checks that the registry has the images of all Deployments.
func pullable(t *testing.T) {
	t.Helper()
	used := strings.Fields(kubectl(t, "get", "deployments", "--namespace="+namespace, "--output=jsonpath={.items[*].spec.template.spec.containers[*].image}"))
	if len(used) < 2 {
		t.Errorf("the Deployments have the images %v", used)
	}
	for _, image := range used {
		reference, err := name.ParseReference(image)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := remote.Index(reference); err != nil || !strings.HasPrefix(image, suite.registry) {
			t.Errorf("the registry has no image %s: %v", image, err)
		}
	}
}

// applied installs from install.yaml with the registry of this rehearsal, runs the programs of the released images, and
// removes all of it.
func applied(t *testing.T) {
	file := filepath.Join(suite.work, "install.yaml")
	write(t, file, []byte(strings.ReplaceAll(read(t, "install.yaml"), "ghcr.io/refreshkeys", suite.registry)))
	kubectl(t, "apply", "--server-side", "-f", file)
	kubectl(t, "wait", "--for=condition=Established", "--timeout=5m", "crd/jwtissuers.jwt.refreshkeys.dev", "crd/jwtrefreshkeys.jwt.refreshkeys.dev")
	pullable(t)
	createIssuer(t)
	start(t, programs(t))
	exchanges(t, issue(t, "orders"))
	kubectl(t, "delete", "jwtrefreshkey", "--all", "--wait", "--timeout=5m")
	kubectl(t, "delete", "jwtissuer", "--all", "--wait", "--timeout=5m")
	stop(t)
	kubectl(t, "delete", "-f", file, "--wait", "--timeout=10m")
}

var versionsLine = regexp.MustCompile(`(?m)^v0\.1\.0 ([0-9a-f]{40})$`)

// earlierCommit returns the commit of v0.1.0.
func earlierCommit(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(suite.root, "hack/release/versions"))
	if err != nil {
		t.Fatal(err)
	}
	found := versionsLine.FindSubmatch(text)
	if found == nil {
		t.Fatal("hack/release/versions has no commit of v0.1.0")
	}
	return string(found[1])
}

// upgraded installs v0.1.0 from its sources, issues a key, and upgrades to the chart in the registry. What was issued before stays
// as it was, and is accepted.
func upgraded(t *testing.T) {
	before := checkout(t, earlierCommit(t))
	old := t.TempDir()
	for _, program := range []string{"manager", "tokenserver"} {
		if err := cluster.Build(t.Context(), before, "./cmd/"+program, filepath.Join(old, program)); err != nil {
			t.Fatal(err)
		}
	}
	helm(t, "install", "refreshkeys", filepath.Join(before, "charts/refreshkeys"), "--namespace", namespace, "--create-namespace")
	kubectl(t, "wait", "--for=condition=Established", "--timeout=5m", "crd/jwtissuers.jwt.refreshkeys.dev", "crd/jwtrefreshkeys.jwt.refreshkeys.dev")
	createIssuer(t)
	start(t, old)
	issued := issue(t, "orders")
	exchanges(t, issued)
	stop(t)

	helm(t, "upgrade", "refreshkeys", "oci://"+suite.registry+"/charts/refreshkeys", "--version", number, "--plain-http",
		"--namespace", namespace, "--set", "image.registry="+suite.registry)
	pullable(t)
	start(t, programs(t))
	after := secret(t, "orders")
	for _, name := range []string{"token", "ca.crt", "token-endpoint"} {
		if string(after[name]) != string(issued[name]) {
			t.Errorf("%s in the Secret is another one after the upgrade", name)
		}
	}
	exchanges(t, issued)
	exchanges(t, issue(t, "new"))
	if status := kubectl(t, "get", "jwtrefreshkey", "orders", "--output=jsonpath={.status.revision}"); status != "1" {
		t.Errorf("the upgrade has rotated the token: revision %s", status)
	}
	stop(t)
}

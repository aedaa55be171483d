// Package chart renders, installs, upgrades and uninstalls charts/refreshkeys by the real Helm,
// with a real API server.
package chart

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

const (
	release   = "refreshkeys"
	namespace = "refreshkeys-system"
	pollEvery = 100 * time.Millisecond
)

// Third-party kinds of the chart's optional objects, from their own modules.
var foreign = []struct{ module, file string }{
	{"sigs.k8s.io/gateway-api@v1.6.3", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"},
	{"sigs.k8s.io/gateway-api@v1.6.3", "config/crd/standard/gateway.networking.k8s.io_tlsroutes.yaml"},
	{"sigs.k8s.io/gateway-api@v1.6.3", "config/crd/standard/gateway.networking.k8s.io_backendtlspolicies.yaml"},
	{"github.com/cert-manager/cert-manager@v1.21.2", "deploy/crds/cert-manager.io_certificates.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"},
	{"github.com/argoproj/argo-cd/v3@v3.5.7", "manifests/crds/application-crd.yaml"},
}

// suite is what all tests share. They run one after the other: a cluster holds one release.
var suite struct {
	*cluster.Cluster
	root string
	// helm is Helm 4, and helm3 the last of Helm 3.
	helm, helm3 string
	// version is what VERSION says.
	version string
}

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &suite.Cluster, prepare)) }

// prepare builds both Helms, and installs the third-party kinds.
func prepare(ctx context.Context, _ *cluster.Cluster) (err error) {
	if suite.root, err = cluster.RepositoryRoot(); err != nil {
		return err
	}
	version, err := os.ReadFile(filepath.Join(suite.root, "VERSION"))
	if err != nil {
		return err
	}
	suite.version = strings.TrimSpace(string(version))
	for folder, into := range map[string]*string{"helm": &suite.helm, "helm3": &suite.helm3} {
		built, err := exec.CommandContext(ctx, filepath.Join(suite.root, "hack", folder, "build.sh")).Output()
		if err != nil {
			return fmt.Errorf("build %s: %w", folder, err)
		}
		*into = strings.TrimSpace(string(built))
	}
	return installForeign(ctx)
}

// newHarness returns the clients and waits of a test. Waits look seldom: most of them run Helm or kubectl.
func newHarness(t *testing.T) *harness.Harness {
	t.Helper()
	h := harness.On(t, suite.Config(), clock.RealClock{})
	h.SetDefaultEventuallyPollingInterval(pollEvery)
	return h
}

func installForeign(ctx context.Context) error {
	for _, each := range foreign {
		out, err := output(exec.CommandContext(ctx, "go", "mod", "download", "-json", each.module))
		if err != nil {
			return err
		}
		var found struct{ Dir string }
		if err := json.Unmarshal([]byte(out), &found); err != nil {
			return err
		}
		if _, err := suite.Kubectl(ctx, "apply", "--server-side", "-f", filepath.Join(found.Dir, each.file)); err != nil {
			return err
		}
	}
	_, err := suite.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout=1m", "crd", "--all")
	return err
}

// output is what a command prints; what it complains of is in the error.
func output(command *exec.Cmd) (string, error) {
	var out, complaint bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaint
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), nil
}

// helm runs Helm 4 for this cluster, with nothing of the user's own set-up.
func helm(ctx context.Context, arguments ...string) (string, error) {
	return runHelm(ctx, suite.helm, arguments...)
}

func runHelm(ctx context.Context, binary string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, binary, arguments...)
	command.Dir = suite.root
	command.Env = append(os.Environ(), "KUBECONFIG="+suite.Kubeconfig(),
		"HELM_CACHE_HOME="+filepath.Join(suite.Dir(), "helm"), "HELM_CONFIG_HOME="+filepath.Join(suite.Dir(), "helm"),
		"HELM_DATA_HOME="+filepath.Join(suite.Dir(), "helm"))
	return output(command)
}

func kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := suite.Kubectl(t.Context(), arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// render is the chart with values, which are YAML; later ones are merged over earlier ones.
func render(t *testing.T, values ...string) ([]*unstructured.Unstructured, error) {
	t.Helper()
	return renderWith(t, suite.helm, values...)
}

func renderWith(t *testing.T, binary string, values ...string) ([]*unstructured.Unstructured, error) {
	t.Helper()
	arguments := []string{"template", release, "charts/refreshkeys", "--namespace", namespace}
	for _, each := range values {
		arguments = append(arguments, "--values", valuesFile(t, each))
	}
	out, err := runHelm(t.Context(), binary, arguments...)
	if err != nil {
		return nil, err
	}
	return objects(t, out), nil
}

func valuesFile(t *testing.T, values string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func objects(t *testing.T, text string) (all []*unstructured.Unstructured) {
	t.Helper()
	for _, document := range strings.Split("\n"+text, "\n---") {
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(document), &object.Object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if len(object.Object) > 0 {
			all = append(all, object)
		}
	}
	return all
}

func name(object *unstructured.Unstructured) string {
	return object.GetKind() + " " + strings.TrimPrefix(object.GetNamespace()+"/"+object.GetName(), "/")
}

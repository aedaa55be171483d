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

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/refreshkeys/refreshkeys/hack/cluster"
)

const (
	release   = "refreshkeys"
	namespace = "refreshkeys-system"
	patience  = time.Minute
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
}

// suite is what all tests share. They run one after the other: a cluster holds one release.
var suite struct {
	root, helm, scratch string
	cluster             *cluster.Cluster
	admin               client.Client
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintf(os.Stderr, "chart: %v\n", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctrl.SetLogger(logr.Discard())
	if suite.root, err = cluster.RepositoryRoot(); err != nil {
		return 1, err
	}
	built, err := exec.Command(filepath.Join(suite.root, "hack/helm/build.sh")).Output()
	if err != nil {
		return 1, fmt.Errorf("build helm: %w", err)
	}
	suite.helm = strings.TrimSpace(string(built))
	if suite.scratch, err = os.MkdirTemp("", "chart-"); err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(suite.scratch) }()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	suite.cluster, err = cluster.Start(ctx, cluster.Options{Dir: filepath.Join(suite.scratch, "cluster"), ControllerManager: true})
	if err != nil {
		return 1, err
	}
	defer func() { _ = suite.cluster.Stop(context.Background()) }()
	config := suite.cluster.Config()
	if suite.admin, err = client.New(config, client.Options{}); err != nil {
		return 1, err
	}
	if err := installForeign(ctx); err != nil {
		return 1, err
	}
	return m.Run(), nil
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
		if _, err := suite.cluster.Kubectl(ctx, "apply", "--server-side", "-f", filepath.Join(found.Dir, each.file)); err != nil {
			return err
		}
	}
	_, err := suite.cluster.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout=1m", "crd", "--all")
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

// helm runs it for this cluster, with nothing of the user's own set-up.
func helm(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, suite.helm, arguments...)
	command.Dir = suite.root
	command.Env = append(os.Environ(), "KUBECONFIG="+suite.cluster.Kubeconfig(),
		"HELM_CACHE_HOME="+filepath.Join(suite.scratch, "helm"), "HELM_CONFIG_HOME="+filepath.Join(suite.scratch, "helm"),
		"HELM_DATA_HOME="+filepath.Join(suite.scratch, "helm"))
	return output(command)
}

func kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := suite.cluster.Kubectl(t.Context(), arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// render is the chart with values, which are YAML.
func render(t *testing.T, values string, flags ...string) ([]*unstructured.Unstructured, error) {
	t.Helper()
	arguments := append([]string{"template", release, "charts/refreshkeys", "--namespace", namespace, "--values", valuesFile(t, values)}, flags...)
	out, err := helm(t.Context(), arguments...)
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

func until(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	said := ""
	for began := time.Now(); time.Since(began) < patience; time.Sleep(pollEvery) {
		var reached bool
		if reached, said = done(); reached {
			return
		}
	}
	t.Fatalf("not in time: %s: %s", what, said)
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/node"
)

const (
	release     = "refreshkeys"
	nextVersion = "v0.1.1-next"

	operatorNamespaceManifest = `apiVersion: v1
kind: Namespace
metadata:
  name: ` + operatorNamespace + `
  labels: {pod-security.kubernetes.io/enforce: restricted}
`
)

// installation is the operator in the cluster, which Helm installed.
type installation struct {
	node       *node.Node
	helm       string
	dir, chart string
}

func newInstallation(on *node.Node, a insideArguments) (*installation, error) {
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return nil, err
	}
	return &installation{node: on, helm: a.helm, dir: a.dir, chart: filepath.Join(root, "charts", "refreshkeys")}, nil
}

// install installs the chart with its default values, in a namespace where Pod Security holds every pod
// to `restricted`.
func (i *installation) install(ctx context.Context) error {
	manifest := filepath.Join(i.dir, "namespace.yaml")
	if err := os.WriteFile(manifest, []byte(operatorNamespaceManifest), 0o600); err != nil {
		return err
	}
	if _, err := i.node.Cluster.Kubectl(ctx, "apply", "--server-side", "-f", manifest); err != nil {
		return err
	}
	if err := i.runHelm(ctx, "install", i.chart); err != nil {
		return err
	}
	if _, err := i.node.Cluster.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout="+rolloutWithin.String(),
		"crd/jwtissuers.jwt.refreshkeys.dev", "crd/jwtrefreshkeys.jwt.refreshkeys.dev"); err != nil {
		return err
	}
	return i.rolledOut(ctx)
}

// upgrade upgrades to a later version of chart and images, with fast propagation and restarts.
func (i *installation) upgrade(ctx context.Context) error {
	later := filepath.Join(i.dir, "later")
	if err := os.CopyFS(later, os.DirFS(i.chart)); err != nil {
		return err
	}
	file := filepath.Join(later, "Chart.yaml")
	chart, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before := regexp.MustCompile(`(?m)^appVersion: (.*)$`).FindSubmatch(chart)
	if before == nil {
		return fmt.Errorf("%s has no appVersion", file)
	}
	chart = regexp.MustCompile(`(?m)^version: .*$`).ReplaceAll(chart, []byte("version: "+strings.TrimPrefix(nextVersion, "v")))
	chart = regexp.MustCompile(`(?m)^appVersion: .*$`).ReplaceAll(chart, []byte("appVersion: "+nextVersion))
	if err := os.WriteFile(file, chart, 0o600); err != nil {
		return err
	}
	for _, image := range []string{"manager", "tokenserver"} {
		name := "ghcr.io/refreshkeys/" + image + ":"
		if _, err := i.node.Ctr(ctx, "images", "tag", name+string(before[1]), name+nextVersion); err != nil {
			return err
		}
	}
	if err := i.runHelm(ctx, "upgrade", later, "--set=fastPropagation.enabled=true", "--set=restarts.enabled=true"); err != nil {
		return err
	}
	return i.rolledOut(ctx)
}

func (i *installation) rolledOut(ctx context.Context) error {
	for _, deployment := range []string{"refreshkeys-manager", "refreshkeys-tokenserver"} {
		_, err := i.node.Cluster.Kubectl(ctx, "--namespace="+operatorNamespace, "rollout", "status", "deployment/"+deployment, "--timeout="+rolloutWithin.String())
		if err != nil {
			return err
		}
	}
	return nil
}

// runHelm runs helm without the user's own configuration.
func (i *installation) runHelm(ctx context.Context, verb, chart string, flags ...string) error {
	command := exec.CommandContext(ctx, i.helm, append([]string{verb, release, chart, "--namespace=" + operatorNamespace}, flags...)...)
	own := filepath.Join(i.dir, "helm")
	command.Env = append(os.Environ(), "KUBECONFIG="+i.node.Cluster.Kubeconfig(),
		"HELM_CACHE_HOME="+own, "HELM_CONFIG_HOME="+own, "HELM_DATA_HOME="+own)
	var complaint bytes.Buffer
	command.Stderr = &complaint
	if err := command.Run(); err != nil {
		return fmt.Errorf("helm %s: %w\n%s", verb, err, strings.TrimSpace(complaint.String()))
	}
	return nil
}

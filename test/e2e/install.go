package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/refreshkeys/refreshkeys/hack/cluster"
	"github.com/refreshkeys/refreshkeys/hack/node"
)

// variant is how an installation is set up.
type variant struct{ components []string }

var (
	asShipped = variant{}
	// withHelp touches pods and restarts workloads after a rotation.
	withHelp = variant{components: []string{"fast-propagation", "restarts"}}
)

// installation is the operator in the cluster.
type installation struct {
	node *node.Node
	dir  string
}

// apply installs the operator, or changes how it is set up, and waits until it is rolled out.
func (i *installation) apply(ctx context.Context, v variant) error {
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return err
	}
	overlay := filepath.Join(i.dir, "install")
	if err := os.MkdirAll(overlay, 0o700); err != nil {
		return err
	}
	config, err := filepath.Rel(overlay, filepath.Join(root, "config"))
	if err != nil {
		return err
	}
	text := fmt.Sprintf("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [%s/default]\ncomponents:\n", config)
	for _, component := range v.components {
		text += fmt.Sprintf("- %s/%s\n", config, component)
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	if _, err := i.node.Cluster.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-k", overlay); err != nil {
		return err
	}
	for _, deployment := range []string{"refreshkeys-manager", "refreshkeys-tokenserver"} {
		_, err := i.node.Cluster.Kubectl(ctx, "--namespace="+operatorNamespace, "rollout", "status", "deployment/"+deployment, "--timeout="+rolloutWithin.String())
		if err != nil {
			return err
		}
	}
	return nil
}

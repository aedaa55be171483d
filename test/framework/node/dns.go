package node

import (
	"context"
	_ "embed"
)

const dnsImage = "localhost/coredns:e2e"

//go:embed dns.yaml
var dnsManifest string

// startDNS runs CoreDNS as a Deployment in kube-system, behind a Service.
func (n *Node) startDNS(ctx context.Context) error {
	if err := n.LoadProgram(ctx, dnsImage, n.binary("coredns")); err != nil {
		return err
	}
	manifest, err := n.write("dns.yaml", dnsManifest)
	if err != nil {
		return err
	}
	if _, err := n.Cluster.Kubectl(ctx, "apply", "--server-side", "-f", manifest); err != nil {
		return err
	}
	_, err = n.Cluster.Kubectl(ctx, "--namespace=kube-system", "rollout", "status", "deployment/coredns", "--timeout="+readyWithin.String())
	return err
}

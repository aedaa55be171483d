// Package node runs a Kubernetes cluster of one node: the control plane of package cluster,
// kube-scheduler, containerd, kubelet, kube-proxy and CoreDNS, so that pods run as in
// any cluster. It must run inside the namespaces of package isolation, since it uses the addresses,
// mounts and kernel settings of a whole machine.
package node

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// Name is the node's name.
const Name = "node"

// The addresses exist only inside the network namespace.
const (
	address        = "10.99.0.1"
	podNetwork     = "10.244.0.0/24"
	clusterDomain  = "cluster.local"
	dnsAddress     = "10.0.0.10"
	kubeletHealth  = "127.0.0.1:10248"
	proxyHealth    = "127.0.0.1:10256"
	schedulerPort  = "10259"
	proxyMetrics   = "127.0.0.1:10249"
	readyWithin    = 2 * time.Minute
	pollReady      = 200 * time.Millisecond
	filePermission = 0o600
)

// Options configure a node.
type Options struct {
	// Dir holds all files of the node.
	Dir string
	// Binaries is the output folder of hack/node/build.sh.
	Binaries string
	// Log gets a line for each part that has started.
	Log io.Writer
}

// Node is a running node with its control plane.
type Node struct {
	Cluster *cluster.Cluster
	// Client acts as the administrator.
	Client kubernetes.Interface
	// Kubelet and Containerd are the parts that tests may stop and start.
	Kubelet, Containerd *cluster.Process

	dir, binaries string
	log           io.Writer
}

// Start starts a node with its control plane, and returns when pods can run and find
// Services by name.
func Start(ctx context.Context, options Options) (*Node, error) {
	n := &Node{dir: options.Dir, binaries: options.Binaries, log: options.Log}
	if err := n.checkBinaries(); err != nil {
		return nil, err
	}
	if err := n.prepareMachine(); err != nil {
		return nil, err
	}
	if err := n.startControlPlane(ctx); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"kube-scheduler", n.startScheduler},
		{"containerd", n.startContainerd},
		{"kubelet", n.startKubelet},
		{"the node", n.awaitReady},
		{"kube-proxy", n.startProxy},
		{"CoreDNS", n.startDNS},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return n, fmt.Errorf("%s: %w", step.what, err)
		}
		fmt.Fprintf(n.log, "%s is up after %.1fs\n", step.what, time.Since(began).Seconds())
	}
	return n, nil
}

func (n *Node) checkBinaries() error {
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc", "ptp", "host-local", "loopback", "coredns", "pause"} {
		if _, err := os.Stat(n.binary(name)); err != nil {
			return fmt.Errorf("%w: run hack/node/build.sh", err)
		}
	}
	return nil
}

func (n *Node) binary(name string) string { return filepath.Join(n.binaries, name) }

func (n *Node) path(parts ...string) string {
	return filepath.Join(append([]string{n.dir}, parts...)...)
}

// write writes a file of the node, creates its folder, and returns its path.
func (n *Node) write(name, content string) (string, error) {
	path := n.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(content), filePermission)
}

// PodLogs is the folder in which the kubelet keeps what pods print.
func (n *Node) PodLogs() string { return n.path("pod-logs") }

package node

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// startControlPlane starts a control plane for a node: pods reach it as the Service
// `kubernetes`, all its controllers run, and the Node authorizer limits the node's rights.
func (n *Node) startControlPlane(ctx context.Context) error {
	assets, err := cluster.FindAssets()
	if err != nil {
		return err
	}
	dir := n.path("cluster")
	pki := func(file string) string { return n.path("cluster", "pki", file) }
	n.Cluster, err = cluster.Start(ctx, cluster.Options{
		Dir:               dir,
		Assets:            assets,
		ControllerManager: true,
		Log:               n.log,
		APIServerArgs: []string{
			"--bind-address=0.0.0.0",
			"--advertise-address=" + address,
			"--endpoint-reconciler-type=lease",
			// In addition to RBAC.
			"--authorization-mode=Node",
			"--enable-admission-plugins=NodeRestriction",
			"--kubelet-preferred-address-types=InternalIP",
			"--kubelet-client-certificate=" + pki("admin.crt"),
			"--kubelet-client-key=" + pki("admin.key"),
			"--kubelet-certificate-authority=" + pki("ca.crt"),
		},
		ControllerManagerArgs: []string{"--controllers=*"},
	})
	if err != nil {
		return err
	}
	n.Client, err = kubernetes.NewForConfig(n.Cluster.Config())
	return err
}

func (n *Node) startScheduler(ctx context.Context) error {
	kubeconfig := n.path("kube-scheduler.kubeconfig")
	if err := n.Cluster.CertificateKubeconfig(kubeconfig, "system:kube-scheduler"); err != nil {
		return err
	}
	certificate, key, err := n.Cluster.ServingCertificate("kube-scheduler", "127.0.0.1")
	if err != nil {
		return err
	}
	_, err = n.Cluster.Run(ctx, cluster.Program{
		Name:   "kube-scheduler",
		Binary: n.kubernetesBinary("kube-scheduler"),
		Args: []string{
			"--kubeconfig=" + kubeconfig,
			"--leader-elect=false",
			"--bind-address=127.0.0.1",
			"--secure-port=" + schedulerPort,
			"--tls-cert-file=" + certificate,
			"--tls-private-key-file=" + key,
		},
		Health: "https://127.0.0.1:" + schedulerPort + "/healthz",
	})
	return err
}

// awaitReady returns when the node is Ready.
func (n *Node) awaitReady(ctx context.Context) error {
	var said string
	err := wait.PollUntilContextTimeout(ctx, pollReady, readyWithin, true, func(ctx context.Context) (ready bool, _ error) {
		ready, said = n.ready(ctx)
		return ready, nil
	})
	if err != nil {
		return fmt.Errorf("not ready after %s: %s", readyWithin, said)
	}
	return nil
}

func (n *Node) ready(ctx context.Context) (ready bool, said string) {
	node, err := n.Client.CoreV1().Nodes().Get(ctx, Name, metav1.GetOptions{})
	if err != nil {
		return false, err.Error()
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue, condition.Message
		}
	}
	return false, "it has no Ready condition"
}

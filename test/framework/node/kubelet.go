package node

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

func (n *Node) kubernetesBinary(name string) string {
	return cluster.Binary(filepath.Dir(n.Cluster.KubectlPath()), name)
}

func (n *Node) startKubelet(ctx context.Context) error {
	kubeconfig := n.path("kubelet.kubeconfig")
	if err := n.Cluster.CertificateKubeconfig(kubeconfig, "system:node:"+Name, "system:nodes"); err != nil {
		return err
	}
	certificate, key, err := n.Cluster.ServingCertificate("kubelet", Name, address)
	if err != nil {
		return err
	}
	resolv, err := n.write("resolv.conf", "# Names outside the cluster are not known here.\n")
	if err != nil {
		return err
	}
	config, err := n.write("kubelet.yaml", fmt.Sprintf(kubeletConfig,
		address, n.Cluster.Authority(), certificate, key, "unix://"+n.socket(), dnsAddress, clusterDomain, resolv,
		n.path("volume-plugins"), n.PodLogs()))
	if err != nil {
		return err
	}
	n.Kubelet, err = n.Cluster.Run(ctx, cluster.Program{
		Name:   "kubelet",
		Binary: n.kubernetesBinary("kubelet"),
		Args: []string{
			"--config=" + config,
			"--kubeconfig=" + kubeconfig,
			"--root-dir=" + n.path("kubelet"),
			"--hostname-override=" + Name,
			"--node-ip=" + address,
		},
		Health: "http://" + kubeletHealth + "/healthz",
	})
	return err
}

// kubeletConfig keeps the default syncFrequency: the time that an updated Secret takes to
// reach a file in a pod is measured here.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %s
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %s}
authorization: {mode: Webhook}
tlsCertFile: %s
tlsPrivateKeyFile: %s
containerRuntimeEndpoint: %s
clusterDNS: [%s]
clusterDomain: %s
resolvConf: %s
volumePluginDir: %s
podLogsDir: %s
failCgroupV1: false
cgroupDriver: cgroupfs
failSwapOn: false
makeIPTablesUtilChains: false
oomScoreAdj: 0
# The machine's disk is other people's as well: pods are not put out because it is full.
evictionHard: {memory.available: "0%%", nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.available: "0%%"}
imageGCHighThresholdPercent: 100
`

func (n *Node) startProxy(ctx context.Context) error {
	kubeconfig := n.path("kube-proxy.kubeconfig")
	if err := n.Cluster.CertificateKubeconfig(kubeconfig, "system:kube-proxy"); err != nil {
		return err
	}
	config, err := n.write("kube-proxy.yaml", fmt.Sprintf(proxyConfig, kubeconfig, podNetwork, Name, proxyHealth, proxyMetrics))
	if err != nil {
		return err
	}
	_, err = n.Cluster.Run(ctx, cluster.Program{
		Name:   "kube-proxy",
		Binary: n.kubernetesBinary("kube-proxy"),
		Args:   []string{"--config=" + config},
		Health: "http://" + proxyHealth + "/healthz",
	})
	return err
}

// proxyConfig does not change the kernel's connection tracking, which belongs to the machine.
const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: %s}
clusterCIDR: %s
hostnameOverride: %s
healthzBindAddress: %s
metricsBindAddress: %s
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`

package cluster

import (
	"path/filepath"
	"strconv"
	"strings"
)

// Names of the control plane's programs, of their logs and ports.
const (
	etcdName              = "etcd"
	apiServerName         = "kube-apiserver"
	controllerManagerName = "kube-controller-manager"
	kubectlName           = "kubectl"
)

const serviceAccountIssuer = "https://kubernetes.default.svc.cluster.local"

func (c *Cluster) etcdProgram() Program {
	url := c.url(etcdName)
	args := []string{
		"--data-dir=" + filepath.Join(c.dir, "etcd"),
		"--listen-client-urls=" + url,
		"--advertise-client-urls=" + url,
		// etcd must listen for peers even if it has none.
		"--listen-peer-urls=http://127.0.0.1:0",
		// The gateway would dial etcd with the serving certificate, which is not a client certificate.
		"--enable-grpc-gateway=false",
		"--client-cert-auth",
		"--trusted-ca-file=" + c.pki().certificate(authorityIdentity),
		"--cert-file=" + c.pki().certificate(servingIdentity),
		"--key-file=" + c.pki().key(servingIdentity),
	}
	if !c.detached {
		// Only a cluster that outlives this process must also survive a crash of
		// the machine.
		args = append(args, "--unsafe-no-fsync")
	}
	return Program{Name: etcdName, Binary: c.asset(etcdName), Args: args, Health: url + "/health"}
}

func (c *Cluster) apiServerProgram(extra []string) Program {
	args := []string{
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(c.ports[apiServerName]),
		// Endpoints of the Service `kubernetes` cannot be on loopback.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.0.0.0/24",
		// Without this flag, a stop waits a minute for clients that watch.
		"--shutdown-send-retry-after",
		"--tls-cert-file=" + c.pki().certificate(servingIdentity),
		"--tls-private-key-file=" + c.pki().key(servingIdentity),
		"--client-ca-file=" + c.pki().certificate(authorityIdentity),
		"--authorization-mode=RBAC",
		"--service-account-issuer=" + serviceAccountIssuer,
		"--api-audiences=" + serviceAccountIssuer,
		"--service-account-signing-key-file=" + c.pki().key(serviceAccountKey),
		"--service-account-key-file=" + c.pki().key(serviceAccountKey),
		"--etcd-servers=" + c.url(etcdName),
		"--etcd-cafile=" + c.pki().certificate(authorityIdentity),
		"--etcd-certfile=" + c.pki().certificate(etcdClientIdentity),
		"--etcd-keyfile=" + c.pki().key(etcdClientIdentity),
	}
	program := Program{
		Name:   apiServerName,
		Binary: c.asset(apiServerName),
		Args:   append(args, extra...),
		Health: c.url(apiServerName) + "/readyz",
	}
	if !c.detached {
		program.Env = FewCollections()
	}
	return program
}

// FewCollections returns variables that let an API server of a test collect garbage less often. That saves a tenth of its CPU
// time, which is most of the CPU time of a suite. Up to the limit, it uses more memory.
func FewCollections() []string { return []string{"GOGC=300", "GOMEMLIMIT=700MiB"} }

func (c *Cluster) controllerManagerProgram(extra []string) Program {
	// The controllers that a client can depend on. There are no nodes, so controllers
	// of nodes, volumes and load balancers are not needed.
	controllers := []string{
		"garbage-collector-controller",
		"namespace-controller",
		"serviceaccount-controller",
		"serviceaccount-token-controller",
		"root-ca-certificate-publisher-controller",
		"clusterrole-aggregation-controller",
		"validatingadmissionpolicy-status-controller",
		"deployment-controller",
		"replicaset-controller",
		"statefulset-controller",
		"daemonset-controller",
	}
	args := []string{
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(c.ports[controllerManagerName]),
		"--tls-cert-file=" + c.pki().certificate(servingIdentity),
		"--tls-private-key-file=" + c.pki().key(servingIdentity),
		"--kubeconfig=" + c.controllerManagerKubeconfig(),
		"--controllers=" + strings.Join(controllers, ","),
		"--leader-elect=false",
		"--use-service-account-credentials",
		"--service-account-private-key-file=" + c.pki().key(serviceAccountKey),
		"--root-ca-file=" + c.pki().certificate(authorityIdentity),
		// The default is a system folder.
		"--flex-volume-plugin-dir=" + filepath.Join(c.dir, "volume-plugins"),
	}
	return Program{
		Name:   controllerManagerName,
		Binary: c.asset(controllerManagerName),
		Args:   append(args, extra...),
		// It reports "ok" long before it has started its controllers; until then, it
		// exits if it loses the API server.
		Health:     c.url(controllerManagerName) + "/healthz?verbose",
		HealthSays: controllers[0],
	}
}

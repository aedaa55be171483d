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
		// A cluster of one has no peers, but must listen for them.
		"--listen-peer-urls=http://127.0.0.1:0",
		// It would dial etcd with the serving certificate, which is no client's.
		"--enable-grpc-gateway=false",
		"--client-cert-auth",
		"--trusted-ca-file=" + c.pki().certificate(authorityIdentity),
		"--cert-file=" + c.pki().certificate(servingIdentity),
		"--key-file=" + c.pki().key(servingIdentity),
	}
	if !c.detached {
		// Only a cluster that is to outlive this process must outlive a crash of
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
		// Endpoints of the service `kubernetes` cannot be on loopback.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.0.0.0/24",
		// Without it a stop waits a minute for clients that watch.
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
	return Program{
		Name:   apiServerName,
		Binary: c.asset(apiServerName),
		Args:   append(args, extra...),
		Health: c.url(apiServerName) + "/readyz",
	}
}

func (c *Cluster) controllerManagerProgram(extra []string) Program {
	// Those whose absence a client could notice. There are no nodes, so what
	// deals with nodes, volumes and load balancers would only cost.
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
		// Its default is a folder of the system's.
		"--flex-volume-plugin-dir=" + filepath.Join(c.dir, "volume-plugins"),
	}
	return Program{
		Name:   controllerManagerName,
		Binary: c.asset(controllerManagerName),
		Args:   append(args, extra...),
		// It says "ok" long before it has made its controllers; until then it
		// ends when it loses the API server.
		Health:     c.url(controllerManagerName) + "/healthz?verbose",
		HealthSays: controllers[0],
	}
}

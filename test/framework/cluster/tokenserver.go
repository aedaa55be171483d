package cluster

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	tokenServerName    = "tokenserver"
	tokenServerAccount = "refreshkeys-tokenserver"
	// tokenServerHost is a host in the token service's certificate, in addition to the hosts of issuers.
	tokenServerHost = "localhost"
)

// TokenServerURL returns the URL of the n-th replica of the token service, from 1; it is known before
// the replica runs.
func (c *Cluster) TokenServerURL(n int) (string, error) {
	port, err := c.Port(fmt.Sprintf("%s-%d", tokenServerName, n))
	return fmt.Sprintf("https://%s:%d", tokenServerHost, port), err
}

// RunTokenServers builds the token service and runs replicas of it beside the control
// plane, with the rights of its own ServiceAccount only. The manager must run
// already: it creates the serving certificate.
func RunTokenServers(ctx context.Context, c *Cluster, replicas int, flags ...string) ([]*Process, error) {
	binary, err := build(ctx, tokenServerName)
	if err != nil {
		return nil, err
	}
	return RunTokenServersOf(ctx, c, binary, replicas, flags...)
}

// RunTokenServersOf is RunTokenServers with a binary that exists, such as that of an earlier release.
func RunTokenServersOf(ctx context.Context, c *Cluster, binary string, replicas int, flags ...string) ([]*Process, error) {
	kubeconfig := filepath.Join(c.Dir(), "tokenserver.kubeconfig")
	if err := c.ServiceAccountKubeconfig(ctx, managerNamespace, tokenServerAccount, kubeconfig); err != nil {
		return nil, err
	}
	if err := announceTokenServers(ctx, c, replicas); err != nil {
		return nil, err
	}
	var processes []*Process
	for n := 1; n <= replicas; n++ {
		name := fmt.Sprintf("%s-%d", tokenServerName, n)
		port, err := c.Port(name)
		if err != nil {
			return nil, err
		}
		health, err := c.Port(name + "-health")
		if err != nil {
			return nil, err
		}
		process, err := c.Run(ctx, Program{
			Name:   name,
			Binary: binary,
			Args: append([]string{
				"--kubeconfig=" + kubeconfig,
				"--namespace=" + managerNamespace,
				"--bind-address=" + loopback(port),
				"--health-probe-bind-address=" + loopback(health),
				// There is no load balancer.
				"--shutdown-delay=0",
			}, flags...),
			Health: "http://" + loopback(health) + "/readyz",
		})
		if err != nil {
			return nil, err
		}
		processes = append(processes, process)
	}
	return processes, nil
}

// announceTokenServers makes the Service by which `kubectl refreshkey` finds the replicas, which are no pods: it names this machine, and
// a port for each replica.
func announceTokenServers(ctx context.Context, c *Cluster, replicas int) error {
	var manifest strings.Builder
	fmt.Fprintf(&manifest, outsideService, managerNamespace, tokenServerHost)
	for n := 1; n <= replicas; n++ {
		port, err := c.Port(fmt.Sprintf("%s-%d", tokenServerName, n))
		if err != nil {
			return err
		}
		fmt.Fprintf(&manifest, "  - {name: replica-%d, port: %d}\n", n, port)
	}
	file := filepath.Join(c.Dir(), "tokenserver-service.yaml")
	if err := os.WriteFile(file, []byte(manifest.String()), 0o600); err != nil {
		return err
	}
	_, err := c.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", file)
	return err
}

const outsideService = `apiVersion: v1
kind: Service
metadata:
  name: tokenserver-on-this-machine
  namespace: %s
  labels: {app.kubernetes.io/component: tokenserver}
spec:
  type: ExternalName
  externalName: %s
  ports:
`

// TokenServiceCA writes the certificate authority of the token service to a file, and returns its path.
func TokenServiceCA(ctx context.Context, c *Cluster) (string, error) {
	encoded, err := c.Kubectl(ctx, "get", "secret", "refreshkeys-tokenserver-tls", "--namespace="+managerNamespace, `--output=jsonpath={.data.ca\.crt}`)
	if err != nil {
		return "", err
	}
	bundle, err := base64.StdEncoding.DecodeString(string(encoded))
	if err != nil {
		return "", err
	}
	file := filepath.Join(c.Dir(), "tokenservice-ca.crt")
	return file, os.WriteFile(file, bundle, 0o600)
}

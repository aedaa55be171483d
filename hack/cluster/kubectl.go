package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// KubectlPath is the kubectl that belongs to this cluster.
func (c *Cluster) KubectlPath() string { return c.asset(kubectlName) }

// Kubectl runs kubectl as the administrator and returns what it prints. What it
// complains of is in the error.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) ([]byte, error) {
	// Nothing of the user's own kubectl set-up is read or written.
	args = append([]string{"--kubeconfig=" + c.Kubeconfig(), "--cache-dir=" + filepath.Join(c.dir, "kubectl-cache")}, args...)
	command := exec.CommandContext(ctx, c.KubectlPath(), args...)
	command.Env = append(os.Environ(), "KUBERC=off", "KUBECTL_KUBERC=false")
	var out, complaint bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaint
	if err := command.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args[2:], " "), err, strings.TrimSpace(complaint.String()))
	}
	return out.Bytes(), nil
}

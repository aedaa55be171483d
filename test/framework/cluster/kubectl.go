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

// KubectlPath returns the path of the cluster's kubectl.
func (c *Cluster) KubectlPath() string { return c.asset(kubectlName) }

// Kubectl runs kubectl as the administrator and returns its output. The error contains
// its error output.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) ([]byte, error) {
	// The user's own kubectl configuration is neither read nor written.
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

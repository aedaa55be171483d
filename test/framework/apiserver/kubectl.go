package apiserver

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Apply runs `kubectl apply --server-side -k` with a folder, which is relative
// to the repository's root, and waits for the CRDs in it.
func (s *Server) Apply(ctx context.Context, kustomization string) error {
	dir := kustomization
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(s.Root, dir)
	}
	// Force conflicts with an earlier installation, by Helm or by hand.
	applied, err := s.Kubectl(ctx, "", "apply", "--server-side", "--force-conflicts", "--output=name", "-k", dir)
	if err != nil {
		return err
	}
	var definitions []string
	for name := range strings.Lines(applied) {
		if strings.HasPrefix(name, "customresourcedefinition.") {
			definitions = append(definitions, strings.TrimSpace(name))
		}
	}
	if len(definitions) == 0 {
		return nil
	}
	_, err = s.Kubectl(ctx, "", append([]string{"wait", "--for=condition=Established", "--timeout=1m"}, definitions...)...)
	return err
}

// Shell runs a shell script as the administrator, in a folder, and returns its output.
func (s *Server) Shell(ctx context.Context, dir, script string) (string, error) {
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	command.Dir = dir
	command.Env = append(os.Environ(), "KUBERC=off", "HOME="+dir)
	if !s.Existing() {
		path := filepath.Dir(s.kubectl) + string(filepath.ListSeparator) + os.Getenv("PATH")
		command.Env = append(command.Env, "PATH="+path, "KUBECONFIG="+s.kubeconfig())
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("the script fails: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Kubectl runs kubectl as the administrator, with stdin as its input, and returns
// its output. The error contains kubectl's standard error.
func (s *Server) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	// The user's kubectl cache and preferences must not affect the test.
	flags := []string{"--cache-dir=" + filepath.Join(s.scratch, "cache")}
	if !s.Existing() {
		flags = append(flags, "--kubeconfig="+s.kubeconfig())
	}
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, s.kubectl, append(flags, args...)...)
	command.Env = append(os.Environ(), "KUBERC=off")
	command.Stdin = strings.NewReader(stdin)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

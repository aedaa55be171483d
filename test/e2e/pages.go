package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

// here is the name in `run by` for commands that need pods of the operator.
const here = "e2e"

// pages runs the commands of the documentation that need pods.
func (s *stage) pages(ctx context.Context) (string, error) {
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return "", err
	}
	ran := 0
	for _, path := range found {
		page, err := guide.Read(path)
		if err != nil {
			return "", err
		}
		for _, step := range page.Steps {
			if step.Elsewhere != here {
				continue
			}
			if err := s.shell(ctx, step.Commands); err != nil {
				return "", fmt.Errorf("%s:%d: %w", path, step.Line, err)
			}
			ran++
		}
	}
	if ran == 0 {
		return "", fmt.Errorf("no page assigns its commands to %s", here)
	}
	return fmt.Sprintf("%d blocks of commands", ran), nil
}

// shell runs commands as a cluster administrator.
func (s *stage) shell(ctx context.Context, commands string) error {
	control := s.node.Cluster
	tools := filepath.Join(s.dir, "tools")
	if err := os.MkdirAll(tools, 0o700); err != nil {
		return err
	}
	kubectl := filepath.Join(tools, "kubectl")
	if err := os.Symlink(control.KubectlPath(), kubectl); err != nil && !os.IsExist(err) {
		return err
	}
	shell := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", commands)
	shell.Env = append(os.Environ(), "PATH="+tools+string(filepath.ListSeparator)+os.Getenv("PATH"), "KUBECONFIG="+control.Kubeconfig(), "HOME="+tools)
	if out, err := shell.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", commands, err, out)
	}
	return nil
}

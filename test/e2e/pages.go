package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

// here is the name in `run by` for commands that need pods of the operator.
const here = "test/e2e"

// pages runs the commands of the documentation that need pods.
func (s *harness) pages(ctx context.Context) (string, error) {
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return "", err
	}
	shell, err := s.shell()
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
		steps := page.Of(here)
		if len(steps) == 0 {
			continue
		}
		if _, err := shell.Play(ctx, page, steps); err != nil {
			return "", err
		}
		ran += len(steps)
	}
	if ran == 0 {
		return "", fmt.Errorf("no page assigns its commands to %s", here)
	}
	return fmt.Sprintf("%d blocks of commands", ran), nil
}

// shell returns a shell of a cluster administrator.
func (s *harness) shell() (guide.Shell, error) {
	control := s.node.Cluster
	tools := filepath.Join(s.dir, "tools")
	if err := os.MkdirAll(tools, 0o700); err != nil {
		return guide.Shell{}, err
	}
	kubectl := filepath.Join(tools, "kubectl")
	if err := os.Symlink(control.KubectlPath(), kubectl); err != nil && !os.IsExist(err) {
		return guide.Shell{}, err
	}
	variables := append(os.Environ(), "PATH="+tools+string(filepath.ListSeparator)+os.Getenv("PATH"), "KUBECONFIG="+control.Kubeconfig(), "HOME="+tools)
	return guide.Shell{Dir: tools, Env: variables}, nil
}

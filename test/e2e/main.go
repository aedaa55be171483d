// Command e2e runs Refresh Keys on a real node: kubelet, containerd and runc with the
// operator's own images, and a workload whose three pods mount one Secret and exchange the
// token in it every second, during the operations and failures of a year.
// docs/e2e.md lists them; `make e2e` runs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/isolation"
)

// The arguments with which the program runs again, isolated.
const (
	insideArgument = "inside"
	probeArgument  = "probe"
)

// The value required of the variable E2E makes the program fail on a machine that cannot run it.
const required = "required"

// failed is the prefix of the line about a failure.
const failed = "FAIL: "

// errReported is a failure that the isolated program has already reported.
var errReported = errors.New("the run failed")

func main() {
	isolation.Hook()
	os.Exit(status(perform()))
}

// perform runs the whole test, or the part of this process if it is isolated.
func perform() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 1 {
		return outside(ctx)
	}
	switch os.Args[1] {
	case probeArgument:
		return probe()
	case insideArgument:
		return inside(ctx, os.Args[2:])
	default:
		return errors.New("usage: e2e, without arguments")
	}
}

// status prints an error that is not reported yet, and returns the exit code.
func status(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, isolation.ErrUnavailable) && os.Getenv("E2E") != required:
		fmt.Printf("SKIP: %v\n(E2E=required makes this a failure.)\n", err)
		return 0
	case errors.Is(err, errReported):
	default:
		fmt.Fprintf(os.Stderr, failed+"%v\n", err)
	}
	return 1
}

func outside(ctx context.Context) error {
	if err := tryOut(ctx); err != nil {
		return err
	}
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return err
	}
	made, err := build(ctx, root)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "refreshkeys-e2e-")
	if err != nil {
		return err
	}
	found, err := findings(filepath.Join(root, "bin", "e2e"))
	if err != nil {
		return err
	}
	before, err := lookAtHost()
	if err != nil {
		return err
	}
	err = isolation.Run(ctx, isolation.Options{
		Dir:    dir,
		Kept:   found,
		Args:   []string{insideArgument, dir, found, made.node, made.images, made.client, made.helm},
		Stdout: os.Stdout, Stderr: os.Stderr,
	})
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		err = errReported
	}
	if left := before.compare(dir); left != nil {
		fmt.Fprintf(os.Stderr, failed+"%v\n", left)
		return errors.Join(err, left)
	}
	// The folder is empty unless something failed.
	_ = os.Remove(found)
	return err
}

// findings creates the folder for gather.
func findings(in string) (string, error) {
	const prefix = "findings-"
	earlier, err := filepath.Glob(filepath.Join(in, prefix+"*"))
	if err != nil {
		return "", err
	}
	for _, folder := range earlier {
		// Remove empty folders, which killed runs leave; keep others.
		_ = os.Remove(folder)
	}
	return os.MkdirTemp(in, prefix+time.Now().Format("20060102-150405")+"-")
}

// tryOut returns an error before the build, which takes minutes, if this machine cannot run the test.
// Missing packages are named at once, and together with missing rights.
func tryOut(ctx context.Context) error {
	lacking := checkPackages(ctx)
	if lacking != nil && os.Geteuid() == 0 {
		return lacking
	}
	dir, err := os.MkdirTemp("", "refreshkeys-e2e-probe-")
	if err != nil {
		return err
	}
	// If nothing ran, the folder still exists.
	defer func() { _ = os.RemoveAll(dir) }()
	var said output
	err = isolation.Run(ctx, isolation.Options{Dir: dir, Args: []string{probeArgument}, Stdout: &said, Stderr: &said})
	if err != nil && ctx.Err() == nil && !errors.Is(err, isolation.ErrUnavailable) {
		err = fmt.Errorf("%w: %s", isolation.ErrUnavailable, strings.TrimPrefix(said.text(), failed))
	}
	return errors.Join(err, lacking)
}

// nodeScript returns the script that builds the node's programs.
func nodeScript(root string) string { return filepath.Join(root, "hack", "node", "build.sh") }

// nodeFolder returns the folder of the node's programs, built or not.
func nodeFolder(ctx context.Context, root string) (string, error) {
	out, err := exec.CommandContext(ctx, nodeScript(root), "--dir").Output()
	return strings.TrimSpace(string(out)), err
}

// made holds the paths of the built programs and images.
type made struct{ node, images, client, helm string }

func build(ctx context.Context, root string) (*made, error) {
	if err := run(ctx, root, nodeScript(root)); err != nil {
		return nil, err
	}
	node, err := nodeFolder(ctx, root)
	if err != nil {
		return nil, err
	}
	base := filepath.Join(root, "bin", "e2e")
	m := &made{
		node:   node,
		images: filepath.Join(base, "images"),
		client: filepath.Join(base, "client"),
	}
	for _, command := range [][]string{
		{"go", "build", "-trimpath", "-o", m.client, "./test/e2e/client"},
		{filepath.Join(root, "hack", "images", "build.sh"), m.images, "linux/" + runtime.GOARCH},
	} {
		if err := run(ctx, root, command...); err != nil {
			return nil, err
		}
	}
	helm := exec.CommandContext(ctx, filepath.Join(root, "hack", "helm", "build.sh"))
	helm.Stderr = os.Stderr
	out, err := helm.Output()
	if err != nil {
		return nil, fmt.Errorf("build helm: %w", err)
	}
	m.helm = strings.TrimSpace(string(out))
	return m, nil
}

func run(ctx context.Context, dir string, command ...string) error {
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Dir = dir
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(command[0]), err)
	}
	return nil
}

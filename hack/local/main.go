// Command local is `make up` and `make down`: it runs Refresh Keys on a Kubernetes
// control plane of its own, as plain processes on this machine. All data and logs are
// in one folder, bin/local by default.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

const usage = "usage: go run ./hack/local [--dir FOLDER] up | down [--keep]"

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := pflag.NewFlagSet("local", pflag.ContinueOnError)
	flags.Usage = func() { fmt.Fprintf(os.Stderr, "%s\n%s", usage, flags.FlagUsages()) }
	keep := flags.Bool("keep", false, "down: keep the data for the next up")
	dir := flags.String("dir", "", "the folder of the cluster; bin/local of the repository by default")
	err := flags.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New(usage)
	}
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return err
	}
	place := place{root: root, dir: filepath.Join(root, "bin", "local")}
	if *dir != "" {
		if place.dir, err = filepath.Abs(*dir); err != nil {
			return err
		}
	}
	unlock, err := place.lock()
	if err != nil {
		return err
	}
	defer unlock()
	switch flags.Arg(0) {
	case "up":
		return up(ctx, place)
	case "down":
		return down(ctx, place, *keep)
	default:
		return errors.New(usage)
	}
}

// place holds the folders of the repository and of the local cluster.
type place struct{ root, dir string }

// lock prevents two of these commands from changing one cluster at the same time.
func (p place) lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(p.dir), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(p.dir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.New("another `make up` or `make down` is running here: try again when it is done")
		}
		return nil, err
	}
	return func() { _ = file.Close() }, nil
}

// shown returns the path as a user in the repository would type it.
func (p place) shown(path string) string {
	if here, err := os.Getwd(); err == nil && here == p.root {
		if relative, err := filepath.Rel(p.root, path); err == nil {
			return relative
		}
	}
	return path
}

// Command demo is `make demo`: it shows the life of one JWTRefreshKey on a real
// Kubernetes control plane, which it starts and removes at the end. The exit
// status is 0 if every check passed.
//
// With USE_EXISTING_CLUSTER=true, it runs in the cluster of the current
// kubeconfig instead, in a namespace of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

const (
	// endsWithin limits the whole demo; the first run also builds the manager.
	endsWithin = 20 * time.Minute
	// cleansWithin limits the cleanup after the demo.
	cleansWithin = 2 * time.Minute

	failed      = 1
	interrupted = 128 + int(syscall.SIGINT)
)

func main() {
	// Log messages of libraries are not part of the output.
	log.SetLogger(logr.Discard())
	os.Exit(run())
}

func run() int {
	// A closed pipe, as in `make demo | head`, ends the demo like Ctrl-C.
	background, forget := signal.NotifyContext(context.Background(), syscall.SIGPIPE)
	defer forget()
	ctx, restore := signal.NotifyContext(background, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer restore()
	// A second Ctrl-C ends the process at once; the next run cleans up.
	context.AfterFunc(ctx, restore)

	scratch, release, err := claimScratch()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return failed
	}
	defer release()
	return tell(ctx, scratch)
}

func tell(ctx context.Context, scratch string) int {
	limited, cancel := context.WithTimeout(ctx, endsWithin)
	defer cancel()
	s := &scene{page: newPage(os.Stdout), ctx: limited, scratch: scratch, began: time.Now(), tokens: map[int64]string{}}
	s.prologue()
	err := s.play(story(existingCluster()))
	if ctx.Err() != nil {
		s.gap()
		s.say("Interrupted.")
	}
	cleaned := s.cleanUp(context.WithoutCancel(ctx))
	if cleaned != nil {
		fmt.Fprintln(os.Stderr, "demo: cleaning up:", cleaned)
	} else {
		s.farewell()
	}
	switch {
	case ctx.Err() != nil:
		return interrupted
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		return failed
	case cleaned != nil:
		return failed
	default:
		return 0
	}
}

func existingCluster() bool {
	return strings.EqualFold(os.Getenv("USE_EXISTING_CLUSTER"), "true")
}

// claimScratch creates the folder of this run, bin/demo, locks it against other runs, and stops the processes of
// a killed run. release removes the folder and unlocks it.
func claimScratch() (dir string, release func(), err error) {
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return "", nil, err
	}
	dir = filepath.Join(root, "bin", "demo")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	// Lock the folder itself, so that no lock file remains.
	folder, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	if err := lock(folder); err != nil {
		return "", nil, errors.Join(err, folder.Close())
	}
	if err := endLeftOver(dir); err != nil {
		return "", nil, errors.Join(fmt.Errorf("cannot clean up %s after a killed run: %w", dir, err), folder.Close())
	}
	return dir, func() { _ = os.RemoveAll(dir); _ = folder.Close() }, nil
}

var errBusy = errors.New("another `make demo` is running in this checkout: try again when it is done")

func lock(folder *os.File) error {
	err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errBusy
	}
	if err != nil {
		return err
	}
	// A run that just ended may have removed the opened folder.
	opened, err := folder.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Stat(folder.Name()); err != nil || !os.SameFile(opened, there) {
		return errBusy
	}
	return nil
}

func endLeftOver(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleansWithin)
	defer cancel()
	if err := stopCluster(ctx, dir); err != nil {
		return err
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range left {
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

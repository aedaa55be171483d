// Command demo is `make demo`: the life of one JWTRefreshKey, told on a real
// Kubernetes control plane that is started for it and removed at the end. The exit
// status says whether every step held.
//
// With USE_EXISTING_CLUSTER=true the story plays in the cluster of the current
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

	"github.com/refreshkeys/refreshkeys/hack/cluster"
)

const (
	// endsWithin is generous: the first run builds the manager.
	endsWithin = 20 * time.Minute
	// cleansWithin bounds what is done after the story.
	cleansWithin = 2 * time.Minute

	failed      = 1
	interrupted = 128 + int(syscall.SIGINT)
)

func main() {
	// What libraries have to say is not part of the story.
	log.SetLogger(logr.Discard())
	os.Exit(run())
}

func run() int {
	// A reader that goes away, as in `make demo | head`, ends the story like Ctrl-C does.
	background, forget := signal.NotifyContext(context.Background(), syscall.SIGPIPE)
	defer forget()
	ctx, restore := signal.NotifyContext(background, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer restore()
	// A second Ctrl-C ends at once; the next run removes what this one leaves.
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

// claimScratch makes the folder of this run, bin/demo, keeps other runs out of it
// until it is released, and ends what a killed run has left there. Releasing removes it.
func claimScratch() (dir string, release func(), err error) {
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return "", nil, err
	}
	dir = filepath.Join(root, "bin", "demo")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	// The folder is its own lock, so that none is left behind.
	folder, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	if err := lock(folder); err != nil {
		return "", nil, errors.Join(err, folder.Close())
	}
	if err := endLeftOver(dir); err != nil {
		return "", nil, errors.Join(fmt.Errorf("%s is left from a run that was killed: %w", dir, err), folder.Close())
	}
	return dir, func() { _ = os.RemoveAll(dir); _ = folder.Close() }, nil
}

var errBusy = errors.New("another `make demo` is at work in this checkout: try again when it is done")

func lock(folder *os.File) error {
	err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errBusy
	}
	if err != nil {
		return err
	}
	// A run that was just ending may have removed the folder that was opened.
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

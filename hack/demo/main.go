// Command demo is `make demo`: it plays the page docs/start.md on a real Kubernetes control plane, which it starts and removes at
// the end. It prints the page, each command as a user types it, and what the command prints. The exit status is 0 if every command
// succeeds and prints what the page shows.
//
// With USE_EXISTING_CLUSTER=true, it runs in the cluster of the current kubeconfig instead, in a namespace of its own.
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
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
)

const (
	// endsWithin limits the whole demo; the first run also builds the operator.
	endsWithin = 20 * time.Minute
	// cleansWithin limits the cleanup after the demo.
	cleansWithin = 2 * time.Minute

	failed      = 1
	interrupted = 128 + int(syscall.SIGINT)

	pagePath = "docs/start.md"
)

func main() {
	// Log messages of libraries are not part of the output.
	log.SetLogger(logr.Discard())
	// A closed pipe, as in `make demo | head`, ends the demo like Ctrl-C.
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	// A second Ctrl-C ends the process at once.
	context.AfterFunc(ctx, restore)
	err := run(ctx, newPrinter(os.Stdout))
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled):
		os.Exit(interrupted)
	default:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(failed)
	}
}

// run plays the page, and removes everything afterwards. After an interruption, it returns context.Canceled.
func run(ctx context.Context, out *printer) (err error) {
	began := time.Now()
	scratch, err := os.MkdirTemp("", "demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return err
	}
	page, err := guide.Read(filepath.Join(root, pagePath))
	if err != nil {
		return err
	}
	page.Path = pagePath
	s := &stage{printer: out, root: root, dir: filepath.Join(scratch, "cluster"), issuer: cluster.DefaultIssuer, namespace: "shop"}
	if strings.EqualFold(os.Getenv("USE_EXISTING_CLUSTER"), "true") {
		s.join()
	}
	limited, cancel := context.WithTimeout(ctx, endsWithin)
	defer cancel()
	compared, err := play(limited, out, page, s.start)
	if err != nil && ctx.Err() == nil {
		s.explain()
	}
	cleaning, stop := context.WithTimeout(context.WithoutCancel(ctx), cleansWithin)
	defer stop()
	cleaned := s.remove(cleaning)
	if ctx.Err() != nil {
		out.say("Interrupted.")
		return errors.Join(ctx.Err(), cleaned)
	}
	if err := errors.Join(err, cleaned); err != nil {
		return err
	}
	out.say("The demo took %.0f s. The %d outputs that %s shows are those of this run. Everything that it started is removed.",
		time.Since(began).Seconds(), compared, pagePath)
	return nil
}

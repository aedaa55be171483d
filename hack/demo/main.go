// Command demo is `make demo`: it shows the life of one refresh token on a real Kubernetes control plane, which it
// starts and removes at the end. The exit status is 0 if every check passed.
//
// With USE_EXISTING_CLUSTER=true, it runs in the cluster of the current kubeconfig instead, in a namespace of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	// endsWithin limits the whole demo; the first run also builds the operator.
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
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer restore()
	// A second Ctrl-C ends the process at once.
	context.AfterFunc(ctx, restore)
	scratch, err := os.MkdirTemp("", "demo-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return failed
	}
	defer os.RemoveAll(scratch)
	limited, cancel := context.WithTimeout(ctx, endsWithin)
	defer cancel()
	h := &harness{page: newPage(os.Stdout), ctx: limited, scratch: scratch, began: time.Now(), tokens: map[int64]string{}}
	err = h.play(steps(existingCluster()))
	if ctx.Err() != nil {
		h.say("Interrupted.")
	}
	cleaned := h.cleanUp(context.WithoutCancel(ctx))
	switch {
	case ctx.Err() != nil && cleaned == nil:
		return interrupted
	case err != nil || cleaned != nil:
		fmt.Fprintln(os.Stderr, "demo:", errors.Join(err, cleaned))
		return failed
	default:
		h.say("The demo has removed all that it started.")
		return 0
	}
}

func existingCluster() bool {
	return strings.EqualFold(os.Getenv("USE_EXISTING_CLUSTER"), "true")
}

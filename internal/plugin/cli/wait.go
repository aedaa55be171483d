package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/refreshkeys/refreshkeys/internal/span"
)

const (
	// pollInterval is the interval at which Until calls its condition.
	pollInterval = 250 * time.Millisecond
	// defaultTimeout is the value of --timeout if the flag is not set.
	defaultTimeout = 2 * time.Minute
)

// Waiting holds the flags --wait and --timeout.
type Waiting struct {
	// Wait is true if --wait is set.
	Wait    bool
	timeout SpanFlag
}

// Add adds the flags to a command; until says in their help what the command waits for.
func (w *Waiting) Add(cmd *cobra.Command, until string) {
	cmd.Flags().BoolVar(&w.Wait, "wait", false, "wait "+until)
	cmd.Flags().Var(&w.timeout, "timeout", "the longest time that --wait waits; "+span.Short(defaultTimeout)+" if not set")
}

func (w *Waiting) limit() time.Duration {
	if w.timeout.Value != nil {
		return *w.timeout.Value
	}
	return defaultTimeout
}

// Until calls ask until it is done or fails, or the timeout is over. still describes what the command
// still waits for; an empty text leaves the last one.
func (w *Waiting) Until(ctx context.Context, progress *Progress, what string, ask func(context.Context) (done bool, still string, err error)) error {
	defer progress.During(what)()
	ctx, cancel := context.WithTimeout(ctx, w.limit())
	defer cancel()
	last := what
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		done, still, err := ask(ctx)
		// A call that the timeout interrupted has no valid answer.
		if still != "" && ctx.Err() == nil {
			last = still
			progress.Update(still)
		}
		return done, err
	})
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Fail(ExitTimedOut, "timed out after %s: %s", span.Short(w.limit()), last)
	}
	return err
}

package plugin

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// pollInterval is the interval at which until calls its condition.
	pollInterval = 250 * time.Millisecond
	// defaultTimeout is the value of --timeout if the flag is not set.
	defaultTimeout = 2 * time.Minute
)

// waiting holds the flags --wait and --timeout.
type waiting struct {
	wait    bool
	timeout spanFlag
}

func (w *waiting) add(cmd *cobra.Command, until string) {
	cmd.Flags().BoolVar(&w.wait, "wait", false, "wait "+until)
	cmd.Flags().Var(&w.timeout, "timeout", "the longest time that --wait waits; "+short(defaultTimeout)+" if not set")
}

func (w *waiting) limit() time.Duration {
	if w.timeout.value != nil {
		return *w.timeout.value
	}
	return defaultTimeout
}

// until calls ask until it is done or fails, or the timeout is over. still describes what the command
// still waits for; an empty text leaves the last one.
func (w *waiting) until(ctx context.Context, c *cli, what string, ask func(context.Context) (done bool, still string, err error)) error {
	defer c.progress.during(what)()
	ctx, cancel := context.WithTimeout(ctx, w.limit())
	defer cancel()
	last := what
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		done, still, err := ask(ctx)
		// A call that the timeout interrupted has no valid answer.
		if still != "" && ctx.Err() == nil {
			last = still
			c.progress.update(still)
		}
		return done, err
	})
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fail(exitTimedOut, "timed out after %s: %s", short(w.limit()), last)
	}
	return err
}

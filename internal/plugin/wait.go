package plugin

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// askEvery is how often is asked for what is waited for.
	askEvery = 250 * time.Millisecond
	// waitFor is how long is waited when the command line does not say.
	waitFor = 2 * time.Minute
)

// waiting are the flags --wait and --timeout.
type waiting struct {
	wait    bool
	timeout spanFlag
}

func (w *waiting) add(cmd *cobra.Command, until string) {
	cmd.Flags().BoolVar(&w.wait, "wait", false, "wait "+until)
	cmd.Flags().Var(&w.timeout, "timeout", "the longest time that --wait waits; 2m if not set")
}

func (w *waiting) limit() time.Duration {
	if w.timeout.value != nil {
		return *w.timeout.value
	}
	return waitFor
}

// until asks until it is done. still is what is waited for, as far as ask knows.
func (w *waiting) until(ctx context.Context, c *cli, what string, ask func(context.Context) (done bool, still string, err error)) error {
	defer c.progress.during(what)()
	ctx, cancel := context.WithTimeout(ctx, w.limit())
	defer cancel()
	last := what
	err := wait.PollUntilContextCancel(ctx, askEvery, true, func(ctx context.Context) (bool, error) {
		done, still, err := ask(ctx)
		// What was cut off by the end of the time is no answer.
		if still != "" && ctx.Err() == nil {
			last = still
			c.progress.say(still)
		}
		return done, err
	})
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fail(exitTimedOut, "timed out after %s: %s", short(w.limit()), last)
	}
	return err
}

package cli

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// TestUntil checks when a command that waits ends, and what it says.
func TestUntil(t *testing.T) {
	asked := 0
	for _, c := range []struct {
		name string
		ask  func(context.Context) (bool, string, error)
		want string
		code int
	}{
		{"done at once", func(context.Context) (bool, string, error) { return true, "", nil }, "", ExitDone},
		{"done at the second call", func(context.Context) (bool, string, error) {
			asked++
			return asked > 1, "waits", nil
		}, "", ExitDone},
		{"an error", func(context.Context) (bool, string, error) { return false, "", errors.New("broken") }, "broken", ExitError},
		{"too late", func(context.Context) (bool, string, error) { return false, "waits for noon", nil }, "timed out after 300ms: waits for noon", ExitTimedOut},
		{"too late, and nothing said", func(context.Context) (bool, string, error) { return false, "", nil }, "timed out after 300ms: reading", ExitTimedOut},
		{"a call that the timeout interrupts", func(ctx context.Context) (bool, string, error) {
			<-ctx.Done()
			return false, "not valid", ctx.Err()
		}, "timed out after 300ms: reading", ExitTimedOut},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, cmd := &Waiting{}, &cobra.Command{}
			w.Add(cmd, "until it is done")
			timeout := "1m"
			if c.code == ExitTimedOut {
				timeout = "300ms"
			}
			if err := cmd.Flags().Set("timeout", timeout); err != nil {
				t.Fatal(err)
			}
			err := w.Until(t.Context(), newRun("", nil).Progress, "reading", c.ask)
			if ExitCode(err) != c.code || (err != nil && err.Error() != c.want) {
				t.Errorf("exit code %d: %v; want %d: %s", ExitCode(err), err, c.code, c.want)
			}
		})
	}
	if limit := (&Waiting{}).limit(); limit != 2*time.Minute {
		t.Errorf("the default is %s", limit)
	}
}

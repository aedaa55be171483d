// Package cli holds what all commands of the kubectl plugin share: streams and flags, output, tables, progress, waiting,
// exit codes, and how times and durations are read and printed. It knows no refresh keys.
package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/version"
)

// Options are the streams, the clock and the environment of one run of the plugin.
type Options struct {
	genericiooptions.IOStreams
	Clock clock.WithTicker
	// Getenv reads the environment.
	Getenv func(string) string
	// Browse opens a file in the user's browser.
	Browse func(file string) error
	// Build describes the plugin's own build.
	Build version.Info
}

// Run is the state of one run of the plugin.
type Run struct {
	Options
	// Flags are kubectl's flags for the connection to the API server.
	Flags *genericclioptions.ConfigFlags
	// Verbose says which requests to log.
	Verbose  Verbose
	Progress *Progress
	// Prompts is stderr for prompts that move the cursor. They have no text from the cluster.
	Prompts io.Writer
}

// New returns a run with the default values of kubectl's flags. What it writes to stderr, such as an error of the API server, is printable.
func New(o Options) *Run {
	raw := o.ErrOut
	o.ErrOut = &lines{raw}
	return &Run{
		Options: o, Flags: genericclioptions.NewConfigFlags(true), Prompts: raw,
		Progress: &Progress{out: raw, terminal: IsTerminal(raw), clock: o.Clock},
	}
}

// Colours reports whether to print colours: stdout is a terminal that supports them, and NO_COLOR is
// not set (no-color.org).
func (r *Run) Colours() bool {
	return IsTerminal(r.Out) && r.Getenv("NO_COLOR") == "" && r.Getenv("TERM") != "dumb"
}

// Arguments returns a check that a command has between least and most arguments; names describes them in the error.
func Arguments(least, most int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return UsageError("`%s` takes %s, and %s given", cmd.CommandPath(), names, counted(len(args)))
		}
		return nil
	}
}

// counted returns a number of arguments in words, with its verb.
func counted(n int) string {
	switch n {
	case 0:
		return "none was"
	case 1:
		return "one argument was"
	default:
		return fmt.Sprintf("%d arguments were", n)
	}
}

// SomeArguments returns a check that a command has one argument or more; names describes them in the error.
func SomeArguments(names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return UsageError("`%s` takes %s, and none was given", cmd.CommandPath(), names)
		}
		return nil
	}
}

// MaxSecret is the largest size of a token or password in bytes that Read accepts.
const MaxSecret = 64 << 10

// Read reads a secret text from a file, or from stdin for -. As an argument, the text would be in the shell's history.
func (r *Run) Read(file string) (string, error) {
	from := r.In
	if file != "-" {
		opened, err := os.Open(file) //nolint:gosec // the user names the file
		if err != nil {
			return "", err
		}
		defer opened.Close()
		from = opened
	}
	raw, err := io.ReadAll(io.LimitReader(from, MaxSecret+1))
	switch {
	case err != nil:
		return "", err
	case len(raw) > MaxSecret:
		return "", fmt.Errorf("%s is larger than %d KiB: it holds no token or password", file, MaxSecret>>10)
	case strings.TrimSpace(string(raw)) == "":
		return "", fmt.Errorf("%s is empty", file)
	}
	return strings.TrimSpace(string(raw)), nil
}

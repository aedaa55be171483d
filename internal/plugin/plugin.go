// Package plugin implements `kubectl refreshkey`, the command line of refresh keys.
// Each command has a file of its own. Decisions that need no cluster (filters, what happens next, why a
// token is accepted) are pure functions that take the time as an argument.
package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"
)

// Options are the streams, the clock and the environment of one run of the plugin.
type Options struct {
	genericiooptions.IOStreams
	Clock clock.WithTicker
	// Getenv reads the environment.
	Getenv func(string) string
	// Version is what `version` prints.
	Version string
}

// cli holds the state of one run of the plugin.
type cli struct {
	Options
	flags    *genericclioptions.ConfigFlags
	progress *progress
}

// Main runs the plugin and returns its exit code.
func Main(ctx context.Context, args []string, o Options) int {
	c := &cli{Options: o, flags: genericclioptions.NewConfigFlags(true)}
	c.progress = &progress{out: o.ErrOut, terminal: isTerminal(o.ErrOut), clock: o.Clock}
	root := c.root() //nolint:contextcheck // commands have their context from cobra when they run
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !errors.Is(err, errSilent) {
		fmt.Fprintf(o.ErrOut, "error: %v\n", err)
	}
	return exitCode(err)
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-refreshkey",
		Short: "Manage refresh keys and their tokens",
		Long: `Manage refresh keys: list and describe them, create, rotate and revoke them, exchange their tokens, sign in,
and check why a token is or is not accepted.

Only exchange and token --show-token print the text of a token.`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl refreshkey"},
		Version:       c.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("there is no command %q; `kubectl refreshkey --help` lists them", args[0])
			}
			return cmd.Help()
		},
	}
	root.SetIn(c.In)
	root.SetOut(c.Out)
	root.SetErr(c.ErrOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError("%v", err) })
	c.flags.AddFlags(root.PersistentFlags())
	root.AddCommand(
		c.listCommand(), c.describeCommand(), c.createCommand(), c.rotateCommand(), c.revokeCommand(),
		c.tokenCommand(), c.exchangeCommand(), c.loginCommand(), c.logoutCommand(), c.verifyCommand(), c.issuerCommand(),
		exitCodesTopic(),
	)
	c.completeFlags(root)
	return root
}

// arguments returns a check that a command has between least and most arguments; names describes them in the error.
func arguments(least, most int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usageError("`%s` takes %s, and %d arguments were given", cmd.CommandPath(), names, len(args))
		}
		return nil
	}
}

// Package commands implements `kubectl refreshkey`, the command line of refresh keys: one file a command, and what they
// share: the clients of the API server (cluster.go) and of the token service (endpoint.go, probe.go), stored sessions
// (store.go) and completion (complete.go). Decisions that need no cluster (filter.go, checks.go) are pure functions that
// take the time as an argument.
package commands

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// app is the plugin in one run. Its methods are the commands.
type app struct{ *cli.Run }

// Main runs the plugin and returns its exit code.
func Main(ctx context.Context, args []string, o cli.Options) int {
	c := &app{cli.New(o)}
	root := c.root() //nolint:contextcheck // commands have their context from cobra when they run
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !errors.Is(err, cli.ErrSilent) {
		fmt.Fprintf(c.ErrOut, "error: %v\n", err)
	}
	return cli.ExitCode(err)
}

// root returns the command line.
func (c *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-refreshkey",
		Short: "Manage refresh keys and their tokens",
		Long: `Manage refresh keys: list and describe them, create, rotate and revoke them, exchange their tokens, sign in,
and check why a token is or is not accepted. The command console shows them in the browser, and check
says what is wrong with an installation.

A refresh key is written NAME, jrk/NAME or jwtrefreshkey/NAME, and an issuer NAME or jwtissuer/NAME, such as
-o name prints it.

Only exchange and token --show-token print the text of a token.`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl refreshkey"},
		Version:       c.Build.String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.UsageError("there is no command %q; `kubectl refreshkey --help` lists them", args[0])
			}
			return cmd.Help()
		},
	}
	root.SetIn(c.In)
	root.SetOut(c.Out)
	root.SetErr(c.ErrOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cli.UsageError("%v", err) })
	c.Flags.AddFlags(root.PersistentFlags())
	c.Verbose.Add(root.PersistentFlags())
	root.AddCommand(
		c.listCommand(), c.describeCommand(), c.createCommand(), c.rotateCommand(), c.revokeCommand(),
		c.tokenCommand(), c.exchangeCommand(), c.loginCommand(), c.sessionsCommand(), c.logoutCommand(), c.verifyCommand(), c.issuerCommand(),
		c.consoleCommand(), c.checkCommand(), c.versionCommand(), cli.OptionsCommand(),
		cli.ExitCodesTopic(),
	)
	cli.UseHelp(root)
	c.completeFlags(root)
	return root
}

package commands

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

func (c *app) tokenCommand() *cobra.Command {
	v := &verification{app: c, output: cli.NewDocument()}
	show := false
	cmd := &cobra.Command{
		Use: "token NAME...", Short: "Decode and verify the tokens in the Secrets of keys",
		Long: `Decode and verify the token in a key's Secret, as verify does with any token. With several keys and -o json or
-o yaml, the command prints a document for each.

With --show-token, the text of the token is the only output on stdout, and the report is on stderr. So it can be
piped into another command.`,
		Example: `  kubectl refreshkey token orders
  kubectl refreshkey token orders --show-token | kubectl refreshkey verify -`,
		Args: cli.SomeArguments("the names of keys"), ValidArgsFunction: c.completeSeveralKeys,
		RunE: func(cmd *cobra.Command, args []string) error { return v.tokens(cmd.Context(), args, show) },
	}
	v.add(cmd)
	cmd.Flags().BoolVar(&show, "show-token", false, "print the token's text on stdout and the report on stderr; with -o json or yaml, as a field of the document")
	return cmd
}

func (v *verification) tokens(ctx context.Context, args []string, show bool) error {
	if err := v.output.Check(); err != nil {
		return err
	}
	names, err := keyResource.names(args)
	if err != nil {
		return err
	}
	if show && len(names) > 1 {
		return cli.UsageError("--show-token prints the text of one token: name one key")
	}
	k, err := v.connect()
	if err != nil {
		return err
	}
	return v.each(ctx, names, func(name string) error {
		if len(names) > 1 && v.output.IsText() {
			fmt.Fprintf(v.Out, "%sKey %s\n", map[bool]string{true: "\n"}[name != names[0]], name)
		}
		return v.token(ctx, k, name, show)
	})
}

// token decodes and verifies the token of one key.
func (v *verification) token(ctx context.Context, k *cluster, name string, show bool) error {
	done := v.Progress.During("reading the token")
	defer done()
	key, err := k.key(ctx, name)
	if err != nil {
		return err
	}
	secret, err := k.storedToken(ctx, key)
	if err != nil {
		return err
	}
	done()
	p, err := parse(secret.token)
	if err != nil {
		return v.report(&document{Checks: []check{reject("form", "Secret %s: %v", secret.secret, err)}}, nil)
	}
	shown := ""
	if show {
		shown = secret.token
	}
	return v.examine(ctx, k, p, shown)
}

package commands

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

func (c *app) tokenCommand() *cobra.Command {
	v := &verification{app: c, output: cli.NewDocument()}
	show := false
	cmd := &cobra.Command{
		Use: "token NAME", Short: "Decode and verify the token in a key's Secret",
		Args: cli.Arguments(1, 1, "the name of one key"), ValidArgsFunction: c.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error { return v.token(cmd.Context(), args[0], show) },
	}
	v.add(cmd)
	cmd.Flags().BoolVar(&show, "show-token", false, "also print the token's text")
	return cmd
}

func (v *verification) token(ctx context.Context, name string, show bool) error {
	if err := v.output.Check(); err != nil {
		return err
	}
	k, err := v.connect()
	if err != nil {
		return err
	}
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

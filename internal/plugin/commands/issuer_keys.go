package commands

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

func (c *app) issuerKeysCommand() *cobra.Command {
	out := cli.NewDocument("name")
	cmd := &cobra.Command{
		Use: "keys [ISSUER...]", Short: "List the signing keys of issuers, with their states and dates",
		Example: `  kubectl refreshkey issuer keys
  kubectl refreshkey issuer keys jwtissuer/default jwtissuer/people`,
		ValidArgsFunction: c.completeSeveralIssuers,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.issuerKeys(cmd.Context(), out, args) },
	}
	out.Add(cmd)
	return cmd
}

// issuerKeys prints the signing keys of each issuer.
func (c *app) issuerKeys(ctx context.Context, out *cli.Output, args []string) error {
	if err := out.Check(); err != nil {
		return err
	}
	names, err := issuerArguments(args)
	if err != nil {
		return err
	}
	k, err := c.connect()
	if err != nil {
		return err
	}
	return c.each(ctx, names, func(name string) error {
		done := c.Progress.During("reading the issuer")
		issuer, err := k.issuer(ctx, name)
		done()
		if err != nil {
			return err
		}
		if len(names) > 1 && out.IsText() {
			fmt.Fprintf(c.Out, "%sIssuer %s\n", map[bool]string{true: "\n"}[name != names[0]], name)
		}
		return c.showKeys(out, issuer.Status.Keys)
	})
}

func (c *app) showKeys(out *cli.Output, keys []v1alpha1.SigningKeyStatus) error {
	if out.IsName() {
		for _, key := range keys {
			fmt.Fprintln(c.Out, key.KID)
		}
		return nil
	}
	if !out.IsText() {
		return out.Document(c.Out, map[string]any{"keys": keys})
	}
	if len(keys) == 0 {
		fmt.Fprintln(c.ErrOut, "No signing keys yet.")
		return nil
	}
	sortKeys(keys)
	now := c.Clock.Now()
	rows := make([][]cli.Cell, 0, len(keys))
	for _, key := range keys {
		signs := cli.RelativeOr(key.ActiveAt, now, "-")
		shade := map[v1alpha1.KeyState]cli.Paint{"Active": cli.Green, "Retiring": cli.Faint}[key.State]
		rows = append(rows, []cli.Cell{cli.Text(key.KID), cli.Text(string(key.Use)), cli.Text(string(key.Algorithm)), cli.Painted(string(key.State), shade),
			cli.Text(cli.Relative(key.CreatedAt.Time, now)), cli.Text(signs), cli.Text(cli.RelativeOr(key.RetireAt, now, "-"))})
	}
	cli.WriteTable(c.Out, c.Colours(), "", []string{"KID", "USE", "ALG", "STATE", "MADE", "SIGNS", "REMOVED"}, rows)
	return nil
}

// sortKeys orders signing keys by ring, then by state (Active, Pending, Retiring), then by age.
func sortKeys(keys []v1alpha1.SigningKeyStatus) {
	states := []v1alpha1.KeyState{v1alpha1.KeyState(keyring.Active), v1alpha1.KeyState(keyring.Pending), v1alpha1.KeyState(keyring.Retiring)}
	slices.SortStableFunc(keys, func(a, b v1alpha1.SigningKeyStatus) int {
		return cmp.Or(-cmp.Compare(a.Use, b.Use), cmp.Compare(slices.Index(states, a.State), slices.Index(states, b.State)), a.CreatedAt.Compare(b.CreatedAt.Time))
	})
}

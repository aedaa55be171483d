package commands

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

func (c *app) issuerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "issuer", Short: "Manage the signing keys of an issuer: list, rotate and withdraw them",
		Args: cli.Arguments(0, 0, "one of keys, rotate and withdraw"),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.issuerKeysCommand(), c.issuerRotateCommand(), c.issuerWithdrawCommand())
	return cmd
}

// issuerArgument returns the issuer that the arguments name, or the default issuer.
func issuerArgument(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return lifecycle.DefaultIssuer
}

func (c *app) issuerKeysCommand() *cobra.Command {
	out := cli.NewDocument("name")
	cmd := &cobra.Command{
		Use: "keys [ISSUER]", Short: "List the signing keys of an issuer, with their states and dates",
		Args: cli.Arguments(0, 1, "the name of one issuer, or none for default"), ValidArgsFunction: c.completeIssuers,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			k, err := c.connect()
			if err != nil {
				return err
			}
			done := c.Progress.During("reading the issuer")
			issuer, err := k.issuer(cmd.Context(), issuerArgument(args))
			done()
			if err != nil {
				return err
			}
			return c.showKeys(out, issuer.Status.Keys)
		},
	}
	out.Add(cmd)
	return cmd
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

func (c *app) issuerRotateCommand() *cobra.Command {
	w := &cli.Waiting{}
	cmd := &cobra.Command{
		Use: "rotate [ISSUER]", Short: "Rotate the signing keys of an issuer",
		Long: `Rotate the signing keys of an issuer: the next keys sign as soon as they have been published for signing.prepublish, so that
verifiers have time to fetch them. Tokens that the earlier keys signed stay valid. If a signing key leaked, withdraw it:
kubectl refreshkey issuer withdraw.`,
		Args: cli.Arguments(0, 1, "the name of one issuer, or none for default"), ValidArgsFunction: c.completeIssuers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.rotateKeys(cmd.Context(), w, issuerArgument(args))
		},
	}
	w.Add(cmd, "until the next keys sign")
	return cmd
}

func (c *app) rotateKeys(ctx context.Context, w *cli.Waiting, name string) error {
	k, err := c.connect()
	if err != nil {
		return err
	}
	done := c.Progress.During("requesting the next signing keys")
	defer done()
	issuer, err := k.issuer(ctx, name)
	if err != nil {
		return err
	}
	before := activeKIDs(issuer)
	// Round up to the next second, so that the request includes keys that became active in this second.
	requested := c.Clock.Now().UTC().Truncate(time.Second).Add(time.Second)
	if err := k.annotate(ctx, issuer, v1alpha1.AnnotationRotateKeys, requested.Format(time.RFC3339)); err != nil {
		return err
	}
	done()
	if !w.Wait {
		fmt.Fprintf(c.Out, "%s: the next signing keys sign as soon as they have been published for signing.prepublish\n", issuerName(issuer))
		return nil
	}
	err = w.Until(ctx, c.Progress, "waiting for the next signing keys", func(ctx context.Context) (bool, string, error) {
		if issuer, err = k.issuer(ctx, name); err != nil {
			return false, "", err
		}
		var left []string
		for _, use := range []keyring.Use{keyring.Refresh, keyring.Access} {
			if now := activeKIDs(issuer)[v1alpha1.KeyUse(use)]; now == "" || now == before[v1alpha1.KeyUse(use)] {
				left = append(left, fmt.Sprintf("the next key of the %s ring signs %s", use, nextActiveAt(issuer, use, c.Clock.Now())))
			}
		}
		return len(left) == 0, strings.Join(left, "; "), nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "%s rotated: the next signing keys sign\n", issuerName(issuer))
	return nil
}

func issuerName(issuer *v1alpha1.JWTIssuer) string {
	return "jwtissuer." + v1alpha1.Group + "/" + issuer.Name
}

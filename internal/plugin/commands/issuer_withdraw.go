package commands

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/util/retry"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// withdrawal holds the flags of `issuer withdraw`.
type withdrawal struct {
	*app
	waiting cli.Waiting
	kids    []string
	yes     bool
}

func (c *app) issuerWithdrawCommand() *cobra.Command {
	w := &withdrawal{app: c}
	cmd := &cobra.Command{
		Use: "withdraw [ISSUER] --kid KID", Short: "Withdraw a leaked signing key: every token that it signed is refused",
		// The name of this command in earlier releases.
		Aliases: []string{"revoke"},
		Long: `Withdraw a signing key at once: every token that it signed is refused, and the operator issues new tokens with another
key. One-time keys and sessions end, because only clients hold their tokens: enrol one-time keys again, and sign in
again.

After you withdraw the active access key, the next one must have been published for signing.prepublish before it
signs. It usually has, and exchanges go on. Until then, every exchange and every sign-in at the issuer is answered
with 503. The command says until when. Verifiers that cached the withdrawn key accept its access tokens until they
fetch the key set again.

A seal key signs no token: after you withdraw one, people who sign in with a browser just now begin again, and
sessions stay.

The command asks for confirmation, unless you set --yes.`,
		Example: `  kubectl refreshkey issuer keys
  kubectl refreshkey issuer withdraw --kid 2mYc… --wait`,
		Args: cli.Arguments(0, 1, "the name of one issuer, or none for default"), ValidArgsFunction: c.completeIssuers,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := issuerArguments(args)
			if err != nil {
				return err
			}
			return w.run(cmd.Context(), names[0])
		},
	}
	cmd.Flags().StringSliceVar(&w.kids, "kid", nil, "the signing key to withdraw; separate several with commas, or repeat the flag")
	cmd.Flags().BoolVarP(&w.yes, "yes", "y", false, "do not ask for confirmation")
	w.waiting.Add(cmd, "until it is removed, and every refresh key that it signed for has a new token")
	_ = cmd.RegisterFlagCompletionFunc("kid", w.completeKIDs)
	return cmd
}

func (w *withdrawal) completeKIDs(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return w.names(func(ctx context.Context, k *cluster) (found []string, err error) {
		names, err := issuerArguments(args)
		if err != nil {
			return nil, err
		}
		issuer, err := k.issuer(ctx, names[0])
		if err != nil {
			return nil, err
		}
		for _, key := range issuer.Status.Keys {
			found = append(found, key.KID)
		}
		return found, nil
	})(cmd, nil, toComplete)
}

func (w *withdrawal) run(ctx context.Context, name string) error {
	if len(w.kids) == 0 {
		return cli.UsageError("--kid is required: the signing key to withdraw; kubectl refreshkey issuer keys lists them")
	}
	k, err := w.connect()
	if err != nil {
		return err
	}
	done := w.Progress.During("reading the issuer")
	defer done()
	issuer, err := k.issuer(ctx, name)
	if err != nil {
		return err
	}
	signed, uncounted := k.signedBy(ctx, name, w.kids)
	done()
	for _, kid := range w.kids {
		known := slices.ContainsFunc(issuer.Status.Keys, func(key v1alpha1.SigningKeyStatus) bool { return key.KID == kid })
		if !known && !slices.Contains(v1alpha1.WithdrawnKIDs(issuer), kid) {
			return cli.Fail(cli.ExitNotFound, "issuer %s has no signing key %s", name, kid)
		}
	}
	effects := effectsOf(issuer, w.kids, signed, uncounted, w.Clock.Now())
	if err := w.confirm(name, effects); err != nil {
		return err
	}
	if err := w.withdraw(ctx, k, name); err != nil {
		return err
	}
	if w.waiting.Wait {
		if err := w.untilWithdrawn(ctx, k, name); err != nil {
			return err
		}
	}
	fmt.Fprintf(w.Out, "%s: withdrawn: %s\n", issuerName(issuer), strings.Join(w.kids, ", "))
	if effects.gap != "" {
		fmt.Fprintln(w.Out, effects.gap)
	}
	return nil
}

// withdraw adds the kids to the annotation. It retries after a conflict, so that concurrent withdrawals all take effect.
func (w *withdrawal) withdraw(ctx context.Context, k *cluster, name string) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		issuer, err := k.issuer(ctx, name)
		if err != nil {
			return err
		}
		all := v1alpha1.WithdrawnKIDs(issuer)
		for _, kid := range w.kids {
			if !slices.Contains(all, kid) {
				all = append(all, kid)
			}
		}
		return k.merge(ctx, issuer, map[string]any{"metadata": map[string]any{
			"resourceVersion": issuer.ResourceVersion,
			"annotations":     map[string]any{v1alpha1.AnnotationWithdrawKey: strings.Join(all, ",")},
		}})
	})
}

// signedBy counts the refresh keys with a current token that one of the kids signed.
func (k *cluster) signedBy(ctx context.Context, issuer string, kids []string) (int, error) {
	var all v1alpha1.JWTRefreshKeyList
	if err := k.List(ctx, &all); err != nil {
		return 0, err
	}
	signed := 0
	for i := range all.Items {
		key := &all.Items[i]
		if lifecycle.IssuerName(key) == issuer && key.Status.RevokedAt == nil && key.DeletionTimestamp == nil && slices.Contains(kids, key.Status.KeyID) {
			signed++
		}
	}
	return signed, nil
}

// errDeclined is returned if the user does not confirm.
var errDeclined = errors.New("nothing was done: the answer was not yes")

func (w *withdrawal) confirm(name string, effects effects) error {
	if w.yes {
		return nil
	}
	fmt.Fprintf(w.ErrOut, "Withdraw %s of issuer %s? %s [yes/no] ", strings.Join(w.kids, ", "), name, effects)
	line, err := bufio.NewReader(w.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != "yes" {
		fmt.Fprintln(w.ErrOut)
		return errDeclined
	}
	return nil
}

// untilWithdrawn waits until the signing keys are removed and no refresh key has a current token that they signed.
func (w *withdrawal) untilWithdrawn(ctx context.Context, k *cluster, name string) error {
	return w.waiting.Until(ctx, w.Progress, "waiting until the signing key is removed", func(ctx context.Context) (bool, string, error) {
		issuer, err := k.issuer(ctx, name)
		if err != nil {
			return false, "", err
		}
		for _, key := range issuer.Status.Keys {
			if slices.Contains(w.kids, key.KID) {
				return false, "signing key " + key.KID + " still exists", nil
			}
		}
		signed, err := k.signedBy(ctx, name, w.kids)
		if err != nil {
			return false, "", fmt.Errorf("the signing key is withdrawn, but it is unknown whether all tokens were issued again: %w", err)
		}
		return signed == 0, fmt.Sprintf("%d refresh keys wait for a new token", signed), nil
	})
}

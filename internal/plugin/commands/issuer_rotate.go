package commands

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

func (c *app) issuerRotateCommand() *cobra.Command {
	w := &cli.Waiting{}
	cmd := &cobra.Command{
		Use: "rotate [ISSUER...]", Short: "Rotate the signing keys of issuers",
		Long: `Rotate the signing keys of issuers, or of the issuer default: the next keys sign as soon as they have been published
for signing.prepublish, so that verifiers have time to fetch them. Tokens that the earlier keys signed stay valid. If
a signing key leaked, withdraw it: kubectl refreshkey issuer withdraw.`,
		ValidArgsFunction: c.completeSeveralIssuers,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := issuerArguments(args)
			if err != nil {
				return err
			}
			k, err := c.connect()
			if err != nil {
				return err
			}
			return c.each(cmd.Context(), names, func(name string) error { return c.rotateKeys(cmd.Context(), k, w, name) })
		},
	}
	w.Add(cmd, "until the next keys sign")
	return cmd
}

// rotateKeys rotates the signing keys of one issuer.
func (c *app) rotateKeys(ctx context.Context, k *cluster, w *cli.Waiting, name string) error {
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

// activeKIDs returns the kid of the active signing key of each ring.
func activeKIDs(issuer *v1alpha1.JWTIssuer) map[v1alpha1.KeyUse]string {
	active := map[v1alpha1.KeyUse]string{}
	for _, key := range issuer.Status.Keys {
		if key.State == v1alpha1.KeyState(keyring.Active) {
			active[key.Use] = key.KID
		}
	}
	return active
}

// nextActiveAt returns when the next key of a ring signs, for people.
func nextActiveAt(issuer *v1alpha1.JWTIssuer, use keyring.Use, now time.Time) string {
	for _, key := range issuer.Status.Keys {
		if key.Use == v1alpha1.KeyUse(use) && key.State == v1alpha1.KeyState(keyring.Pending) {
			return cli.StampOr(key.ActiveAt, now, "soon")
		}
	}
	return "once it is created"
}

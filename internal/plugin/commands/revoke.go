package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// revocation holds the flags of `revoke`.
type revocation struct {
	*app
	output    *cli.Output
	waiting   cli.Waiting
	replicas  replicaFlags
	tokenFile string
}

func (c *app) revokeCommand() *cobra.Command {
	r := &revocation{app: c, output: cli.NewOutput("revoked")}
	cmd := &cobra.Command{
		Use: "revoke NAME...", Short: "Revoke keys; --wait verifies that every replica refuses their tokens",
		Long: `Revoke keys: the command sets spec.revoked to true. Every token of a revoked key is refused, and the operator
empties its Secret. With several keys, the command revokes all before it waits for one.

With --wait, the command presents the key's token to each replica of the token service until the replica refuses it
as revoked. It requests an access token for a resource that the token does not cover: replicas always refuse that,
and it does not count as use. It sends a one-time token to /introspect instead. It reads the token from the Secret
before the revocation, or from --token-file.

The replicas are those that --replica names. Without the flag, they are the ready pods labelled
app.kubernetes.io/component=tokenserver, which the command queries through the API server (create pods/proxy). If
there are none, they are the ports of a Service with this label that is of type ExternalName: a token service that
runs outside the cluster.

If the command cannot verify the refusal, the key is revoked anyway, and the exit code is 6.`,
		Example: `  kubectl refreshkey revoke orders --wait
  # All keys that were not used for half a year
  kubectl refreshkey revoke $(kubectl refreshkey list --unused-for 180d -o name)
  # With the leaked token, and a replica at a URL of its own
  kubectl refreshkey revoke orders --wait --token-file leaked.jwt \
    --replica https://10.0.0.1:8443 --ca-file ca.crt`,
		Args: cli.SomeArguments("the names of keys"), ValidArgsFunction: c.completeSeveralKeys,
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args) },
	}
	r.output.Add(cmd)
	r.waiting.Add(cmd, "until every replica of the token service refuses the key's token")
	r.replicas.add(cmd)
	completeFlag(cmd, "operator-namespace", c.completeNamespaces)
	completeFlag(cmd, "introspect-as", c.completeAccounts(true))
	cmd.Flags().StringVar(&r.tokenFile, "token-file", "", "a file with a token of the key to present to the replicas; - for stdin; if not set, the Secret's token")
	return cmd
}

// revokedKey is a key that the command revoked.
type revokedKey struct {
	key   *v1alpha1.JWTRefreshKey
	probe *probe
	// unprobed says why there is no probe.
	unprobed error
	began    time.Time
}

// run revokes all keys, and then verifies and reports each.
func (r *revocation) run(ctx context.Context, args []string) error {
	if err := r.output.Check(); err != nil {
		return err
	}
	names, err := keyResource.names(args)
	if err != nil {
		return err
	}
	if r.tokenFile != "" && len(names) > 1 {
		return cli.UsageError("--token-file holds a token of one key: name only that key")
	}
	k, err := r.connect()
	if err != nil {
		return err
	}
	done := map[string]*revokedKey{}
	failed := r.each(ctx, names, func(name string) (err error) {
		done[name], err = r.revoke(ctx, k, name)
		return err
	})
	names = slices.DeleteFunc(names, func(name string) bool { return done[name] == nil })
	return r.first(failed, r.each(ctx, names, func(name string) error { return r.verify(ctx, done[name]) }))
}

// revoke revokes one key. It prepares the probe before: the revocation empties the Secret.
func (r *revocation) revoke(ctx context.Context, k *cluster, name string) (*revokedKey, error) {
	defer r.Progress.During("revoking the key")()
	key, err := k.key(ctx, name)
	if err != nil {
		return nil, err
	}
	one := &revokedKey{key: key}
	if r.waiting.Wait {
		one.probe, one.unprobed = r.probe(ctx, k, key)
		var wrong *cli.CodedError
		if errors.As(one.unprobed, &wrong) && wrong.Code == cli.ExitUsage {
			return nil, one.unprobed
		}
	}
	one.began = r.Clock.Now()
	if err := k.merge(ctx, key, map[string]any{"spec": map[string]any{"revoked": true}}); err != nil {
		return nil, err
	}
	return one, nil
}

// verify waits until every replica refuses the token of a revoked key, if --wait is set, and reports the key.
func (r *revocation) verify(ctx context.Context, one *revokedKey) error {
	refusing := 0
	if r.waiting.Wait && one.unprobed == nil {
		refusing, one.unprobed = r.refused(ctx, one.probe)
	}
	if err := r.report(one.key, refusing, r.Clock.Since(one.began)); err != nil {
		return err
	}
	return r.unverified(one.key, one.unprobed)
}

// unverified wraps an error of the verification. It states that the key is revoked anyway.
func (r *revocation) unverified(key *v1alpha1.JWTRefreshKey, err error) error {
	if err == nil {
		return nil
	}
	code := cli.ExitUnverified
	var known *cli.CodedError
	if errors.As(err, &known) && known.Code == cli.ExitTimedOut {
		code = cli.ExitTimedOut
	}
	return cli.Fail(code, "key %s is revoked, but it is not verified that every replica refuses its token: %w", key.Name, err)
}

func (r *revocation) report(key *v1alpha1.JWTRefreshKey, refusing int, took time.Duration) error {
	switch {
	case !r.output.IsText():
		return r.output.Print(r.Out, key)
	case refusing > 0:
		fmt.Fprintf(r.Out, "%s revoked; refused by all replicas (%d) after %s\n", fullName(key), refusing, took.Round(time.Millisecond))
	default:
		fmt.Fprintf(r.Out, "%s revoked\n", fullName(key))
	}
	return nil
}

// probe reads and checks the token to present to the replicas. It must run before the revocation.
func (r *revocation) probe(ctx context.Context, k *cluster, key *v1alpha1.JWTRefreshKey) (*probe, error) {
	p := &probe{app: r.app, cluster: k, flags: &r.replicas, jti: key.Status.JTI}
	var err error
	if r.tokenFile != "" {
		if p.token, err = r.Read(r.tokenFile); err != nil {
			return nil, cli.UsageError("--token-file: %v", err)
		}
	} else {
		secret, err := k.storedToken(ctx, key)
		if err != nil {
			return nil, err
		}
		p.token, p.ca = secret.token, secret.ca
	}
	parsed, err := parse(p.token)
	if err != nil || parsed.claimsErr != nil {
		return nil, cli.UsageError("--token-file holds no token of a refresh key")
	}
	claims := parsed.claims
	if claims.Object.UID != string(key.UID) || parsed.text("typ") != string(token.Refresh) {
		return nil, cli.UsageError("the token is not a refresh token of key %s", key.Name)
	}
	if !provesRevocation(key, p.token, claims.ExpiresAt, r.Clock.Now()) {
		return nil, fmt.Errorf("the token is not accepted now, so its refusal proves nothing: set --token-file to an accepted token of key %s", key.Name)
	}
	p.issuer, p.namespace = claims.Issuer, key.Namespace
	if p.introspect = lifecycle.OneTime(key); p.introspect && r.replicas.account == "" {
		return nil, errors.New("a one-time token must be sent only to /introspect: set --introspect-as to a ServiceAccount that may create jwtrefreshkeys/introspect")
	}
	p.introspect = r.replicas.account != ""
	return p, p.prepare(ctx)
}

// provesRevocation reports whether the refusal of a token proves that its key is revoked. Replicas that have not
// observed the revocation also refuse a token that is forged, expired, used or retired.
func provesRevocation(key *v1alpha1.JWTRefreshKey, compact string, expiresAt, now time.Time) bool {
	hash := token.Hash(compact)
	superseded := !lifecycle.OneTime(key) && slices.ContainsFunc(key.Status.Previous, func(t v1alpha1.SupersededToken) bool { return t.TokenHash == hash })
	return now.Before(expiresAt) && (superseded || hash == key.Status.TokenHash)
}

// refused waits until every replica refuses the token, and returns the number of replicas.
func (r *revocation) refused(ctx context.Context, p *probe) (replicas int, err error) {
	err = r.waiting.Until(ctx, r.Progress, "querying the replicas", func(ctx context.Context) (bool, string, error) {
		all, err := p.replicas(ctx)
		if err != nil {
			return false, "", err
		}
		replicas = len(all)
		left := p.ask(ctx, all)
		return len(left) == 0, stillAccepting(left, replicas), nil
	})
	if err != nil {
		return 0, err
	}
	return replicas, nil
}

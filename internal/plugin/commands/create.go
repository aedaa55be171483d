package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/outlook"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// creation holds the flags of `create`.
type creation struct {
	*app
	output  *cli.Output
	waiting cli.Waiting
	dryRun  string

	audience, issuer, subject, mode, expiresAt string
	account, thumbprint, secret                string
	scopes, claims                             []string
	lifetime, idle, access                     cli.SpanFlag
}

func (c *app) createCommand() *cobra.Command {
	n := &creation{app: c, output: cli.NewOutput("created")}
	cmd := &cobra.Command{
		Use: "create NAME --audience URL", Short: "Create a refresh key",
		Example: `  kubectl refreshkey create orders --audience https://orders.example.com --lifetime 30d --wait
  # Print its manifest, for a repository
  kubectl refreshkey create orders --audience https://orders.example.com --dry-run=client -o yaml`,
		Args: cli.Arguments(1, 1, "the name of the key"),
		RunE: func(cmd *cobra.Command, args []string) error { return n.run(cmd.Context(), args[0]) },
	}
	n.output.Add(cmd)
	n.waiting.Add(cmd, "until the token is issued")
	flags := cmd.Flags()
	flags.StringVar(&n.audience, "audience", "", "the API that the tokens are for (required)")
	flags.Var(&n.lifetime, "lifetime", "the lifetime of each token, such as 30d")
	flags.StringVar(&n.issuer, "issuer", "", "the JWTIssuer that signs the tokens; if not set, the one named default")
	flags.StringSliceVar(&n.scopes, "scope", nil, "a scope of the tokens; separate several with commas, or repeat the flag")
	flags.StringVar(&n.subject, "subject", "", "the sub claim of the tokens; the issuer's policy must allow it")
	flags.StringArrayVar(&n.claims, "claim", nil, "a claim of the tokens: name=text, or name:=JSON for a number, a boolean or a list; repeat the flag for several")
	flags.StringVar(&n.mode, "mode", "", "the rotation mode: Scheduled, OneTimeUse or Never")
	flags.StringVar(&n.expiresAt, "expires-at", "", "the end of the key: a time such as 2027-06-30T00:00:00Z, or a duration from now such as 90d")
	flags.Var(&n.idle, "idle-timeout", "revoke the key if it is not used for this time")
	flags.Var(&n.access, "access-token-lifetime", "the lifetime of its access tokens")
	flags.StringVar(&n.account, "binding-service-account", "", "the only ServiceAccount, in the key's namespace, that may present the token")
	flags.StringVar(&n.thumbprint, "binding-jwk-thumbprint", "", "the thumbprint of a DPoP key: only its holder may present the token")
	flags.StringVar(&n.secret, "secret", "", "the name of the Secret; if not set, the key's name; - for no Secret, which no client can use")
	flags.StringVar(&n.dryRun, "dry-run", "none", "none, client (send nothing) or server (store nothing)")
	flags.Lookup("dry-run").NoOptDefVal = "client"
	completeFlag(cmd, "issuer", c.completeIssuers)
	completeFlag(cmd, "binding-service-account", c.completeAccounts(false))
	completeFlag(cmd, "mode", cobra.FixedCompletions([]string{"Scheduled", "OneTimeUse", "Never"}, cobra.ShellCompDirectiveNoFileComp))
	completeFlag(cmd, "dry-run", cobra.FixedCompletions([]string{"none", "client", "server"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (n *creation) run(ctx context.Context, name string) error {
	if err := n.output.Check(); err != nil {
		return err
	}
	name, err := keyResource.name(name)
	if err != nil {
		return err
	}
	key, err := n.key(name)
	if err != nil {
		return err
	}
	switch n.dryRun {
	case "none", "server", "client":
	default:
		return cli.UsageError("--dry-run must be none, client or server, not %q", n.dryRun)
	}
	if n.dryRun == "client" {
		// Like kubectl, omit the namespace if neither the flags nor the kubeconfig set one.
		if namespace, given, err := n.Flags.ToRawKubeConfigLoader().Namespace(); err == nil && given {
			key.Namespace = namespace
		}
		return n.report(key, " (dry run)")
	}
	k, err := n.connect()
	if err != nil {
		return err
	}
	key.Namespace = k.namespace
	options := &client.CreateOptions{FieldManager: "kubectl-refreshkey"}
	if n.dryRun == "server" {
		options.DryRun = []string{metav1.DryRunAll}
	}
	done := n.Progress.During("creating the key")
	err = k.Create(ctx, key, options)
	done()
	if err != nil {
		return err
	}
	key.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(keyKind))
	if n.dryRun == "server" {
		return n.report(key, " (server dry run)")
	}
	if n.waiting.Wait {
		if key, err = n.issued(ctx, k, name); err != nil {
			return err
		}
	}
	return n.report(key, "")
}

// issued waits until the first token is issued.
func (n *creation) issued(ctx context.Context, k *cluster, name string) (key *v1alpha1.JWTRefreshKey, err error) {
	err = n.waiting.Until(ctx, n.Progress, "waiting for the token", func(ctx context.Context) (bool, string, error) {
		if key, err = k.key(ctx, name); err != nil {
			return false, "", err
		}
		if stalled := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionStalled); stalled != nil {
			return false, "", cli.Fail(cli.ExitRefused, "key %s was created, but the operator issues no token: %s: %s", name, stalled.Reason, stalled.Message)
		}
		return outlook.ReadyReason(key) == v1alpha1.ReasonIssued, waitsFor(key), nil
	})
	return key, err
}

// waitsFor returns what a key waits for, as its conditions say.
func waitsFor(key *v1alpha1.JWTRefreshKey) string {
	ready := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReady)
	waits := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReconciling)
	switch {
	case ready == nil:
		return "the operator has not processed key " + key.Name + " yet; is the manager running?"
	case waits != nil && waits.Message != "" && waits.Message != ready.Message:
		return "key " + key.Name + " waits, " + waits.Reason + ": " + waits.Message
	default:
		return "key " + key.Name + " is " + ready.Reason + ": " + ready.Message
	}
}

func (n *creation) report(key *v1alpha1.JWTRefreshKey, how string) error {
	if !n.output.IsText() {
		return n.output.Print(n.Out, key)
	}
	fmt.Fprintf(n.Out, "%s created%s\n", fullName(key), how)
	if n.waiting.Wait && how == "" {
		fmt.Fprintln(n.Out, holds(key, n.Clock.Now()))
	}
	return nil
}

// holds returns where the token of an issued key is, and until when it is valid.
func holds(key *v1alpha1.JWTRefreshKey, now time.Time) string {
	until := cli.StampOr(key.Status.ExpiresAt, now, "-")
	if name := lifecycle.SecretName(key); name != "" {
		return fmt.Sprintf("Secret %s holds its token, until %s", name, until)
	}
	return fmt.Sprintf("its token is issued, valid until %s, and stored nowhere: the key has no Secret (spec.secret.mode None), so that no client can get the token", until)
}

// fullName returns a key's name as kubectl prints it, with its resource and group.
func fullName(key *v1alpha1.JWTRefreshKey) string {
	return "jwtrefreshkey." + v1alpha1.Group + "/" + key.Name
}

// key returns the key that the flags describe. The API server validates its values.
func (n *creation) key(name string) (*v1alpha1.JWTRefreshKey, error) {
	if n.audience == "" {
		return nil, cli.UsageError("--audience is required: the API that the tokens are for")
	}
	key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Name: name}}
	key.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(keyKind))
	spec := &key.Spec
	spec.Audience, spec.Subject, spec.Scopes = n.audience, n.subject, n.scopes
	spec.Lifetime, spec.IdleTimeout = n.lifetime.Field(), n.idle.Field()
	var err error
	if n.issuer != "" {
		issuer, err := issuerResource.name(n.issuer)
		if err != nil {
			return nil, err
		}
		spec.IssuerRef = &v1alpha1.IssuerReference{Name: issuer}
	}
	if n.mode != "" {
		spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationMode(n.mode)}
	}
	if n.access.Value != nil {
		spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: n.access.Field()}
	}
	if n.account != "" || n.thumbprint != "" {
		spec.Binding = &v1alpha1.BindingSpec{ServiceAccountName: n.account, JWKThumbprint: n.thumbprint}
	}
	switch n.secret {
	case "":
	case "-":
		spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone}
	default:
		spec.Secret = &v1alpha1.SecretSpec{Name: n.secret}
	}
	if spec.ExpiresAt, err = parseEnd(n.expiresAt, n.Clock.Now()); err != nil {
		return nil, err
	}
	spec.Claims, err = parseClaims(n.claims)
	return key, err
}

// parseEnd parses a time, or a duration from now.
func parseEnd(text string, now time.Time) (*metav1.Time, error) {
	if text == "" {
		return nil, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return &metav1.Time{Time: at.UTC()}, nil
	}
	after, err := cli.ParseSpan(text)
	if err != nil {
		return nil, cli.UsageError("--expires-at %q is neither a time such as 2027-06-30T00:00:00Z nor a duration such as 90d", text)
	}
	return &metav1.Time{Time: now.Add(after).UTC().Truncate(time.Second)}, nil
}

// parseClaims parses name=text and name:=JSON. Errors do not contain the values, which may be personal data.
func parseClaims(given []string) (map[string]apiextensionsv1.JSON, error) {
	if len(given) == 0 {
		return nil, nil
	}
	claims := make(map[string]apiextensionsv1.JSON, len(given))
	for _, one := range given {
		name, value, ok := strings.Cut(one, "=")
		raw, isJSON := strings.CutSuffix(name, ":")
		if !ok || raw == "" {
			return nil, cli.UsageError("--claim must be name=text or name:=JSON")
		}
		name = raw
		if _, twice := claims[name]; twice {
			return nil, cli.UsageError("--claim %s is given twice", name)
		}
		if isJSON {
			if !json.Valid([]byte(value)) {
				return nil, cli.UsageError("--claim %s:= must be followed by JSON; for text, use %s=", name, name)
			}
			claims[name] = apiextensionsv1.JSON{Raw: []byte(value)}
			continue
		}
		quoted, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		claims[name] = apiextensionsv1.JSON{Raw: quoted}
	}
	return claims, nil
}

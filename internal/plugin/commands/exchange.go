package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// exchange holds the flags of `exchange`.
type exchange struct {
	*app
	output *cli.Output
	scope  string
	// resource is what the access token is for; empty for the audience of the refresh token.
	resource       string
	session        string
	oneTimeFile    string
	tokenEndpoint  string
	caFile         string
	header, fresh  bool
	execCredential bool
}

func (c *app) exchangeCommand() *cobra.Command {
	x := &exchange{app: c, output: cli.NewDocument()}
	cmd := &cobra.Command{
		Use: "exchange NAME | exchange --session NAME", Short: "Print an access token; works as an exec credential plugin",
		Long: `Exchange the refresh token in a key's Secret, or of a session, for an access token, and print the access token.

The command sends the refresh token to its issuer's token endpoint, or to --token-endpoint. For a key that is bound to
a ServiceAccount, it also requests a token of that ServiceAccount from the API server (create serviceaccounts/token).
The first use of a one-time key empties its Secret: set --one-time-file to the file that stores the next token, or
sign in with kubectl refreshkey login.

If KUBERNETES_EXEC_INFO is set, as client-go does for a user with an exec section, the command prints an
ExecCredential of client.authentication.k8s.io. For a session, it needs no kubeconfig.`,
		Example: `  kubectl refreshkey exchange orders --header | curl --header @- https://orders.example.com
  kubectl refreshkey exchange --session default --scope orders:read`,
		Args: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (x.session != "") || len(args) > 1 {
				return cli.UsageError("`%s` takes the name of one key, or --session", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: c.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			if x.session != "" {
				return x.ofSession(cmd.Context())
			}
			return x.ofKey(cmd.Context(), args[0])
		},
	}
	x.output.Add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&x.scope, "scope", "", "request only these of the granted scopes, separated by spaces")
	flags.StringVar(&x.session, "session", "", "exchange the token of this session, which login created")
	flags.StringVar(&x.oneTimeFile, "one-time-file", "", "for a one-time key: the file that stores its next token; each exchange rewrites it")
	flags.StringVar(&x.tokenEndpoint, "token-endpoint", "", "the URL of the token endpoint; if not set, the issuer's URL and /token")
	flags.StringVar(&x.caFile, "ca-file", "", "a PEM file with the CA certificate of the token endpoint, in addition to the ca.crt of the key's Secret")
	completeFlag(cmd, "session", c.completeSessions)
	flags.BoolVar(&x.header, "header", false, "print a whole header: Authorization: Bearer and the token")
	flags.BoolVar(&x.fresh, "fresh", false, "for a session: request a new access token even if the last one is still valid")
	flags.BoolVar(&x.execCredential, "exec-credential", false, "print an ExecCredential even if KUBERNETES_EXEC_INFO is not set")
	return cmd
}

// ofKey exchanges the token in a key's Secret, or in --one-time-file.
func (x *exchange) ofKey(ctx context.Context, name string) error {
	if err := x.output.Check(); err != nil {
		return err
	}
	name, err := keyResource.name(name)
	if err != nil {
		return err
	}
	k, err := x.connect()
	if err != nil {
		return err
	}
	defer x.Progress.During("exchanging the token")()
	key, err := k.key(ctx, name)
	if err != nil {
		return err
	}
	switch oneTime := lifecycle.OneTime(key); {
	case oneTime && x.oneTimeFile == "":
		return cli.UsageError("key %s is for one-time use, and the exchange would lose its next token: set --one-time-file to the file that stores it", name)
	case !oneTime && x.oneTimeFile != "":
		return cli.UsageError("key %s is not for one-time use: omit --one-time-file", name)
	case oneTime:
		return locked(x.oneTimeFile, func() error { return x.oneTime(ctx, k, key) })
	}
	secret, err := k.storedToken(ctx, key)
	if err != nil {
		return err
	}
	answer, _, err := x.exchange(ctx, k, secret, true)
	if err != nil {
		return err
	}
	return x.printToken(answer)
}

// oneTime exchanges the token in --one-time-file, or in the Secret if the file does not exist. It stores the next
// token before it prints anything.
func (x *exchange) oneTime(ctx context.Context, k *cluster, key *v1alpha1.JWTRefreshKey) error {
	secret := &storedToken{}
	kept, err := x.Read(x.oneTimeFile)
	switch {
	case err == nil:
		secret.token, secret.ca = kept, k.secretCA(ctx, key)
	case !errors.Is(err, fs.ErrNotExist):
		return cli.UsageError("--one-time-file: %v", err)
	default:
		if secret, err = k.storedToken(ctx, key); err != nil {
			return err
		}
	}
	answer, next, err := x.exchange(ctx, k, secret, true)
	if err != nil {
		return err
	}
	if next != "" {
		if err := writeSecret(x.oneTimeFile, []byte(next)); err != nil {
			return fmt.Errorf("the token was used, but the next one could not be stored; run the same command again within retryGrace (%s): %w", lifecycle.DefaultRetryGrace, err)
		}
	}
	return x.printToken(answer)
}

// exchange performs one refresh grant. It returns the next refresh token; empty if the answer has none.
func (x *exchange) exchange(ctx context.Context, k *cluster, secret *storedToken, twice bool) (_ *accessToken, next string, _ error) {
	claims, err := readClaims(secret.token)
	if err != nil {
		return nil, "", fmt.Errorf("the text to exchange is not a token of a refresh key: %w", err)
	}
	form := x.form(secret.token)
	if claims.ServiceAccount != "" {
		assertion, err := k.serviceAccountToken(ctx, claims.Object.Namespace+"/"+claims.ServiceAccount, claims.Issuer)
		if err != nil {
			return nil, "", err
		}
		form.Set(oauth.ParamClientAssertion, assertion)
		form.Set(oauth.ParamClientAssertionType, oauth.AssertionJWTBearer)
	}
	client, err := x.httpClient(x.caFile, secret.ca)
	if err != nil {
		return nil, "", err
	}
	return x.refresh(ctx, client, cmp.Or(x.tokenEndpoint, endpoint.TokenURL(claims.Issuer)), form, twice)
}

func (x *exchange) form(refreshToken string) url.Values {
	form := url.Values{oauth.ParamGrantType: {oauth.GrantRefreshToken}, oauth.ParamRefreshToken: {refreshToken}}
	if x.scope != "" {
		form.Set(oauth.ParamScope, x.scope)
	}
	if x.resource != "" {
		form.Set(oauth.ParamResource, x.resource)
	}
	return form
}

// refresh sends the form. If the answer is lost, it sends the form once more: within retryGrace, the same token gets the same next
// one.
func (x *exchange) refresh(ctx context.Context, client *http.Client, endpoint string, form url.Values, again bool) (*accessToken, string, error) {
	var answer oauth.TokenAnswer
	at := x.Clock.Now()
	err := post(ctx, client, endpoint, form, &answer)
	var lost *url.Error
	if again && errors.As(err, &lost) && ctx.Err() == nil {
		return x.refresh(ctx, client, endpoint, form, false)
	}
	if err != nil {
		return nil, "", err
	}
	return &accessToken{
		Token: answer.AccessToken, Type: answer.TokenType, Scope: answer.Scope, Asked: x.scope,
		ExpiresAt: at.Add(time.Duration(answer.ExpiresIn) * time.Second).UTC().Truncate(time.Second),
	}, answer.RefreshToken, nil
}

// ofSession prints the session's access token while it is valid, and otherwise exchanges its refresh token.
func (x *exchange) ofSession(ctx context.Context) error {
	if err := x.output.Check(); err != nil {
		return err
	}
	if x.oneTimeFile != "" || x.tokenEndpoint != "" {
		return cli.UsageError("a session stores its token and its endpoint: omit --one-time-file and --token-endpoint")
	}
	var access *accessToken
	err := x.withSession(x.session, "exchanging the session's token", func(file string) (err error) {
		access, err = x.renew(ctx, file)
		return err
	})
	if err != nil {
		return err
	}
	return x.printToken(access)
}

// withSession calls do with the file of a session, which exists, while it holds a lock on the file.
func (c *app) withSession(name, doing string, do func(file string) error) error {
	file, err := c.sessionFile(name)
	if err != nil {
		return err
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return cli.Fail(cli.ExitNotFound, "there is no session %s: kubectl refreshkey login --session %s begins one", name, name)
	}
	defer c.Progress.During(doing)()
	return locked(file, func() error { return do(file) })
}

func (x *exchange) renew(ctx context.Context, file string) (*accessToken, error) {
	s, err := loadSession(file)
	if err != nil {
		return nil, err
	}
	if s.Access.usable(x.scope, x.Clock.Now()) && !x.fresh {
		return s.Access, nil
	}
	client, err := x.httpClient(x.caFile, []byte(s.CA))
	if err != nil {
		return nil, err
	}
	if s.Access, err = x.refreshSession(ctx, client, s); err != nil {
		return nil, err
	}
	return s.Access, s.saveNext(file)
}

// refreshSession exchanges the refresh token of a session, and sets the next one.
func (x *exchange) refreshSession(ctx context.Context, client *http.Client, s *session) (*accessToken, error) {
	access, next, err := x.refresh(ctx, client, s.TokenEndpoint, x.form(s.RefreshToken), true)
	var answered *refusal
	if errors.As(err, &answered) && answered.code == oauth.InvalidGrant {
		return nil, cli.Fail(cli.ExitRefused, "session %s is over: sign in again with kubectl refreshkey login --session %s (%w)", x.session, x.session, err)
	}
	s.RefreshToken = cmp.Or(next, s.RefreshToken)
	return access, err
}

// printToken prints the access token in the requested form.
func (x *exchange) printToken(access *accessToken) error {
	switch info := x.getExecInfo(); {
	case x.execCredential || info != "":
		return x.printExecCredential(info, access)
	case !x.output.IsText():
		return x.output.Document(x.Out, map[string]any{
			"access_token": access.Token, "token_type": access.Type, "scope": access.Scope, "expires_at": access.ExpiresAt.Format(time.RFC3339),
		})
	case x.header:
		_, err := fmt.Fprintf(x.Out, "Authorization: %s %s\n", access.Type, access.Token)
		return err
	default:
		_, err := fmt.Fprintln(x.Out, access.Token)
		return err
	}
}

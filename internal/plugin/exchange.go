package plugin

import (
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
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

// exchange is `exchange` with its flags.
type exchange struct {
	*cli
	output         *output
	scope          string
	session        string
	oneTimeFile    string
	tokenEndpoint  string
	caFile         string
	header, fresh  bool
	execCredential bool
}

func (c *cli) exchangeCommand() *cobra.Command {
	x := &exchange{cli: c, output: newDocument()}
	cmd := &cobra.Command{
		Use: "exchange NAME | exchange --session NAME", Short: "Print an access token; usable as an exec credential plugin",
		Long: `Exchange the token of a key's Secret, or of a session, for an access token, and print it.

The token is sent to the token endpoint under its issuer's URL, or to --token-endpoint. A key that is bound to a ServiceAccount needs a token of
it too, which is asked of the API server (create serviceaccounts/token). A one-time key's Secret is emptied by its first use:
name the file that keeps the token that follows, by --one-time-file, or sign in by kubectl refreshkey login.

Where KUBERNETES_EXEC_INFO is set, as client-go does for a user with an exec section, an ExecCredential of
client.authentication.k8s.io is printed. A session needs no kubeconfig for that.`,
		Example: `  curl -H "$(kubectl refreshkey exchange orders --header)" https://orders.example.com
  kubectl refreshkey exchange --session default --scope orders:read`,
		Args: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (x.session != "") || len(args) > 1 {
				return usageError("`%s` takes the name of one key, or --session", cmd.CommandPath())
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
	x.output.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&x.scope, "scope", "", "less than all that was granted: scopes, separated by spaces")
	flags.StringVar(&x.session, "session", "", "exchange the token of this session, which a login began")
	flags.StringVar(&x.oneTimeFile, "one-time-file", "", "of a one-time key: the file that holds its token once the Secret's was used; it is rewritten with each use")
	flags.StringVar(&x.tokenEndpoint, "token-endpoint", "", "where to exchange; under the issuer's URL when not set")
	flags.StringVar(&x.caFile, "ca-file", "", "what to trust at the token endpoint, in PEM, beside the ca.crt of the key's Secret")
	flags.BoolVar(&x.header, "header", false, "print it as a header: Authorization: Bearer and the token")
	flags.BoolVar(&x.fresh, "fresh", false, "of a session: a new access token, also while the last one lives")
	flags.BoolVar(&x.execCredential, "exec-credential", false, "print an ExecCredential, also where KUBERNETES_EXEC_INFO is not set")
	return cmd
}

// ofKey exchanges the token of a Secret, or of the file that followed it.
func (x *exchange) ofKey(ctx context.Context, name string) error {
	if err := x.output.check(); err != nil {
		return err
	}
	k, err := x.connect()
	if err != nil {
		return err
	}
	defer x.progress.during("exchanging the token")()
	key, err := k.key(ctx, name)
	if err != nil {
		return err
	}
	switch oneTime := lifecycle.OneTime(key); {
	case oneTime && x.oneTimeFile == "":
		return usageError("key %s is for one-time use, and its token would be lost with the exchange: name the file that keeps the next one by --one-time-file", name)
	case !oneTime && x.oneTimeFile != "":
		return usageError("key %s is not for one-time use: leave out --one-time-file", name)
	case oneTime:
		return locked(x.oneTimeFile, func() error { return x.oneTime(ctx, k, key) })
	}
	secret, err := k.held(ctx, key)
	if err != nil {
		return err
	}
	answer, _, err := x.exchange(ctx, k, secret, true)
	if err != nil {
		return err
	}
	return x.hand(answer)
}

// oneTime exchanges the token of the file, or of the Secret where there is no file yet. The one that follows is
// kept before anything is printed.
func (x *exchange) oneTime(ctx context.Context, k *cluster, key *v1alpha1.JWTRefreshKey) error {
	secret := &held{}
	kept, err := x.read(x.oneTimeFile)
	switch {
	case err == nil:
		secret.token, secret.ca = kept, k.trusted(ctx, key)
	case !errors.Is(err, fs.ErrNotExist):
		return usageError("--one-time-file: %v", err)
	default:
		if secret, err = k.held(ctx, key); err != nil {
			return err
		}
	}
	answer, next, err := x.exchange(ctx, k, secret, true)
	if err != nil {
		return err
	}
	if next != "" {
		if err := writeSecret(x.oneTimeFile, []byte(next)); err != nil {
			return fmt.Errorf("the token was used, and the next one could not be kept; within retryGrace (30s) the same can be tried again: %w", err)
		}
	}
	return x.hand(answer)
}

// exchange is one refresh grant.
func (x *exchange) exchange(ctx context.Context, k *cluster, secret *held, twice bool) (_ *accessToken, next string, _ error) {
	claims, err := readClaims(secret.token)
	if err != nil {
		return nil, "", fmt.Errorf("what is to be exchanged is no token of a refresh key: %w", err)
	}
	form := x.form(secret.token)
	if claims.ServiceAccount != "" {
		assertion, err := k.accountToken(ctx, claims.Object.Namespace+"/"+claims.ServiceAccount, claims.Issuer)
		if err != nil {
			return nil, "", err
		}
		form.Set(oauth.ParamClientAssertion, assertion)
		form.Set(oauth.ParamClientAssertionType, oauth.AssertionJWTBearer)
	}
	client, err := httpClient(x.caFile, secret.ca)
	if err != nil {
		return nil, "", err
	}
	endpoint := x.tokenEndpoint
	if endpoint == "" {
		endpoint = claims.Issuer + "/token"
	}
	return x.refresh(ctx, client, endpoint, form, twice)
}

func (x *exchange) form(refreshToken string) url.Values {
	form := url.Values{oauth.ParamGrantType: {oauth.GrantRefreshToken}, oauth.ParamRefreshToken: {refreshToken}}
	if x.scope != "" {
		form.Set(oauth.ParamScope, x.scope)
	}
	return form
}

// refresh sends the form; once more where the answer was lost, since the same token gets the same answer for
// as long as retryGrace.
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

// ofSession hands out the session's access token while it lives, and exchanges its refresh token otherwise.
func (x *exchange) ofSession(ctx context.Context) error {
	if err := x.output.check(); err != nil {
		return err
	}
	if x.oneTimeFile != "" || x.tokenEndpoint != "" {
		return usageError("a session knows its token and its endpoint: leave out --one-time-file and --token-endpoint")
	}
	file, err := x.sessionFile(x.session)
	if err != nil {
		return err
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return fail(exitNotFound, "there is no session %s: sign in by kubectl refreshkey login --session %s", x.session, x.session)
	}
	var access *accessToken
	done := x.progress.during("exchanging the session's token")
	err = locked(file, func() (err error) {
		access, err = x.renew(ctx, file)
		return err
	})
	done()
	if err != nil {
		return err
	}
	return x.hand(access)
}

func (x *exchange) renew(ctx context.Context, file string) (*accessToken, error) {
	s, err := loadSession(file)
	if err != nil {
		return nil, err
	}
	if s.Access.usable(x.scope, x.Clock.Now()) && !x.fresh {
		return s.Access, nil
	}
	client, err := httpClient(x.caFile, []byte(s.CA))
	if err != nil {
		return nil, err
	}
	access, next, err := x.refresh(ctx, client, s.TokenEndpoint, x.form(s.RefreshToken), true)
	var said *refusal
	if errors.As(err, &said) && said.code == oauth.InvalidGrant {
		return nil, fail(exitRefused, "session %s is over: sign in again by kubectl refreshkey login --session %s (%w)", x.session, x.session, err)
	}
	if err != nil {
		return nil, err
	}
	s.Access = access
	if next != "" {
		s.RefreshToken = next
	}
	if err := s.save(file); err != nil {
		return nil, fmt.Errorf("the token was used, and the next one could not be kept; within 30s the same can be tried again: %w", err)
	}
	return access, nil
}

// hand prints the access token in the form that is asked for.
func (x *exchange) hand(access *accessToken) error {
	switch info := x.getExecInfo(); {
	case x.execCredential || info != "":
		return x.printExecCredential(info, access)
	case !x.output.words():
		return x.output.document(x.cli, map[string]any{
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

package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// login holds the flags of `login`.
type login struct {
	*app
	session, audience, scope, deviceID string
	issuer, issuerURL, caFile          string
	account, subjectFile, subjectType  string
	username, passwordFile             string
	// client, hint and noBrowser are for the sign-in with a browser, and client and device for that of a device.
	client, hint      string
	noBrowser, device bool
}

func (c *app) loginCommand() *cobra.Command {
	l := &login{app: c}
	cmd := &cobra.Command{
		Use: "login", Short: "Sign in at the token service and store the session",
		Long: `Sign in at the token service, and store the session. Without further flags the command opens the issuer's login page
in the browser; the issuer must declare the client of --client with the redirect URI http://127.0.0.1/callback. The
other ways are a token of a ServiceAccount, an id_token of a provider that the issuer trusts, and a user name and a
password if the issuer allows it; they need --audience. With --device, the command shows a code for the browser of
another machine.

The session's refresh token is stored in a file that only you can read, under $XDG_CONFIG_HOME/refreshkeys or
~/.config/refreshkeys. kubectl refreshkey exchange --session prints access tokens from it.`,
		Example: `  kubectl refreshkey login --issuer-url https://tokens.example.com/people
  kubectl refreshkey login --audience https://orders.example.com --service-account shop/till
  kubectl refreshkey login --audience https://orders.example.com --issuer people \
    --subject-token-file id_token
  kubectl refreshkey login --audience https://orders.example.com \
    --issuer-url https://tokens.example.com/people --username jane`,
		Args: cli.Arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&l.audience, "audience", "", "the API that the tokens are for; with the browser, the client's first audience if not set")
	flags.StringVar(&l.scope, "scope", "", "the scopes to request, separated by spaces")
	flags.StringVar(&l.session, "session", "default", "the local name of the session")
	flags.StringVar(&l.issuer, "issuer", "default", "the JWTIssuer to sign in at")
	flags.StringVar(&l.issuerURL, "issuer-url", "", "the issuer's URL; set it if you cannot read the JWTIssuer")
	flags.StringVar(&l.caFile, "ca-file", "", "a PEM file with the CA certificate of the token endpoint, which is stored with the session")
	flags.StringVar(&l.deviceID, "device-id", "", "the name of this device in the session's status")
	flags.StringVar(&l.account, "service-account", "", "sign in as this ServiceAccount (namespace/name), with a token that is requested from the API server")
	flags.StringVar(&l.subjectFile, "subject-token-file", "", "sign in with the token in this file; - for stdin")
	flags.StringVar(&l.subjectType, "subject-token-type", "id_token", "the type of that token: id_token, or jwt for a token of a ServiceAccount")
	flags.StringVar(&l.username, "username", "", "sign in with this name and a password; the command prompts for the password")
	flags.StringVar(&l.passwordFile, "password-file", "", "a file with the password; - for stdin")
	flags.StringVar(&l.client, "client", "kubectl-refreshkey", "the id of the client to sign in to with the browser")
	flags.StringVar(&l.hint, "login-hint", "", "the user name that the login page proposes")
	flags.BoolVar(&l.noBrowser, "no-browser", false, "print the URL of the login page, and do not open it")
	flags.BoolVar(&l.device, "device", false, "show a code, with which a person signs in with the browser of another machine")
	completeFlag(cmd, "issuer", c.completeIssuers)
	completeFlag(cmd, "session", c.completeSessions)
	completeFlag(cmd, "service-account", c.completeAccounts(true))
	completeFlag(cmd, "subject-token-type", cobra.FixedCompletions([]string{"id_token", "jwt"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (l *login) run(ctx context.Context) error {
	ways := 0
	for _, way := range []string{l.account, l.subjectFile, l.username} {
		if way != "" {
			ways++
		}
	}
	switch {
	case ways > 1:
		return cli.UsageError("set at most one of --service-account, --subject-token-file and --username; without one, the browser opens")
	case l.passwordFile != "" && l.username == "":
		return cli.UsageError("--password-file needs --username")
	case (ways == 1 || l.device) && (l.noBrowser || l.hint != ""):
		return cli.UsageError("--no-browser and --login-hint are for the sign-in with the browser: remove them, or the other way to sign in")
	case l.device && (ways > 0 || l.audience != "" || l.scope != "" || l.deviceID != ""):
		return cli.UsageError("--device is a way to sign in, for the audience and the scopes that the issuer declares: remove the other flags")
	case ways == 1 && l.audience == "":
		return cli.UsageError("--audience is required: the API that the tokens are for")
	}
	file, err := l.sessionFile(l.session)
	if err != nil {
		return err
	}
	s := &session{Issuer: l.issuerURL, Audience: l.audience}
	k, err := l.findIssuer(ctx, s)
	if err != nil {
		return err
	}
	s.TokenEndpoint = endpoint.TokenURL(s.Issuer)
	if l.caFile != "" {
		pem, err := os.ReadFile(l.caFile)
		if err != nil {
			return cli.UsageError("--ca-file: %v", err)
		}
		s.CA = string(pem)
	}
	if l.device {
		answer, at, err := l.signInDevice(ctx, s)
		if err == nil {
			err = locked(file, func() error { return l.keep(ctx, file, s, answer, at) })
		}
		return l.signedIn(s, file, err)
	}
	form, err := l.form(ctx, k, s, ways == 0)
	if err != nil {
		return err
	}
	done := l.Progress.During("signing in")
	defer done()
	err = locked(file, func() error { return l.signIn(ctx, file, s, form) })
	done()
	return l.signedIn(s, file, err)
}

// signedIn reports a sign-in that succeeded, and returns the error of another.
func (l *login) signedIn(s *session, file string, err error) error {
	if err != nil {
		return err
	}
	fmt.Fprintf(l.Out, "signed in at %s for %s; session %s is stored in %s\n", s.Issuer, s.Audience, l.session, file)
	return nil
}

// findIssuer sets the issuer's URL in s. It returns a cluster only if the login needs one: to read the issuer, or to
// request a token of a ServiceAccount.
func (l *login) findIssuer(ctx context.Context, s *session) (*cluster, error) {
	if s.Issuer != "" && l.account == "" {
		return nil, nil
	}
	k, err := l.connect()
	if err != nil || s.Issuer != "" {
		return k, err
	}
	done := l.Progress.During("reading the issuer")
	defer done()
	name, err := issuerResource.name(l.issuer)
	if err != nil {
		return nil, err
	}
	issuer, err := k.issuer(ctx, name)
	if err != nil {
		return nil, err
	}
	s.Issuer = issuer.Spec.URL
	return k, nil
}

// form returns the token request.
func (l *login) form(ctx context.Context, k *cluster, s *session, browser bool) (url.Values, error) {
	if browser {
		form, err := l.browserForm(ctx, s)
		if err == nil && l.deviceID != "" {
			form.Set(oauth.ParamDeviceID, l.deviceID)
		}
		return form, err
	}
	form := url.Values{oauth.ParamAudience: {l.audience}}
	for name, value := range map[string]string{oauth.ParamScope: l.scope, oauth.ParamDeviceID: l.deviceID} {
		if value != "" {
			form.Set(name, value)
		}
	}
	if l.username != "" {
		password, err := l.password()
		if err != nil {
			return nil, err
		}
		form.Set(oauth.ParamGrantType, oauth.GrantPassword)
		form.Set(oauth.ParamUsername, l.username)
		form.Set(oauth.ParamPassword, password)
		return form, nil
	}
	subject, kind, err := l.subject(ctx, k, s)
	if err != nil {
		return nil, err
	}
	form.Set(oauth.ParamGrantType, oauth.GrantTokenExchange)
	form.Set(oauth.ParamSubjectToken, subject)
	form.Set(oauth.ParamSubjectTokenType, kind)
	return form, nil
}

// subject returns the subject_token and its type (RFC 8693 §2.1).
func (l *login) subject(ctx context.Context, k *cluster, s *session) (subject, kind string, err error) {
	if l.account != "" {
		subject, err = k.serviceAccountToken(ctx, l.account, s.Issuer)
		return subject, oauth.TypeJWT, err
	}
	kind, known := map[string]string{"id_token": oauth.TypeIDToken, "jwt": oauth.TypeJWT}[l.subjectType]
	if !known {
		return "", "", cli.UsageError("--subject-token-type must be id_token or jwt, not %q", l.subjectType)
	}
	if subject, err = l.Read(l.subjectFile); err != nil {
		return "", "", cli.UsageError("--subject-token-file: %v", err)
	}
	return subject, kind, nil
}

// password reads the password from --password-file, or prompts for it on the terminal without an echo.
func (l *login) password() (string, error) {
	if l.passwordFile != "" {
		password, err := l.Read(l.passwordFile)
		if err != nil {
			return "", cli.UsageError("--password-file: %v", err)
		}
		return password, nil
	}
	terminal, ok := l.In.(*os.File)
	if !ok || !cli.IsTerminal(l.In) {
		return "", cli.UsageError("there is no terminal to prompt for the password: set --password-file, or - for stdin")
	}
	// Turn the echo off before the prompt: term.ReadPassword turns it off after the prompt, and a fast user
	// could have typed by then.
	state, err := term.MakeRaw(int(terminal.Fd()))
	if err != nil {
		return "", err
	}
	asker := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{terminal, l.Prompts}, "")
	password, err := asker.ReadPassword("Password of " + l.username + ": ")
	if errors.Is(err, io.EOF) {
		err = cli.UsageError("no password was given")
	}
	return strings.TrimSpace(password), errors.Join(err, term.Restore(int(terminal.Fd()), state))
}

// signIn signs in and stores the session.
func (l *login) signIn(ctx context.Context, file string, s *session, form url.Values) error {
	client, err := l.httpClient("", []byte(s.CA))
	if err != nil {
		return err
	}
	at := l.Clock.Now()
	var answer oauth.TokenAnswer
	if err := post(ctx, client, s.TokenEndpoint, form, &answer); err != nil {
		return err
	}
	return l.keep(ctx, file, s, &answer, at)
}

// keep stores the session of an answer. It then ends an earlier session of the same name.
func (l *login) keep(ctx context.Context, file string, s *session, answer *oauth.TokenAnswer, at time.Time) error {
	if answer.RefreshToken == "" {
		return errors.New("the token service returned no refresh token")
	}
	s.StartedAt = at.UTC().Truncate(time.Second)
	s.RefreshToken = answer.RefreshToken
	if s.Audience == "" {
		if claims, err := readClaims(answer.AccessToken); err == nil {
			s.Audience = claims.Audience
		}
	}
	s.Access = &accessToken{
		Token: answer.AccessToken, Type: answer.TokenType, Scope: answer.Scope,
		ExpiresAt: s.StartedAt.Add(time.Duration(answer.ExpiresIn) * time.Second),
	}
	before, noBefore := loadSession(file)
	if err := s.save(file); err != nil {
		return err
	}
	if noBefore == nil {
		if err := l.endSession(ctx, before); err != nil {
			fmt.Fprintf(l.ErrOut, "warning: the earlier session %s stays active until it expires: %v\n", l.session, err)
		}
	}
	return nil
}

// endSession is end with the certificate authority that the session stores.
func (c *app) endSession(ctx context.Context, s *session) error {
	client, err := c.httpClient("", []byte(s.CA))
	if err != nil {
		return err
	}
	return s.end(ctx, client)
}

// end revokes the session at the token service (RFC 7009).
func (s *session) end(ctx context.Context, client *http.Client) error {
	return post(ctx, client, endpoint.RevokeURL(s.Issuer), url.Values{oauth.ParamToken: {s.RefreshToken}, oauth.ParamTokenTypeHint: {oauth.HintRefreshToken}}, nil)
}

package signin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-logr/logr"
	"golang.org/x/oauth2"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/console"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// Options of New.
type Options struct {
	// Config is one that Load returned.
	*Config
	// API says where the API server is. Its credential is used for impersonation only.
	API *rest.Config
	// BasePath is that of the console: it begins and ends with a slash.
	BasePath string
	Clock    clock.PassiveClock
	Random   io.Reader
	Log      logr.Logger
}

// OIDC signs people in by OpenID Connect. It is a console.SignIn.
type OIDC struct {
	Options
	attempts *attempts
	tickets  *tickets
	provider *remote
	// service is the token service; nil unless its access tokens are forwarded.
	service *remote
	client  client
}

var _ console.SignIn = (*OIDC)(nil)

// New returns an OIDC. It asks the provider nothing until the first sign-in, so that the console starts without it.
func New(o Options) (*OIDC, error) {
	attempts, err := newAttempts(o.Random)
	if err != nil {
		return nil, fmt.Errorf("make the key of sign-ins: %w", err)
	}
	documents := identity.NewProviders(o.Clock)
	s := &OIDC{
		Options: o, attempts: attempts, tickets: newTickets(o.Clock, o.Random),
		provider: newRemote(o.IssuerURL, o.CAFile, documents),
		client:   client{id: o.ClientID, secretFile: o.ClientSecretFile, assertionFile: o.ClientAssertionFile},
	}
	if o.TokenService != nil {
		s.service = newRemote(o.TokenService.IssuerURL, o.TokenService.CAFile, documents)
	}
	return s, nil
}

// Provider implements console.SignIn.
func (s *OIDC) Provider() string {
	at, err := url.Parse(s.IssuerURL)
	if err != nil {
		return s.IssuerURL
	}
	return at.Host
}

// Login implements console.SignIn.
func (s *OIDC) Login(w http.ResponseWriter, r *http.Request, session string) {
	asked := returnPath(r.URL.Query().Get("return"))
	to, err := s.begin(w, r, asked, session)
	if err != nil {
		s.Log.Info("sign-in did not begin", "cause", err.Error())
		reason := wire.ProviderRefused
		var f *failure
		if errors.As(err, &f) {
			reason = f.reason
		}
		to = s.BasePath + console.SignInPage(string(reason), asked)
	}
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // to the provider of the configuration, or to a page of the console
}

// begin returns where the browser signs in.
func (s *OIDC) begin(w http.ResponseWriter, r *http.Request, asked, session string) (string, error) {
	found, err := s.provider.metadata(r.Context())
	if err != nil {
		return "", failedAt(err, wire.ProviderAway)
	}
	if found.Authorization == "" || found.Token == "" {
		return "", failed(wire.ProviderRefused, "the metadata of %s names no https authorization_endpoint and token_endpoint", s.IssuerURL)
	}
	one := &attempt{Return: asked, Session: session, Redirect: s.at(r.Host, "auth/callback"), Until: s.Clock.Now().Add(attemptLife)}
	for _, secret := range []*string{&one.State, &one.Nonce, &one.Verifier} {
		if *secret, err = newSecret(s.Random); err != nil {
			return "", err
		}
	}
	if err := s.attempts.begin(w, r, one); err != nil {
		return "", err
	}
	config := oauth2.Config{ClientID: s.ClientID, Endpoint: oauth2.Endpoint{AuthURL: found.Authorization}, RedirectURL: one.Redirect, Scopes: s.Scopes}
	options := []oauth2.AuthCodeOption{oidc.Nonce(one.Nonce), oauth2.S256ChallengeOption(one.Verifier)}
	if s.Forward == AccessToken {
		// The access token is for the API server (RFC 8707 §2).
		options = append(options, oauth2.SetAuthURLParam("resource", s.TokenService.Audience))
	}
	return config.AuthCodeURL(one.State, options...), nil
}

// at returns the URL of a path of the console. The console has checked the host.
func (s *OIDC) at(host, path string) string { return "https://" + host + s.BasePath + path }

func newSecret(random io.Reader) (string, error) {
	raw := make([]byte, secretBytes)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", fmt.Errorf("make a secret of a sign-in: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// Callback implements console.SignIn.
func (s *OIDC) Callback(w http.ResponseWriter, r *http.Request) (console.Arrival, error) {
	given := r.URL.Query()
	one, err := s.attempts.take(w, r, single(given, "state"), s.Clock.Now())
	if err == nil && one.Redirect != s.at(r.Host, "auth/callback") {
		err = errors.New("it was begun under another host name")
	}
	if err != nil {
		return console.Arrival{}, failed(wire.NotBegunHere, "%w", err)
	}
	credential, err := s.finish(r, one, given)
	return console.Arrival{Credential: credential, Path: one.Return, Session: one.Session}, err
}

// finish returns the credential of a sign-in that this browser began.
func (s *OIDC) finish(r *http.Request, one *attempt, given url.Values) (*console.Credential, error) {
	code, err := s.answered(r.Context(), given)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	if s.Forward == AccessToken {
		// The token service records the device. A provider need not know it.
		ctx = withAgent(ctx, agentOf(r))
	}
	got, err := s.provider.grant(ctx, &s.client, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {one.Redirect}, "code_verifier": {one.Verifier},
	})
	if err != nil {
		return nil, failedAt(err, wire.ProviderRefused)
	}
	proven, err := s.verify(r.Context(), textOf(got, "id_token"))
	if err == nil && proven.text("nonce") != one.Nonce {
		err = errors.New("the id_token has the nonce of another sign-in")
	}
	if err != nil {
		if s.Forward == AccessToken {
			// The sign-in has begun a session.
			begun := &session{login: &login{OIDC: s, agent: agentOf(r)}, refresh: got.RefreshToken}
			begun.drop(context.WithoutCancel(r.Context()))
		}
		return nil, failedAt(err, wire.NotTrusted)
	}
	l := &login{OIDC: s, agent: agentOf(r), host: r.Host, nonce: one.Nonce, id: proven, refresh: got.RefreshToken}
	return l.first(r.Context(), proven, got)
}

// answered reads the code of the provider's answer (RFC 6749 §4.1.2, RFC 9207).
func (s *OIDC) answered(ctx context.Context, given url.Values) (code string, err error) {
	found, err := s.provider.metadata(ctx)
	if err != nil {
		return "", failedAt(err, wire.ProviderAway)
	}
	if given.Has("iss") || found.NamesIssuer {
		if single(given, "iss") != s.IssuerURL {
			return "", failed(wire.NotTrusted, "the answer is that of another provider")
		}
	}
	if given.Has("error") {
		return "", failed(meaning(single(given, "error")), "the provider answers with the error %.64q", single(given, "error"))
	}
	if code = single(given, "code"); code == "" {
		return "", failed(wire.NotTrusted, "the answer of the provider has no code")
	}
	return code, nil
}

// meaning returns the failure that an error of the provider stands for (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6).
func meaning(code string) wire.SignInFailure {
	switch code {
	case "access_denied", "interaction_required", "login_required", "account_selection_required", "consent_required":
		return wire.AccessDenied
	case "server_error", "temporarily_unavailable":
		return wire.ProviderAway
	default:
		return wire.ProviderRefused
	}
}

// single returns a parameter that is there once; empty for another.
func single(given url.Values, name string) string {
	if len(given[name]) != 1 {
		return ""
	}
	return given[name][0]
}

// proven is an id_token that was verified.
type proven struct {
	compact string
	until   time.Time
	claims  map[string]json.RawMessage
}

func (p *proven) text(claim string) string {
	var text string
	if json.Unmarshal(p.claims[claim], &text) != nil {
		return ""
	}
	return text
}

// verify verifies an id_token of the provider for the console.
func (s *OIDC) verify(ctx context.Context, compact string) (*proven, error) {
	entry, err := s.provider.entry()
	if err != nil {
		return nil, err
	}
	entry.Audiences = []string{s.ClientID}
	entry.SubjectClaim = s.UsernameClaim
	if _, err := s.provider.documents.Verify(ctx, entry, compact); err != nil {
		if errors.Is(err, upstream.ErrUnavailable) {
			return nil, err
		}
		return nil, errors.New("the id_token is not a valid one for the console")
	}
	// It has three parts, since it was verified.
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[1])
	if err != nil {
		return nil, errors.New("the id_token cannot be read")
	}
	one := &proven{compact: compact}
	var ends struct {
		Expires float64 `json:"exp"`
	}
	if json.Unmarshal(payload, &one.claims) != nil || json.Unmarshal(payload, &ends) != nil {
		return nil, errors.New("the id_token cannot be read")
	}
	one.until = time.Unix(int64(ends.Expires), 0)
	return one, nil
}

// longestAgent is the longest User-Agent that is passed on, in bytes.
const longestAgent = 512

// agentOf returns the User-Agent of a person's browser, for the token service to record.
func agentOf(r *http.Request) string {
	agent := r.UserAgent()
	if len(agent) > longestAgent {
		agent = agent[:longestAgent]
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return -1
		}
		return c
	}, agent)
}

func textOf(got *oauth2.Token, name string) string {
	text, _ := got.Extra(name).(string)
	return text
}

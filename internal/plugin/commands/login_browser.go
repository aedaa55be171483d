package commands

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"golang.org/x/oauth2"

	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
	"github.com/refreshkeys/refreshkeys/internal/serving"
)

const (
	// callbackPath is the path of the redirect URI, which the issuer must declare as http://127.0.0.1/callback.
	callbackPath = "/callback"
	// signInTime is how long a person can take to sign in.
	signInTime = 10 * time.Minute
)

// browserForm signs a person in with the browser, and returns the token request that redeems the code (RFC 8252, RFC 7636).
func (l *login) browserForm(ctx context.Context, s *session) (url.Values, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on 127.0.0.1 for the browser: %w", err)
	}
	a := &attempt{issuer: s.Issuer, state: rand.Text(), results: make(chan result, 1)}
	server := serving.NewHTTPServer(a, nil)
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	verifier, redirect := oauth2.GenerateVerifier(), "http://"+listener.Addr().String()+callbackPath
	query := url.Values{
		oauth.ParamResponseType: {oauth.ResponseTypeCode}, oauth.ParamClientID: {l.client}, oauth.ParamRedirectURI: {redirect}, oauth.ParamState: {a.state},
		oauth.ParamCodeChallenge: {oauth2.S256ChallengeFromVerifier(verifier)}, oauth.ParamCodeChallengeMethod: {oauth.ChallengeS256},
	}
	for name, value := range map[string]string{oauth.ParamScope: l.scope, oauth.ParamResource: l.audience, oauth.ParamLoginHint: l.hint} {
		if value != "" {
			query.Set(name, value)
		}
	}
	page := endpoint.AuthorizeURL(s.Issuer) + "?" + query.Encode()
	fmt.Fprintf(l.ErrOut, "Sign in with the browser:\n%s\n", page)
	if !l.noBrowser {
		folder, err := makeFolder(l.Getenv("HOME"))
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(folder) }()
		l.open(folder, page)
	}
	defer l.Progress.During("waiting for the browser")()
	select {
	case got := <-a.results:
		if got.err != nil {
			return nil, got.err
		}
		return url.Values{
			oauth.ParamGrantType: {oauth.GrantAuthorizationCode}, oauth.ParamClientID: {l.client}, oauth.ParamCode: {got.code},
			oauth.ParamRedirectURI: {redirect}, oauth.ParamCodeVerifier: {verifier},
		}, nil
	case <-l.Clock.After(signInTime):
		return nil, fmt.Errorf("there was no sign-in within %s: run the command again", signInTime)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// attempt is one sign-in that waits for the browser.
type attempt struct {
	issuer, state string
	results       chan result
}

// result is the answer that the browser brought.
type result struct {
	code string
	err  error
}

// ServeHTTP takes the answer of the token service (RFC 6749 §4.1.2, RFC 9207). Requests with another state, such as of another page in the
// browser, do not end the attempt.
func (a *attempt) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet || r.URL.Path != callbackPath || query.Get(oauth.ParamState) != a.state || query.Get(oauth.ParamIssuer) != a.issuer {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintln(w, "This is not the answer that kubectl refreshkey login waits for.")
		return
	}
	got := result{code: query.Get(oauth.ParamCode)}
	switch code := oauth.Code(query.Get(oauth.ParamError)); {
	case code != "":
		got.err = cli.Fail(cli.ExitRefused, "the sign-in was refused: %s: %s", code, query.Get(oauth.ParamErrorDescription))
	case got.code == "":
		got.err = errors.New("the token service returned no code")
	}
	status, text := http.StatusOK, "You are signed in. You can close this page, and go back to the terminal.\n"
	if got.err != nil {
		status, text = http.StatusBadRequest, "You are not signed in. You can close this page; the terminal says why.\n"
	}
	// The command ends with the answer, which has to be whole by then.
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
	if flusher, can := w.(http.Flusher); can {
		flusher.Flush()
	}
	select {
	case a.results <- got:
	default:
		// The browser brought the answer twice.
	}
}

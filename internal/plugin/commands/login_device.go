package commands

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// shortestPoll is the shortest time between two polls, also if the token service asks for less (RFC 8628 §3.5).
const shortestPoll = time.Second

// signInDevice shows a code, and polls until a person has signed in with another machine (RFC 8628). It returns the answer with the
// tokens, and when it was asked for.
func (l *login) signInDevice(ctx context.Context, s *session) (*oauth.TokenAnswer, time.Time, error) {
	client, err := l.httpClient("", []byte(s.CA))
	if err != nil {
		return nil, time.Time{}, err
	}
	var begun oauth.DeviceAnswer
	if err := post(ctx, client, endpoint.DeviceAuthorizationURL(s.Issuer), url.Values{oauth.ParamClientID: {l.client}}, &begun); err != nil {
		return nil, time.Time{}, err
	}
	fmt.Fprintf(l.ErrOut, "Open %s with a browser, and enter the code %s\n", begun.VerificationURI, begun.UserCode)
	if begun.VerificationURIComplete != "" {
		fmt.Fprintf(l.ErrOut, "or open %s\n", begun.VerificationURIComplete)
	}
	defer l.Progress.During("waiting for the sign-in")()
	form := url.Values{oauth.ParamGrantType: {oauth.GrantDeviceCode}, oauth.ParamClientID: {l.client}, oauth.ParamDeviceCode: {begun.DeviceCode}}
	wait, end := max(shortestPoll, time.Duration(begun.Interval)*time.Second), l.Clock.Now().Add(time.Duration(begun.ExpiresIn)*time.Second)
	for l.Clock.Now().Before(end) {
		select {
		case <-l.Clock.After(wait):
		case <-ctx.Done():
			return nil, time.Time{}, ctx.Err()
		}
		at := l.Clock.Now()
		var answer oauth.TokenAnswer
		err := post(ctx, client, s.TokenEndpoint, form, &answer)
		var refused *refusal
		switch {
		case err == nil:
			return &answer, at, nil
		case !errors.As(err, &refused):
			return nil, time.Time{}, err
		case refused.code == oauth.SlowDown:
			wait += 5 * time.Second
		case refused.code == oauth.AuthorizationPending, !refused.final():
		default:
			return nil, time.Time{}, err
		}
	}
	return nil, time.Time{}, cli.Fail(cli.ExitTimedOut, "there was no sign-in before the code ended: run the command again")
}

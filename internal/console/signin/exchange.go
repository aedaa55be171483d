package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/internal/console"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// Parameters of RFC 8693.
const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeIDToken   = "urn:ietf:params:oauth:token-type:id_token" //nolint:gosec // the name of a type
)

// session is the session at the token service that an exchange began, or the sign-in itself.
type session struct {
	login *login

	mu sync.Mutex
	// refresh is the current refresh token, for one use; empty when the session has ended.
	refresh string
	// own is the access token for the person's own sessions, and until when it is good.
	own      string
	ownUntil time.Time
}

// exchange begins a session at the token service with the id_token.
func (l *login) exchange(ctx context.Context) (*console.Credential, error) {
	got, err := l.service.grant(withAgent(ctx, l.agent), &client{}, url.Values{
		"grant_type": {grantExchange}, "subject_token": {l.id.compact}, "subject_token_type": {typeIDToken}, "audience": {l.TokenService.Audience},
	})
	if err != nil {
		return nil, failedAt(err, wire.NotGranted)
	}
	s := &session{login: l, refresh: got.RefreshToken}
	return s.credential(got), nil
}

func (s *session) credential(got *oauth2.Token) *console.Credential {
	config := rest.AnonymousClientConfig(s.login.API)
	config.BearerToken = got.AccessToken
	return &console.Credential{
		Config: config, Means: wire.Exchange, Until: s.endOf(got), Renew: s.renew, Drop: s.drop, OwnSessions: s,
		End: func(ctx context.Context) string {
			s.drop(ctx)
			return s.login.leave(ctx)
		},
	}
}

// endOf returns the end of an access token. The token service always says it.
func (s *session) endOf(got *oauth2.Token) time.Time {
	seconds, _ := got.Extra("expires_in").(float64)
	return s.login.Clock.Now().Add(time.Duration(seconds) * time.Second)
}

// nextTimeout bounds next: it has time for two answers.
const nextTimeout = 2*remoteTimeout + 4*time.Second

// next exchanges the refresh token for an access token, and keeps the refresh token that follows. The caller holds mu.
//
// It does not end with its caller, and it repeats a request whose answer was lost: the service may have recorded the token that
// follows, and takes the earlier one for a stolen one a little later.
func (s *session) next(ctx context.Context, more url.Values) (*oauth2.Token, error) {
	if s.refresh == "" {
		return nil, errEnded
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s.refresh}}
	for name, values := range more {
		form[name] = values
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(withAgent(ctx, s.login.agent)), nextTimeout)
	defer cancel()
	got, err := s.login.service.grant(ctx, &client{}, form)
	if isLost(err) {
		got, err = s.login.service.grant(ctx, &client{}, form)
	}
	if err != nil {
		return nil, err
	}
	s.refresh = got.RefreshToken
	return got, nil
}

func (s *session) renew(ctx context.Context) (*console.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	got, err := s.next(ctx, nil)
	if err != nil {
		return nil, err
	}
	return s.credential(got), nil
}

// drop ends the session at the token service. Another caller waits until that is done, and tries again after a failure.
func (s *session) drop(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own = ""
	if s.refresh == "" {
		return
	}
	if err := s.login.service.revoke(withAgent(ctx, s.login.agent), &client{}, s.refresh); err != nil {
		s.login.Log.Info("a session at the token service was not revoked", "cause", err.Error())
		return
	}
	s.refresh = ""
}

// ownBefore is how long before its end the access token for the person's own sessions is replaced.
const ownBefore = 30 * time.Second

// access returns an access token for the person's own sessions.
func (s *session) access(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own != "" && s.login.Clock.Now().Before(s.ownUntil.Add(-ownBefore)) {
		return s.own, nil
	}
	got, err := s.next(ctx, url.Values{"resource": {s.login.TokenService.IssuerURL}, "scope": {"sessions"}})
	if err != nil {
		return "", err
	}
	s.own, s.ownUntil = got.AccessToken, s.endOf(got)
	return s.own, nil
}

// ask sends a request for the person's own sessions. A token that the service refuses is replaced once.
func (s *session) ask(ctx context.Context, method, path string, body, into any) error {
	for again := true; ; again = false {
		access, err := s.access(ctx)
		if err != nil {
			return explained(err, 0)
		}
		code, err := s.send(ctx, method, path, access, body, into)
		if err == nil {
			return nil
		}
		if code != http.StatusUnauthorized || !again {
			return explained(err, code)
		}
		s.mu.Lock()
		s.own = ""
		s.mu.Unlock()
	}
}

// send sends one request to the token service, and reads its answer.
func (s *session) send(ctx context.Context, method, path, access string, body, into any) (code int, err error) {
	var sent strings.Builder
	if body != nil {
		if err := json.NewEncoder(&sent).Encode(body); err != nil {
			return 0, err
		}
	}
	request, err := http.NewRequestWithContext(withAgent(ctx, s.login.agent), method, s.login.TokenService.IssuerURL+path, strings.NewReader(sent.String()))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+access)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := s.login.service.connection.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return response.StatusCode, fmt.Errorf("%s of the token service answers %d", path, response.StatusCode)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return response.StatusCode, fmt.Errorf("the answer of %s cannot be read: %w", path, err)
	}
	return response.StatusCode, nil
}

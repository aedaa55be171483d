package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	timeout    = 10 * time.Second
	mostAnswer = 64 << 10
)

// kept is the reused connection, with the CA with which it was opened.
var kept struct {
	client    *http.Client
	authority []byte
}

// tokenService is the token endpoint of one Secret.
type tokenService struct {
	secret         secret
	keepConnection bool
}

func (s *tokenService) client() (*http.Client, error) {
	if s.keepConnection && kept.client != nil && bytes.Equal(kept.authority, s.secret.authority) {
		return kept.client, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.secret.authority) {
		return nil, errors.New("ca.crt holds no certificate")
	}
	client := &http.Client{Timeout: timeout, Transport: &http.Transport{
		DisableKeepAlives: !s.keepConnection,
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
	if s.keepConnection {
		kept.client, kept.authority = client, s.secret.authority
	}
	return client, nil
}

// refresh exchanges the refresh token (RFC 6749 section 6) and returns an access token. The
// error of a refusal is its code.
func (s *tokenService) refresh() (string, error) {
	client, err := s.client()
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s.secret.token}}
	response, err := client.PostForm(s.secret.endpoint, form)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, mostAnswer)).Decode(&answer); err != nil {
		return "", fmt.Errorf("HTTP %d, but not JSON: %w", response.StatusCode, err)
	}
	switch {
	case answer.Error != "":
		return "", errors.New(answer.Error)
	case response.StatusCode != http.StatusOK || answer.AccessToken == "":
		return "", fmt.Errorf("HTTP %d without an access token", response.StatusCode)
	}
	return answer.AccessToken, nil
}

// verify verifies an access token as an API does: it trusts only the published keys
// and the issuer in the token.
func (s *tokenService) verify(access string) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	issuer := strings.TrimSuffix(s.secret.endpoint, "/token")
	response, err := client.Get(issuer + "/jwks.json")
	if err != nil {
		return fmt.Errorf("published keys: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(io.LimitReader(response.Body, mostAnswer)).Decode(&keys); err != nil {
		return fmt.Errorf("published keys: %w", err)
	}
	parsed, err := jwt.ParseSigned(access, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA})
	if err != nil {
		return fmt.Errorf("access token: %w", err)
	}
	var claims jwt.Claims
	if err := parsed.Claims(&keys, &claims); err != nil {
		return fmt.Errorf("access token: %w", err)
	}
	if err := claims.Validate(jwt.Expected{Issuer: issuer, Time: time.Now()}); err != nil {
		return fmt.Errorf("access token: %w", err)
	}
	return nil
}

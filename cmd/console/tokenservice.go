package main

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/console"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// tokenServiceTimeout limits one request to the token service.
const tokenServiceTimeout = 10 * time.Second

// tokenService returns where the public keys of issuers are read; nil if the address is empty. caFile holds the certificate
// authority of the token service in PEM, and need not exist: a publicly trusted certificate is accepted, too.
func tokenService(address, caFile string) (*console.TokenService, error) {
	if address == "" {
		return nil, nil //nolint:nilnil // the console takes nil for none
	}
	base, err := url.Parse(address)
	if err != nil || base.Scheme != "https" || base.Host == "" || base.Path != "" || base.RawQuery != "" {
		return nil, errors.New("--token-service must be https:// and a host, without a path, such as https://refreshkeys-tokenserver.refreshkeys-system.svc")
	}
	return &console.TokenService{Base: base, Client: &http.Client{
		Timeout:       tokenServiceTimeout,
		Transport:     &upstream.Trusting{File: caFile, WithSystem: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

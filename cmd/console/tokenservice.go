package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/console"
)

// tokenServiceTimeout limits one request to the token service.
const tokenServiceTimeout = 10 * time.Second

// tokenService returns where the public keys of issuers are read; nil if the address is empty. caFile holds the certificate
// authority of the token service in PEM; if it is empty, the service's certificate must be publicly trusted.
func tokenService(address, caFile string) (*console.TokenService, error) {
	if address == "" {
		return nil, nil //nolint:nilnil // the console takes nil for none
	}
	base, err := url.Parse(address)
	if err != nil || base.Scheme != "https" || base.Host == "" || base.Path != "" || base.RawQuery != "" {
		return nil, errors.New("--token-service must be https:// and a host, without a path, such as https://refreshkeys-tokenserver.refreshkeys-system.svc")
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile) //nolint:gosec // the flag names the file
		if err != nil {
			return nil, fmt.Errorf("--token-service-ca-file: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--token-service-ca-file: %s holds no certificate in PEM", caFile)
		}
	}
	return &console.TokenService{Base: base, Client: &http.Client{
		Timeout:       tokenServiceTimeout,
		Transport:     &http.Transport{TLSClientConfig: settings, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

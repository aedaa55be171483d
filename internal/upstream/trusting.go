package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"sync"
)

// Trusting is an http.RoundTripper that verifies servers with the certificate authorities of a file. It reads the file at each request,
// since the authorities change without a restart.
type Trusting struct {
	// File holds the authorities in PEM; empty for those of the system.
	File string
	// WithSystem is true if the authorities of the system apply, too, and alone while the file does not exist.
	WithSystem bool

	mu        sync.Mutex
	bundle    string
	transport *http.Transport
}

// RoundTrip implements http.RoundTripper. Its error is ErrUnavailable if the file cannot be used.
func (t *Trusting) RoundTrip(request *http.Request) (*http.Response, error) {
	transport, err := t.current()
	if err != nil {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, err
	}
	return transport.RoundTrip(request)
}

// CloseIdleConnections lets http.Client close those of the transport.
func (t *Trusting) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.transport != nil {
		t.transport.CloseIdleConnections()
	}
}

// current returns a transport with the authorities that the file holds now.
func (t *Trusting) current() (*http.Transport, error) {
	bundle, err := t.read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.transport != nil && t.bundle == bundle {
		return t.transport, nil
	}
	made := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	if bundle != "" {
		roots, err := t.roots()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if !roots.AppendCertsFromPEM([]byte(bundle)) {
			return nil, fmt.Errorf("%w: %s holds no certificate", ErrUnavailable, t.File)
		}
		made.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	if t.transport != nil {
		t.transport.CloseIdleConnections()
	}
	t.bundle, t.transport = bundle, made
	return made, nil
}

// roots returns the authorities that those of the file are added to.
func (t *Trusting) roots() (*x509.CertPool, error) {
	if t.WithSystem {
		return x509.SystemCertPool()
	}
	return x509.NewCertPool(), nil
}

// read returns the content of the file; empty for the authorities of the system.
func (t *Trusting) read() (string, error) {
	if t.File == "" {
		return "", nil
	}
	bundle, err := os.ReadFile(t.File)
	if t.WithSystem && errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err == nil && len(bundle) == 0 {
		err = fmt.Errorf("%s is empty", t.File)
	}
	return string(bundle), err
}

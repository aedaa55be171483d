package commands

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

const (
	formType = "application/x-www-form-urlencoded"
	// responseTimeout limits one request to the token service.
	responseTimeout = 20 * time.Second
	// maxResponse is the number of bytes that are read of a response.
	maxResponse = 1 << 20
)

// httpClient returns a client that trusts the system's CAs, those in caFile and those in ca.
func (c *app) httpClient(caFile string, ca []byte) (*http.Client, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile) //nolint:gosec // the user names the file
		if err != nil {
			return nil, cli.UsageError("--ca-file: %v", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, cli.UsageError("--ca-file %s holds no certificate in PEM", caFile)
		}
	}
	pool.AppendCertsFromPEM(ca)
	return &http.Client{
		Timeout: responseTimeout,
		Transport: named{c.Logged(&http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		})},
		// A redirect would send the token to another server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// named sends requests with a User-Agent that names the plugin and the operating system, as people see it in the list of their sessions.
type named struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (n named) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	// The words of browsers, which the token service knows.
	system := map[string]string{"darwin": "Macintosh", "linux": "Linux", "windows": "Windows NT 10.0"}[runtime.GOOS]
	request.Header.Set("User-Agent", fmt.Sprintf("kubectl-refreshkey (%s)", cmp.Or(system, runtime.GOOS)))
	return n.RoundTripper.RoundTrip(request)
}

// refusal is an OAuth error of the token service.
type refusal struct {
	status int
	code   oauth.Code
	text   string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the token service answered %d %s: %s", r.status, r.code, r.text)
}

// final reports whether a retry cannot succeed.
func (r *refusal) final() bool {
	return r.status < http.StatusInternalServerError && r.status != http.StatusTooManyRequests
}

// post sends a form to an endpoint and decodes the answer into into, which may be nil.
func post(ctx context.Context, client *http.Client, endpoint string, form url.Values, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", formType)
	return send(client, request, into)
}

// send sends a request to the token service and decodes the answer into into, which may be nil.
func send(client *http.Client, request *http.Request, into any) error {
	// The request holds bearer credentials: they must not be readable on the way (RFC 6749 §10.4).
	if request.URL.Scheme != "https" {
		return cli.UsageError("%s is not an https URL: tokens and passwords are sent only over TLS", request.URL)
	}
	response, err := client.Do(request)
	if err != nil {
		return unreachable(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return unreachable(err)
	}
	if response.StatusCode == http.StatusOK {
		if into == nil {
			return nil
		}
		if err := json.Unmarshal(body, into); err != nil {
			// The cause could contain a part of the answer.
			return fmt.Errorf("%s answered 200, but not as a token service does", request.URL)
		}
		return nil
	}
	var answered oauth.ErrorAnswer
	if err := json.Unmarshal(body, &answered); err != nil || answered.Error == "" {
		return fmt.Errorf("%s answered %s, but not as a token service does", request.URL, response.Status)
	}
	answer := &refusal{status: response.StatusCode, code: answered.Error, text: answered.Description}
	if answer.final() {
		return &cli.CodedError{Code: cli.ExitRefused, Err: answer}
	}
	return answer
}

// unreachable wraps a transport error. For a certificate that is not trusted, it names --ca-file.
func unreachable(err error) error {
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return fmt.Errorf("the token service cannot be reached: %w: set its CA certificate with --ca-file", err)
	}
	return fmt.Errorf("the token service cannot be reached: %w", err)
}

package upstream

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/authority"
)

// closed remembers that a body was closed, as a RoundTripper must.
type closed struct {
	io.Reader
	done bool
}

// Close implements io.Closer.
func (c *closed) Close() error {
	c.done = true
	return nil
}

// TestTrusting changes the file of the authorities while a client uses it.
func TestTrusting(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(server.Close)
	ours := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	for _, c := range []struct {
		name   string
		system bool
		// contents are those of the file, one after the other; "-" for no file.
		contents []string
		want     []string
	}{
		{"the authority", false, []string{ours, ours}, []string{"", ""}},
		{"a file that comes later", false, []string{"-", ours}, []string{"no such file", ""}},
		{"a file that comes later, beside those of the system", true, []string{"-", ours}, []string{"certificate", ""}},
		{"a file that goes, beside those of the system", true, []string{ours, "-"}, []string{"", "certificate"}},
		{"a file that is damaged for a while", true, []string{ours, "text", ours}, []string{"", "holds no certificate", ""}},
		{"a file that is empty", true, []string{""}, []string{"is empty"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "ca.crt")
			client := &http.Client{Transport: &Trusting{File: file, WithSystem: c.system}}
			for i, content := range c.contents {
				if err := os.RemoveAll(file); err != nil {
					t.Fatal(err)
				}
				if content != "-" {
					if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				body := &closed{Reader: strings.NewReader("form")}
				answer, err := client.Post(server.URL, "text/plain", body)
				if err == nil {
					_ = answer.Body.Close()
				}
				if (err == nil) != (c.want[i] == "") || (err != nil && !strings.Contains(err.Error(), c.want[i])) {
					t.Errorf("request %d: %v, want %q", i+1, err, c.want[i])
				}
				if unusable := err != nil && c.want[i] != "certificate"; errors.Is(err, ErrUnavailable) != unusable {
					t.Errorf("request %d: %v is ErrUnavailable: %t", i+1, err, !unusable)
				}
				if err != nil && !body.done {
					t.Errorf("request %d: the body is not closed", i+1)
				}
			}
		})
	}
}

// public is a certificate authority that the system trusts.
var public authority.Authority

// TestMain makes the system trust one authority, before the first certificate is verified.
func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "upstream-")
	if err == nil {
		_, err = public.Advance(time.Now())
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "system.crt"), public.Bundle(), 0o600)
	}
	if err != nil {
		panic(err)
	}
	_ = os.Setenv("SSL_CERT_FILE", filepath.Join(folder, "system.crt"))
	_ = os.Setenv("SSL_CERT_DIR", filepath.Join(folder, "none"))
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// TestTrustingAFileAndTheSystem checks which servers are trusted with a file, and with the authorities of the system beside it.
func TestTrustingAFileAndTheSystem(t *testing.T) {
	private := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(private.Close)
	pair, err := public.Issue([]string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	trusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	trusted.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	trusted.StartTLS()
	t.Cleanup(trusted.Close)
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: private.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, url       string
		system, answers bool
	}{
		{"a private server, by the file", private.URL, false, true},
		{"a public server, by the file", trusted.URL, false, false},
		{"a private server, by the file and the system", private.URL, true, true},
		{"a public server, by the file and the system", trusted.URL, true, true},
	} {
		answer, err := (&http.Client{Transport: &Trusting{File: file, WithSystem: c.system}}).Get(c.url)
		if err == nil {
			_ = answer.Body.Close()
		}
		if (err == nil) != c.answers {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestTrustingTheSystem checks that without a file, the authorities of the system apply.
func TestTrustingTheSystem(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	if answer, err := (&http.Client{Transport: &Trusting{}}).Get(server.URL); err == nil || errors.Is(err, ErrUnavailable) {
		if answer != nil {
			_ = answer.Body.Close()
		}
		t.Errorf("a server with a certificate of its own: %v", err)
	}
}

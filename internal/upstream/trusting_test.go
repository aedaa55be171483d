package upstream

import (
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		name     string
		optional bool
		// contents are those of the file, one after the other; "-" for no file.
		contents []string
		want     []string
	}{
		{"the authority", false, []string{ours, ours}, []string{"", ""}},
		{"a file that comes later", false, []string{"-", ours}, []string{"no such file", ""}},
		{"a file that comes later, where it is optional", true, []string{"-", ours}, []string{"certificate", ""}},
		{"a file that goes, where it is optional", true, []string{ours, "-"}, []string{"", "certificate"}},
		{"a file that is damaged for a while", true, []string{ours, "text", ours}, []string{"", "holds no certificate", ""}},
		{"a file that is empty", true, []string{""}, []string{"is empty"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "ca.crt")
			client := &http.Client{Transport: &Trusting{File: file, Optional: c.optional}}
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

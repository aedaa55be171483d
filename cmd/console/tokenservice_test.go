package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// TestTokenService checks what the flags accept, that the service's certificate is verified, and that no redirect is followed.
func TestTokenService(t *testing.T) {
	service := httptest.NewTLSServer(http.RedirectHandler("https://elsewhere.example.com", http.StatusFound))
	t.Cleanup(service.Close)
	dir := t.TempDir()
	ca, text := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "text")
	for file, content := range map[string][]byte{
		ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: service.Certificate().Raw}), text: []byte("no certificate"),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if made, err := tokenService("", ""); made != nil || err != nil {
		t.Errorf("without --token-service: %v, %v", made, err)
	}
	for name, c := range map[string]struct{ address, ca string }{
		"plain http": {"http://tokens.example.com", ""}, "a path": {"https://tokens.example.com/token", ""}, "no host": {"https://", ""},
		"no file": {service.URL, filepath.Join(dir, "none")}, "no certificate": {service.URL, text},
	} {
		if _, err := tokenService(c.address, c.ca); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	made, err := tokenService(service.URL, ca)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := made.Client.Get(made.Base.String())
	if err != nil {
		t.Fatalf("the certificate authority of the file is not used: %v", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusFound {
		t.Errorf("a redirect is followed: %s", answer.Status)
	}
	made, err = tokenService(service.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := made.Client.Get(made.Base.String()); err == nil {
		_ = answer.Body.Close()
		t.Error("a certificate of an authority that is not trusted is accepted")
	}
}

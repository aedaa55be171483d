package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// TestTokenService checks what the flags accept, that the service's certificate is verified, also with a file that comes after the
// start, and that no redirect is followed.
func TestTokenService(t *testing.T) {
	service := httptest.NewTLSServer(http.RedirectHandler("https://elsewhere.example.com", http.StatusFound))
	t.Cleanup(service.Close)
	if made, err := tokenService("", ""); made != nil || err != nil {
		t.Errorf("without --token-service: %v, %v", made, err)
	}
	for name, address := range map[string]string{
		"plain http": "http://tokens.example.com", "a path": "https://tokens.example.com/token", "no host": "https://",
	} {
		if _, err := tokenService(address, ""); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	ca := filepath.Join(t.TempDir(), "ca.crt")
	made, err := tokenService(service.URL, ca)
	if err != nil {
		t.Fatalf("a file that does not exist yet: %v", err)
	}
	if answer, err := made.Client.Get(made.Base.String()); err == nil {
		_ = answer.Body.Close()
		t.Error("a certificate of an authority that is not trusted is accepted")
	}
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: service.Certificate().Raw})
	if err := os.WriteFile(ca, bundle, 0o600); err != nil {
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
}

package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestGeneratedCertificates(t *testing.T) {
	keys := pki(t.TempDir())
	now := time.Now()
	if err := keys.generate(now); err != nil {
		t.Fatal(err)
	}
	authority := x509.NewCertPool()
	authority.AddCert(readCertificate(t, keys.certificate(authorityIdentity)))

	serving := readCertificate(t, keys.certificate(servingIdentity))
	for _, host := range []string{"127.0.0.1", "localhost", "10.0.0.1", "kubernetes.default.svc"} {
		options := x509.VerifyOptions{Roots: authority, DNSName: host, CurrentTime: now.AddDate(5, 0, 0)}
		if _, err := serving.Verify(options); err != nil {
			t.Errorf("serving certificate for %s: %v", host, err)
		}
	}

	clientOnly := x509.VerifyOptions{Roots: authority, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, name := range []string{adminIdentity, controllerManagerIdentity, etcdClientIdentity} {
		if _, err := readCertificate(t, keys.certificate(name)).Verify(clientOnly); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := tls.LoadX509KeyPair(keys.certificate(name), keys.key(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := serving.Verify(clientOnly); err == nil {
		t.Error("the serving certificate is accepted as a client certificate")
	}

	groups := readCertificate(t, keys.certificate(adminIdentity)).Subject.Organization
	if len(groups) != 1 || groups[0] != "system:masters" {
		t.Errorf("the administrator is in groups %q", groups)
	}
}

func TestGeneratedKeysAreTheOwnersOnly(t *testing.T) {
	keys := pki(t.TempDir())
	if err := keys.generate(time.Now()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(string(keys), "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files %v, error %v", files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", file, info.Mode().Perm())
		}
	}
}

func readCertificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	if block == nil {
		t.Fatalf("%s holds no PEM", path)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

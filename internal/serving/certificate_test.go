package serving

import (
	"context"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/authority"
)

// TestCertificateReadsTheWholeChain checks that a chain with a part that is not a certificate is not served.
func TestCertificateReadsTheWholeChain(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	owner := &authority.Authority{}
	if _, err := owner.Advance(now); err != nil {
		t.Fatal(err)
	}
	pair, err := owner.Issue([]string{"tokens.example.com"}, now)
	if err != nil {
		t.Fatal(err)
	}
	block := func(body string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(body)})
	}
	for _, c := range []struct {
		name    string
		chain   []byte
		refused string
	}{
		{"alone", pair.Certificate, ""},
		{"with its authority", slices.Concat(pair.Certificate, owner.Bundle()), ""},
		{"with a part that is none", slices.Concat(pair.Certificate, block("none")), "not a certificate"},
		{"with 200 KiB of noise", slices.Concat(pair.Certificate, block(strings.Repeat("noise", 40<<10))), "not a certificate"},
		{"with a very long chain", slices.Concat(pair.Certificate, []byte(strings.Repeat(string(owner.Bundle()), 300))), "longer than"},
		{"with a private key", slices.Concat(pair.Certificate, owner.Current.Key), ""},
	} {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "refreshkeys-system", Name: "tls"},
			Data:       map[string][]byte{corev1.TLSCertKey: c.chain, corev1.TLSPrivateKeyKey: pair.Key},
		}
		certificate := NewCertificate(OfSecret(fake.NewClientset(secret), secret.Namespace, secret.Name), clocktesting.NewFakeClock(now), logr.Discard())
		_, err := certificate.read(context.Background(), nil)
		if (err != nil) != (c.refused != "") || (err != nil && !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: %v", c.name, err)
		}
		if (certificate.Ready() == nil) != (c.refused == "") {
			t.Errorf("%s: Ready returns %v", c.name, certificate.Ready())
		}
		if err == nil && slices.ContainsFunc(certificate.current.Load().Certificate, func(raw []byte) bool { return strings.Contains(string(raw), "KEY") }) {
			t.Errorf("%s: more than certificates is served", c.name)
		}
	}
}

// TestACertificateOfADirectory checks that a mounted Secret is read again, and that a pair that is not whole does not take the place
// of a good one.
func TestACertificateOfADirectory(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	owner := &authority.Authority{}
	if _, err := owner.Advance(now); err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	put := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fake := clocktesting.NewFakeClock(now)
	certificate := NewCertificate(OfDirectory(directory), fake, logr.Discard())
	var read []byte
	look := func(want string) {
		t.Helper()
		chain, err := certificate.read(t.Context(), read)
		if chain != nil {
			read = chain
		}
		served, _ := certificate.Config().GetCertificate(nil)
		switch {
		case want == "" && (served != nil || err == nil || certificate.Ready() == nil):
			t.Errorf("a certificate is served, with %v", err)
		case want != "" && (served == nil || served.Leaf.DNSNames[0] != want || certificate.Ready() != nil):
			t.Errorf("%s is not served: %v", want, err)
		}
	}
	look("")
	first, err := owner.Issue([]string{"first.example.com"}, now)
	if err != nil {
		t.Fatal(err)
	}
	put(corev1.TLSCertKey, first.Certificate)
	look("")
	put(corev1.TLSPrivateKeyKey, first.Key)
	look("first.example.com")
	second, err := owner.Issue([]string{"second.example.com"}, now)
	if err != nil {
		t.Fatal(err)
	}
	put(corev1.TLSCertKey, second.Certificate)
	look("first.example.com")
	put(corev1.TLSPrivateKeyKey, second.Key)
	look("second.example.com")
	put(corev1.TLSCertKey, []byte("damaged"))
	look("second.example.com")
	if err := os.Remove(filepath.Join(directory, corev1.TLSCertKey)); err != nil {
		t.Fatal(err)
	}
	look("second.example.com")
	fake.Step(10 * 365 * 24 * time.Hour)
	if certificate.Ready() == nil {
		t.Error("an expired certificate is ready")
	}
}

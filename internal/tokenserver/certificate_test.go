package tokenserver

import (
	"context"
	"encoding/pem"
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
		certificate := NewCertificate(fake.NewClientset(secret), secret.Namespace, secret.Name, clocktesting.NewFakeClock(now), logr.Discard())
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

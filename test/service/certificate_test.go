package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/authority"
	"github.com/refreshkeys/refreshkeys/internal/serving"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestARenewedCertificateIsServed checks that a renewed certificate is served without a restart, and that a
// damaged one is not.
func TestARenewedCertificateIsServed(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	owner := &authority.Authority{}
	_, err := owner.Advance(time.Now())
	h.Expect(err).NotTo(gomega.HaveOccurred())
	roots := x509.NewCertPool()
	h.Expect(roots.AppendCertsFromPEM(owner.Bundle())).To(gomega.BeTrue())
	issue := func(name string) map[string][]byte {
		pair, err := owner.Issue([]string{name}, time.Now())
		h.Expect(err).NotTo(gomega.HaveOccurred())
		return map[string][]byte{corev1.TLSCertKey: pair.Certificate, corev1.TLSPrivateKeyKey: pair.Key}
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: h.Name + "-tls"}, Type: corev1.SecretTypeTLS, Data: issue("first.example.com")}
	h.Create(secret)

	config, err := server.TokenServer(h.Ctx)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	clients, err := kubernetes.NewForConfig(config)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	monotonic := clocktesting.NewFakeClock(time.Now())
	certificate := serving.NewCertificate(serving.OfSecret(clients, secret.Namespace, secret.Name), monotonic, logr.Discard())
	ctx, cancel := context.WithCancel(h.Ctx)
	done := make(chan error, 1)
	go func() { done <- certificate.Run(ctx) }()
	h.Eventually(certificate.Ready).Should(gomega.Succeed())
	front := httptest.NewUnstartedServer(http.NotFoundHandler())
	front.TLS = certificate.Config()
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.StartTLS()
	defer front.Close()
	serves := func(name string) func() error {
		return func() error {
			monotonic.Step(10 * time.Second)
			dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}}
			conn, err := dialer.DialContext(h.Ctx, "tcp", front.Listener.Addr().String())
			if err == nil {
				err = conn.Close()
			}
			return err
		}
	}
	h.Eventually(serves("first.example.com")).Should(gomega.Succeed())
	h.Edit(secret, func() { secret.Data = issue("second.example.com") })
	h.Eventually(serves("second.example.com")).Should(gomega.Succeed(), "the renewed one is not served")
	h.Edit(secret, func() { secret.Data[corev1.TLSPrivateKeyKey] = issue("third.example.com")[corev1.TLSPrivateKeyKey] })
	h.Edit(secret, func() { secret.Data[corev1.TLSCertKey] = []byte("damaged") })
	h.Consistently(serves("second.example.com"), time.Second, 5*harness.PollEvery).Should(gomega.Succeed(), "a damaged one took the place of a good one")
	cancel()
	h.Expect(<-done).To(gomega.Succeed())
}

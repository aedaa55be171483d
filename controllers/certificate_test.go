package controllers_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// A client that mounts a Secret can reach its token endpoint, and trusts its serving certificate.
func TestSecretsHoldWhatToTrust(t *testing.T) {
	w := newHarness(t)
	w.createIssuer()
	w.start(servedBy(w.issuer + "-tls"))
	w.becomes(w.createKey("orders"), v1alpha1.ReasonIssued)

	served := w.tlsSecret()
	w.t.Cleanup(func() { _ = w.admin.Delete(w.t.Context(), served) })
	w.Expect(w.secret("orders").Data["ca.crt"]).To(gomega.Equal(served.Data["ca.crt"]))
	roots := x509.NewCertPool()
	w.Expect(roots.AppendCertsFromPEM(served.Data["ca.crt"])).To(gomega.BeTrue())
	block, _ := pem.Decode(served.Data["tls.crt"])
	leaf, err := x509.ParseCertificate(block.Bytes)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	for _, name := range []string{w.issuer + ".example.com", "refreshkeys-tokenserver." + apiserver.Namespace + ".svc"} {
		_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: w.clock.Now()})
		w.Expect(err).NotTo(gomega.HaveOccurred(), "the certificate is not good for %s", name)
	}
}

// The certificate has the IP address of an issuer's URL, without its brackets and port.
func TestTheCertificateIsForAddresses(t *testing.T) {
	w := newHarness(t)
	w.createIssuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.URL, i.Spec.EndpointURL = "https://[fd00::1]:8443/"+w.issuer, "https://[2001:db8::2]/"+w.issuer
	})
	w.start(servedBy(w.issuer + "-tls"))
	w.becomes(w.createKey("orders"), v1alpha1.ReasonIssued)
	served := w.tlsSecret()
	w.t.Cleanup(func() { _ = w.admin.Delete(w.t.Context(), served) })
	block, _ := pem.Decode(served.Data["tls.crt"])
	leaf, err := x509.ParseCertificate(block.Bytes)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	for _, address := range []string{"fd00::1", "2001:db8::2"} {
		w.Expect(leaf.VerifyHostname("["+address+"]")).To(gomega.Succeed(), "the certificate has no SAN for %s", address)
	}
	w.Expect(string(w.secret("orders").Data["token-endpoint"])).To(gomega.Equal("https://[2001:db8::2]/" + w.issuer + "/token"))
}

// The operator does not change a provided certificate, and writes its authority to the Secrets of keys.
func TestAGivenCertificateIsUsed(t *testing.T) {
	w := newHarness(t)
	w.createIssuer()
	theirs, another := w.bundle(), w.bundle()
	given := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: w.issuer + "-tls"},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{"tls.crt": []byte("theirs"), "tls.key": []byte("theirs"), "ca.crt": theirs},
	}
	w.create(given)
	stop := w.start(servedBy(given.Name))
	key := w.createKey("orders")
	w.becomes(key, v1alpha1.ReasonIssued)
	w.Expect(w.secret("orders").Data["ca.crt"]).To(gomega.Equal(theirs))
	w.Expect(w.tlsSecret()).To(gomega.Equal(given))
	stop()

	w.edit(given, func() { given.Data["ca.crt"] = another })
	w.start(servedBy(given.Name))
	w.Eventually(func() []byte { return w.secret("orders").Data["ca.crt"] }, patience, 20*time.Millisecond).Should(gomega.Equal(another))
	w.Expect(get(w, key).Status.Revision).To(gomega.BeEquivalentTo(1), "a new ca.crt must not cause a rotation")
}

func servedBy(secret string) func(*rest.Config, *controllers.Options) {
	return func(_ *rest.Config, o *controllers.Options) { o.TLSSecret = secret }
}

func (w *harness) tlsSecret() *corev1.Secret {
	w.t.Helper()
	return get(w, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: w.issuer + "-tls"}})
}

// A policy that changes labels does not turn the operator's certificate into a provided one: the operator renews it.
func TestARelabelledCertificateIsRenewed(t *testing.T) {
	w := newHarness(t)
	w.createIssuer()
	stop := w.start(servedBy(w.issuer + "-tls"))
	w.becomes(w.createKey("orders"), v1alpha1.ReasonIssued)
	stop()
	served := w.tlsSecret()
	w.t.Cleanup(func() { _ = w.admin.Delete(w.t.Context(), served) })
	w.edit(served, func() { served.Labels[v1alpha1.LabelManagedBy] = "platform" })
	before := served.Data["tls.crt"]

	w.clock.SetTime(w.clock.Now().AddDate(0, 0, 70))
	w.start(servedBy(served.Name))
	w.Eventually(func() bool { return bytes.Equal(w.tlsSecret().Data["tls.crt"], before) }, patience, 20*time.Millisecond).Should(gomega.BeFalse(), "it is the certificate of 70 days ago")
}

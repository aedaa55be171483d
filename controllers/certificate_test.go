package controllers_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// A client that mounts a Secret can reach its token endpoint, and trusts its serving certificate.
func TestSecretsHoldWhatToTrust(t *testing.T) {
	w := newFixture(t)
	host := w.Name + ".example.com"
	w.Issuer(func(i *v1alpha1.JWTIssuer) { i.Spec.URL = "https://" + host })
	w.start(servedBy(w.Name + "-tls"))
	w.AwaitReason(w.Key("orders"), v1alpha1.ReasonIssued)

	served := w.tlsSecret()
	w.DeleteAtEnd(served)
	w.Expect(w.MustSecret("orders").Data["ca.crt"]).To(gomega.Equal(served.Data["ca.crt"]))
	roots := x509.NewCertPool()
	w.Expect(roots.AppendCertsFromPEM(served.Data["ca.crt"])).To(gomega.BeTrue())
	block, _ := pem.Decode(served.Data["tls.crt"])
	leaf, err := x509.ParseCertificate(block.Bytes)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	for _, name := range []string{host, "refreshkeys-tokenserver." + apiserver.Namespace + ".svc"} {
		_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: w.clock.Now()})
		w.Expect(err).NotTo(gomega.HaveOccurred(), "the certificate is not good for %s", name)
	}
}

// The certificate has the IP address of an issuer's URL, without its brackets and port.
func TestTheCertificateIsForAddresses(t *testing.T) {
	w := newFixture(t)
	w.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.URL, i.Spec.EndpointURL = "https://[fd00::1]:8443/"+w.Name, "https://[2001:db8::2]/"+w.Name
	})
	w.start(servedBy(w.Name + "-tls"))
	w.AwaitReason(w.Key("orders"), v1alpha1.ReasonIssued)
	served := w.tlsSecret()
	w.DeleteAtEnd(served)
	block, _ := pem.Decode(served.Data["tls.crt"])
	leaf, err := x509.ParseCertificate(block.Bytes)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	for _, address := range []string{"fd00::1", "2001:db8::2"} {
		w.Expect(leaf.VerifyHostname("["+address+"]")).To(gomega.Succeed(), "the certificate has no SAN for %s", address)
	}
	w.Expect(string(w.MustSecret("orders").Data["token-endpoint"])).To(gomega.Equal("https://[2001:db8::2]/" + w.Name + "/token"))
}

// The operator does not change a provided certificate, and writes its authority to the Secrets of keys.
func TestAGivenCertificateIsUsed(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	theirs, another := w.bundle(), w.bundle()
	given := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: w.Name + "-tls"},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{"tls.crt": []byte("theirs"), "tls.key": []byte("theirs"), "ca.crt": theirs},
	}
	w.Create(given)
	stop := w.start(servedBy(given.Name))
	key := w.Key("orders")
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.Expect(w.MustSecret("orders").Data["ca.crt"]).To(gomega.Equal(theirs))
	w.Expect(w.tlsSecret()).To(gomega.Equal(given))
	stop()

	w.Edit(given, func() { given.Data["ca.crt"] = another })
	w.start(servedBy(given.Name))
	w.Eventually(func() []byte { return w.MustSecret("orders").Data["ca.crt"] }).Should(gomega.Equal(another))
	w.Expect(harness.MustGet(w.Harness, key).Status.Revision).To(gomega.BeEquivalentTo(1), "a new ca.crt must not cause a rotation")
}

func servedBy(secret string) func(*rest.Config, *controllers.Options) {
	return func(_ *rest.Config, o *controllers.Options) { o.TLSSecret = secret }
}

func (w *fixture) tlsSecret() *corev1.Secret {
	w.T.Helper()
	return harness.MustGet(w.Harness, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: w.Name + "-tls"}})
}

// A policy that changes labels does not turn the operator's certificate into a provided one: the operator renews it.
func TestARelabelledCertificateIsRenewed(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	stop := w.start(servedBy(w.Name + "-tls"))
	w.AwaitReason(w.Key("orders"), v1alpha1.ReasonIssued)
	stop()
	served := w.tlsSecret()
	w.DeleteAtEnd(served)
	w.Edit(served, func() { served.Labels[v1alpha1.LabelManagedBy] = "platform" })
	before := served.Data["tls.crt"]

	w.clock.SetTime(w.clock.Now().AddDate(0, 0, 70))
	w.start(servedBy(served.Name))
	w.Eventually(func() bool { return bytes.Equal(w.tlsSecret().Data["tls.crt"], before) }).Should(gomega.BeFalse(), "it is the certificate of 70 days ago")
}

// The console gets a certificate of the operator's authority, for its Service, localhost and the given names, and a provided one stays.
func TestTheConsolesCertificate(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	name := w.Name + "-console-tls"
	served := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: name}}
	console := func(_ *rest.Config, o *controllers.Options) {
		o.TLSSecret, o.ConsoleTLSSecret, o.ConsoleTLSNames = w.Name+"-tls", name, []string{"keys.example.com"}
	}
	read := func() map[string][]byte {
		found := &corev1.Secret{}
		_ = w.Admin.Get(t.Context(), client.ObjectKeyFromObject(served), found)
		return found.Data
	}
	stop := w.start(console)
	w.DeleteAtEnd(served)
	w.Eventually(read).Should(gomega.HaveKey("tls.crt"))
	first := read()
	block, _ := pem.Decode(first["tls.crt"])
	leaf, err := x509.ParseCertificate(block.Bytes)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	roots := x509.NewCertPool()
	w.Expect(roots.AppendCertsFromPEM(first["ca.crt"])).To(gomega.BeTrue())
	for _, host := range []string{"localhost", "refreshkeys-console." + apiserver.Namespace + ".svc", "keys.example.com"} {
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: w.clock.Now()})
		w.Expect(err).NotTo(gomega.HaveOccurred(), host)
	}
	w.Eventually(func() error {
		return w.Admin.Get(t.Context(), client.ObjectKey{Namespace: apiserver.Namespace, Name: w.Name + "-tls"}, &corev1.Secret{})
	}).Should(gomega.Succeed())
	tokens := w.tlsSecret()
	w.DeleteAtEnd(tokens)
	w.Expect(tokens.Data["tls.key"]).NotTo(gomega.Equal(first["tls.key"]), "the console has the key of the token service")

	// Deleted, it is made again; provided by others, it stays as it is.
	w.Expect(w.Admin.Delete(t.Context(), served.DeepCopy())).To(gomega.Succeed())
	w.Eventually(read).Should(gomega.HaveKey("tls.crt"))
	stop()
	w.Expect(w.Admin.Delete(t.Context(), served.DeepCopy())).To(gomega.Succeed())
	given := served.DeepCopy()
	given.Type, given.Data = corev1.SecretTypeTLS, map[string][]byte{"tls.crt": []byte("theirs"), "tls.key": []byte("theirs")}
	w.Expect(w.Admin.Create(t.Context(), given)).To(gomega.Succeed())
	w.start(console)
	w.AwaitReason(w.Key("orders"), v1alpha1.ReasonIssued)
	w.Expect(read()).To(gomega.Equal(given.Data))
}

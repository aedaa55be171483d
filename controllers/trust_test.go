package controllers_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authority"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// provider provides the serving certificate, like a user.
type provider struct {
	w      *fixture
	owner  *authority.Authority
	secret *corev1.Secret
	issuer *v1alpha1.JWTIssuer
}

func (w *fixture) provider() *provider {
	w.T.Helper()
	owner := &authority.Authority{}
	_, err := owner.Advance(w.clock.Now())
	w.Expect(err).NotTo(gomega.HaveOccurred())
	pair, err := owner.Issue([]string{"refreshkeys-tokenserver." + apiserver.Namespace + ".svc"}, w.clock.Now())
	w.Expect(err).NotTo(gomega.HaveOccurred())
	p := &provider{w: w, owner: owner, issuer: w.Issuer(), secret: &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: w.Name + "-tls"},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{"tls.crt": pair.Certificate, "tls.key": pair.Key, "ca.crt": owner.Bundle()},
	}}
	w.Create(p.secret)
	w.DeleteAtEnd(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: p.secret.Name + "-trusted"}})
	return p
}

// provides changes ca.crt, and triggers a reconciliation.
func (p *provider) provides(bundle []byte) {
	p.w.T.Helper()
	p.w.Edit(p.secret, func() {
		if bundle == nil {
			delete(p.secret.Data, "ca.crt")
		} else {
			p.secret.Data["ca.crt"] = bundle
		}
	})
	p.w.Poke(p.issuer)
}

// trustReason returns the reason of the issuer's condition TrustBundle, empty without one; Ready must be True in any case.
func (p *provider) trustReason() string {
	issuer := harness.MustGet(p.w.Harness, p.issuer)
	p.w.Expect(meta.IsStatusConditionTrue(issuer.Status.Conditions, v1alpha1.ConditionReady)).To(gomega.BeTrue(), "tokens must work with any ca.crt")
	condition := meta.FindStatusCondition(issuer.Status.Conditions, "TrustBundle")
	if condition == nil {
		return ""
	}
	p.w.Expect(condition.Status).To(gomega.Equal(metav1.ConditionFalse))
	p.w.Expect(condition.Message).To(gomega.ContainSubstring(p.secret.Name))
	return condition.Reason
}

// awaitReason waits for a reason, and for a message with the given text.
func (p *provider) awaitReason(reason string, words ...string) {
	p.w.T.Helper()
	p.w.Eventually(p.trustReason).Should(gomega.Equal(reason))
	for _, word := range words {
		p.w.Eventually(func() string {
			if condition := meta.FindStatusCondition(harness.MustGet(p.w.Harness, p.issuer).Status.Conditions, "TrustBundle"); condition != nil {
				return condition.Message
			}
			return ""
		}).Should(gomega.ContainSubstring(word))
	}
}

func (p *provider) holds(name string, want []byte) {
	p.w.T.Helper()
	p.w.Eventually(func() string { return string(p.w.MustSecret(name).Data["ca.crt"]) }).Should(gomega.Equal(string(want)))
}

// bundle returns the certificate of a new authority.
func (w *fixture) bundle() []byte {
	w.T.Helper()
	owner := &authority.Authority{}
	_, err := owner.Advance(w.clock.Now())
	w.Expect(err).NotTo(gomega.HaveOccurred())
	return owner.Bundle()
}

// noise is content that a Secret can hold by mistake: a private key, and random bytes.
func noise(t *testing.T) []byte {
	t.Helper()
	var text strings.Builder
	source := rand.NewChaCha8([32]byte{1})
	raw := make([]byte, 48)
	for text.Len() < 200<<10 {
		_, _ = source.Read(raw)
		fmt.Fprintf(&text, "%x\n", raw)
	}
	return []byte(text.String())
}

// TestOnlyCertificatesReachTenants checks that only the certificates of a provided ca.crt reach the Secrets of tenants, and
// that without any, tenants keep theirs, also after a restart; every issuer reports it.
func TestOnlyCertificatesReachTenants(t *testing.T) {
	w := newFixture(t)
	p := w.provider()
	stop := w.start(servedBy(p.secret.Name))
	key := w.Key("orders")
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	good := p.owner.Bundle()
	p.holds("orders", good)
	p.awaitReason("")
	held := w.MustSecret("orders").ResourceVersion

	expired := &authority.Authority{}
	_, err := expired.Advance(w.clock.Now().AddDate(-11, 0, 0))
	w.Expect(err).NotTo(gomega.HaveOccurred())
	private := append(bytes.Clone(p.owner.Current.Key), noise(t)...)
	for _, c := range []struct {
		name   string
		bundle []byte
		says   string
	}{
		{"an empty one", []byte{}, "is empty"},
		{"nonsense", []byte("their authority"), "no certificate"},
		{"none", nil, "is empty"},
		{"a private key and 200 KiB of noise", private, "no certificate"},
		{"certificates that have expired", expired.Bundle(), "expired"},
		{"half of a certificate", good[:len(good)/2], "no certificate"},
		{"blanks", []byte(" \n"), "is empty"},
		{"a certificate that is none", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("none")}), "no certificate"},
	} {
		p.provides(c.bundle)
		p.awaitReason("TrustBundleKept", c.says)
		w.Expect(w.MustSecret("orders").ResourceVersion).To(gomega.Equal(held), "%s: the Secret of a tenant was written", c.name)
	}
	events := p.events("TrustBundleKept")
	w.Expect(events).To(gomega.HaveLen(1), "one event for the whole time")
	w.Expect(events[0].Type).To(gomega.Equal(corev1.EventTypeWarning))

	stop()
	w.start(servedBy(p.secret.Name))
	later := w.Key("later")
	w.AwaitReason(later, v1alpha1.ReasonIssued)
	p.holds("later", good)
	p.awaitReason("TrustBundleKept")
	w.Expect(w.MustSecret("orders").ResourceVersion).To(gomega.Equal(held), "a restart must not write an unchanged Secret")

	// ca.crt holds other content beside the certificate, which must not reach tenants.
	next := &authority.Authority{}
	_, err = next.Advance(w.clock.Now())
	w.Expect(err).NotTo(gomega.HaveOccurred())
	p.provides(append(append(append([]byte("# the authority\n"), private...), good...), next.Bundle()...))
	p.awaitReason("TrustBundlePartial")
	p.holds("orders", append(bytes.Clone(good), next.Bundle()...))
	p.provides(append(bytes.Clone(good), next.Bundle()[:len(next.Bundle())/2]...))
	p.holds("orders", good)
	p.awaitReason("TrustBundlePartial", "left out")

	p.provides(append([]byte("# repaired\n"), append(bytes.Clone(good), next.Bundle()...)...))
	p.awaitReason("")
	p.holds("orders", append(bytes.Clone(good), next.Bundle()...))
	p.holds("later", append(bytes.Clone(good), next.Bundle()...))
	w.Expect(harness.MustGet(w.Harness, key).Status.Revision).To(gomega.BeEquivalentTo(1), "a new ca.crt must not cause a rotation")
}

// TestAPublicCertificateNeedsNoBundle covers a publicly trusted certificate with an empty ca.crt, or without one, also after
// a certificate of a private authority.
func TestAPublicCertificateNeedsNoBundle(t *testing.T) {
	w := newFixture(t)
	p := w.provider()
	w.start(servedBy(p.secret.Name))
	w.AwaitReason(w.Key("orders"), v1alpha1.ReasonIssued)
	p.holds("orders", p.owner.Bundle())

	public := &authority.Authority{}
	_, err := public.Advance(w.clock.Now())
	w.Expect(err).NotTo(gomega.HaveOccurred())
	pair, err := public.Issue([]string{"tokens.example.com"}, w.clock.Now())
	w.Expect(err).NotTo(gomega.HaveOccurred())
	w.Edit(p.secret, func() { p.secret.Data["tls.crt"], p.secret.Data["tls.key"] = pair.Certificate, pair.Key })
	p.provides([]byte{})
	w.Eventually(func() map[string][]byte { return w.MustSecret("orders").Data }).ShouldNot(gomega.HaveKey("ca.crt"))
	p.awaitReason("")
}

// TestABundleIsBounded checks that the bundle in the Secrets of tenants is never longer than 64 KiB.
func TestABundleIsBounded(t *testing.T) {
	w := newFixture(t)
	p := w.provider()
	var many []byte
	for len(many) <= 64<<10 {
		another := &authority.Authority{}
		_, err := another.Advance(w.clock.Now())
		w.Expect(err).NotTo(gomega.HaveOccurred())
		many = append(many, another.Bundle()...)
	}
	w.Edit(p.secret, func() { p.secret.Data["ca.crt"] = many })
	w.start(servedBy(p.secret.Name))
	w.AwaitReason(w.Key("orders"), v1alpha1.ReasonIssued)
	p.awaitReason("TrustBundlePartial")
	held := w.MustSecret("orders").Data["ca.crt"]
	w.Expect(len(held)).To(gomega.BeNumerically("<=", 64<<10))
	w.Expect(x509.NewCertPool().AppendCertsFromPEM(held)).To(gomega.BeTrue())
	w.Expect(many).To(gomega.HavePrefix(string(held)))
}

// TestOurOwnAuthorityIsReadToo checks that content that was added to the Secret with the operator's authority does not reach
// tenants.
func TestOurOwnAuthorityIsReadToo(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	w.start(servedBy(w.Name + "-tls"))
	w.AwaitReason(w.Key("orders"), v1alpha1.ReasonIssued)
	before := w.MustSecret("orders").Data["ca.crt"]
	served := w.tlsSecret()
	w.DeleteAtEnd(served)
	own := harness.MustGet(w.Harness, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: "refreshkeys-ca"}})
	certificate := own.Data["tls.crt"]
	w.Edit(own, func() { own.Data["tls.crt"] = append(bytes.Clone(certificate), own.Data["tls.key"]...) })
	defer w.Edit(own, func() { own.Data["tls.crt"] = certificate })
	key := w.Key("later")
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.Consistently(func() string { return string(w.MustSecret("later").Data["ca.crt"]) }, time.Second, 50*time.Millisecond).Should(gomega.Equal(string(before)))
}

func (p *provider) events(reason string) []eventsv1.Event {
	p.w.T.Helper()
	var found []eventsv1.Event
	p.w.Eventually(func() int {
		var all eventsv1.EventList
		p.w.Expect(p.w.Admin.List(p.w.Ctx, &all, client.InNamespace(metav1.NamespaceDefault))).To(gomega.Succeed())
		found = nil
		for _, event := range all.Items {
			if event.Reason == reason && event.Regarding.Name == p.issuer.Name {
				found = append(found, event)
			}
		}
		return len(found)
	}).WithPolling(100 * time.Millisecond).ShouldNot(gomega.BeZero())
	return found
}

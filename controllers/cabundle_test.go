package controllers_test

import (
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
)

// publishesCA switches the published CA bundle on, with the rights that the installation grants for it.
func (w *fixture) publishesCA() func(*rest.Config, *controllers.Options) {
	w.T.Helper()
	_, err := server.Kubectl(w.Ctx, "", "apply", "--server-side", "-f", server.Root+"/config/publish-ca/role.yaml")
	w.Expect(err).NotTo(gomega.HaveOccurred())
	return func(_ *rest.Config, o *controllers.Options) { o.PublishCA = true }
}

// published returns the entry ca.crt of the ConfigMap in a namespace, or why there is none.
func (w *fixture) published(namespace string) func() string {
	return func() string {
		config := &corev1.ConfigMap{}
		err := w.Admin.Get(w.Ctx, client.ObjectKey{Namespace: namespace, Name: v1alpha1.PublishedCA}, config)
		if apierrors.IsNotFound(err) {
			return "no ConfigMap"
		}
		w.Expect(err).NotTo(gomega.HaveOccurred())
		return config.Data["ca.crt"]
	}
}

// servedBundle returns the CA bundle of the token service.
func (w *fixture) servedBundle() string {
	w.T.Helper()
	served := &corev1.Secret{}
	w.Eventually(func() error {
		return w.Admin.Get(w.Ctx, client.ObjectKey{Namespace: w.operator, Name: "refreshkeys-tokenserver-tls"}, served)
	}).Should(gomega.Succeed())
	return string(served.Data["ca.crt"])
}

// TestTheCAIsPublished checks the ConfigMap of a namespace: one write, none at rest and at the next start, restored after an edit and
// a deletion, and left when it is switched off.
func TestTheCAIsPublished(t *testing.T) {
	w := newFixture(t)
	publishes := w.publishesCA()
	path := "/namespaces/" + w.Name + "/configmaps"
	written, stop := w.startCounting(publishes)
	w.Eventually(w.published(w.Name)).Should(gomega.HavePrefix("-----BEGIN CERTIFICATE-----"))
	w.Expect(w.published(w.Name)()).To(gomega.Equal(w.servedBundle()))
	w.settles(written)
	w.Expect(written.to(path)).To(gomega.Equal(1), "writes: %v", written.all())
	stop()

	written, stop = w.startCounting(publishes)
	w.settles(written)
	w.Expect(written.total.Load()).To(gomega.BeZero(), "a second start writes: %v", written.all())
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: v1alpha1.PublishedCA}}
	w.Edit(config, func() {
		config.Data = map[string]string{"ca.crt": "edited", "more": "x"}
		config.Annotations = map[string]string{"their.example.com/own": "stays"}
	})
	w.Eventually(w.published(w.Name)).Should(gomega.Equal(w.servedBundle()))
	w.Expect(w.Admin.Get(w.Ctx, client.ObjectKeyFromObject(config), config)).To(gomega.Succeed())
	w.Expect(config.Data).To(gomega.HaveLen(1))
	w.Expect(config.Annotations).To(gomega.HaveKeyWithValue("their.example.com/own", "stays"))
	w.Expect(w.Admin.Delete(w.Ctx, config)).To(gomega.Succeed())
	w.Eventually(w.published(w.Name)).Should(gomega.Equal(w.servedBundle()))
	stop()

	w.startOnly()
	key := w.Key("orders")
	w.Issuer()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.Expect(w.published(w.Name)()).To(gomega.Equal(w.servedBundle()), "switched off, it stays")
}

// TestANewNamespaceGetsTheCA checks a manager of all namespaces: one that is new gets the ConfigMap by its event, before any retry.
func TestANewNamespaceGetsTheCA(t *testing.T) {
	w := newFixture(t)
	w.start(w.publishesCA())
	w.Eventually(w.published(w.Name)).Should(gomega.Equal(w.servedBundle()))
	later := w.Name + "-later"
	w.CreateNamespace(later, nil)
	w.Eventually(w.published(later)).Should(gomega.Equal(w.servedBundle()))
}

// TestTheCAFollowsTheAuthority checks that the ConfigMap follows a bundle that the user provides, and is removed where clients need none.
func TestTheCAFollowsTheAuthority(t *testing.T) {
	w := newIsolated(t)
	w.startOnly(w.publishesCA())
	w.Eventually(w.published(w.Name)).Should(gomega.HavePrefix("-----BEGIN CERTIFICATE-----"))
	first := w.published(w.Name)()
	authority := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "refreshkeys-ca"}}
	w.Expect(w.Admin.Delete(w.Ctx, authority)).To(gomega.Succeed(), "the operator makes another authority")
	w.Eventually(w.published(w.Name)).ShouldNot(gomega.Equal(first))
	w.Eventually(func() bool { return w.published(w.Name)() == w.servedBundle() }).Should(gomega.BeTrue())
}

// TestAForeignConfigMapStays checks that a ConfigMap that the operator did not make stays byte for byte, is reported by one event, stops
// no other namespace, and makes way when it is deleted.
func TestAForeignConfigMapStays(t *testing.T) {
	w := newFixture(t)
	next := w.Name + "-next"
	w.CreateNamespace(next, nil)
	foreign := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: v1alpha1.PublishedCA}, Data: map[string]string{"ca.crt": "theirs"}}
	w.Create(foreign)
	publishes := w.publishesCA()
	both := func(_ *rest.Config, o *controllers.Options) { o.Namespaces = []string{w.Name, next} }
	w.start(publishes, both)
	w.Eventually(w.published(next)).Should(gomega.Equal(w.servedBundle()))
	w.Eventually(w.eventsAbout(v1alpha1.PublishedCA, "ConfigMapConflict")).Should(gomega.Equal(1))
	w.Edit(foreign, func() { foreign.Labels = map[string]string{"app": "theirs"} })
	w.Consistently(w.eventsAbout(v1alpha1.PublishedCA, "ConfigMapConflict"), time.Second, 100*time.Millisecond).Should(gomega.Equal(1), "it is reported once")
	now := &corev1.ConfigMap{}
	w.Expect(w.Admin.Get(w.Ctx, client.ObjectKeyFromObject(foreign), now)).To(gomega.Succeed())
	w.Expect(now).To(gomega.Equal(foreign))

	w.Expect(w.Admin.Delete(w.Ctx, foreign)).To(gomega.Succeed())
	w.Eventually(w.published(w.Name)).Should(gomega.Equal(w.servedBundle()))
}

// TestARefusedConfigMapStopsNoOther checks a namespace whose quota refuses the ConfigMap: it is reported once, and the next namespace gets
// its own.
func TestARefusedConfigMapStopsNoOther(t *testing.T) {
	w := newFixture(t)
	next := w.Name + "-next"
	w.CreateNamespace(next, nil)
	// An immutable ConfigMap of the operator with other content is refused at each write.
	immutable := true
	full := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: v1alpha1.PublishedCA, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}},
		Data:       map[string]string{"ca.crt": "earlier"}, Immutable: &immutable,
	}
	w.Create(full)
	both := func(_ *rest.Config, o *controllers.Options) { o.Namespaces = []string{w.Name, next} }
	w.start(w.publishesCA(), both)
	w.Eventually(w.published(next)).Should(gomega.Equal(w.servedBundle()))
	w.Eventually(w.eventsAbout(v1alpha1.PublishedCA, "CANotPublished")).Should(gomega.Equal(1))
	w.Consistently(w.eventsAbout(v1alpha1.PublishedCA, "CANotPublished"), time.Second, 100*time.Millisecond).Should(gomega.Equal(1))
	w.Expect(w.Admin.Delete(w.Ctx, full)).To(gomega.Succeed())
	w.Eventually(w.published(w.Name)).Should(gomega.Equal(w.servedBundle()))
}

// TestTheCANeedsItsSwitch checks that a manager without the switch asks for no ConfigMap.
func TestTheCANeedsItsSwitch(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	key := w.Key("orders")
	w.startOnly()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.Expect(w.published(w.Name)()).To(gomega.Equal("no ConfigMap"))
}

// eventsAbout returns the number of events about a ConfigMap of the fixture's namespace with a reason.
func (w *fixture) eventsAbout(name, reason string) func() int {
	return func() (n int) {
		var all eventsv1.EventList
		w.Expect(w.Admin.List(w.Ctx, &all, client.InNamespace(w.Name))).To(gomega.Succeed())
		for i := range all.Items {
			if e := &all.Items[i]; e.Reason == reason && e.Regarding.Kind == "ConfigMap" && e.Regarding.Name == name && e.Series == nil {
				n++
			}
		}
		return n
	}
}

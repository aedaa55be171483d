package controllers_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// insideURL is an endpointURL as the notes of the chart recommend it.
const insideURL = "https://refreshkeys-tokenserver.refreshkeys-system.svc"

// TestSecretsNameBothEndpoints checks the entries of a Secret, and that they follow the issuer.
func TestSecretsNameBothEndpoints(t *testing.T) {
	w := newFixture(t)
	issuer := w.Issuer(func(i *v1alpha1.JWTIssuer) { i.Spec.EndpointURL = insideURL })
	key := w.Key("orders")
	w.startFor()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	url := w.URL()
	w.Expect(entries(w.MustSecret("orders"))).To(gomega.Equal([]string{url, insideURL + "/token", url + "/token"}))
	status := harness.MustGet(w.Harness, issuer).Status
	w.Expect([]string{status.TokenEndpoint, status.PublicTokenEndpoint}).To(gomega.Equal([]string{insideURL + "/token", url + "/token"}))
	held := w.MustToken("orders")

	w.Edit(issuer, func() { issuer.Spec.EndpointURL = insideURL + "/elsewhere" })
	w.Eventually(func() []string { return entries(w.MustSecret("orders")) }).Should(gomega.Equal([]string{url, insideURL + "/elsewhere/token", url + "/token"}))
	w.Edit(issuer, func() { issuer.Spec.EndpointURL = "" })
	w.Eventually(func() []string { return entries(w.MustSecret("orders")) }).Should(gomega.Equal([]string{url, url + "/token", url + "/token"}))
	w.Expect(w.MustToken("orders")).To(gomega.Equal(held), "an endpoint must not cause a rotation")

	// The url of an issuer never changes. A key can name another issuer.
	another := w.CreateIssuer(w.Name+"-another", func(i *v1alpha1.JWTIssuer) { i.Spec.URL = url + "/another" })
	w.Edit(key, func() { key.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: another.Name} })
	w.Eventually(func() []string { return entries(w.MustSecret("orders")) }).
		Should(gomega.Equal([]string{url + "/another", url + "/another/token", url + "/another/token"}))
}

// entries returns the issuer and the endpoints in a Secret.
func entries(secret *corev1.Secret) []string {
	return []string{
		string(secret.Data[v1alpha1.SecretIssuer]), string(secret.Data[v1alpha1.SecretTokenEndpoint]), string(secret.Data[v1alpha1.SecretPublicTokenEndpoint]),
	}
}

// upgradedKeys are the kinds of keys of the upgrade.
var upgradedKeys = map[string]func(*v1alpha1.JWTRefreshKey){
	"plain": func(*v1alpha1.JWTRefreshKey) {},
	"restarted": func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.RolloutRestart = []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: "orders"}}
	},
	"retained": func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Secret = &v1alpha1.SecretSpec{DeletionPolicy: v1alpha1.DeletionRetain}
	},
	"access":    func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{AccessToken: true} },
	"one-time":  oneTimeUse,
	"immutable": func(*v1alpha1.JWTRefreshKey) {},
}

// TestAnUpgradeAddsTheEntriesOnce plays the upgrade from a version that wrote only token-endpoint: one write of each Secret, and
// of nothing else. No token changes, no workload restarts, no pod reads its Secret again, and a second start writes nothing.
func TestAnUpgradeAddsTheEntriesOnce(t *testing.T) {
	w := newFixture(t)
	w.Issuer(func(i *v1alpha1.JWTIssuer) { i.Spec.EndpointURL = insideURL })
	w.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: "default"}})
	orders := deployment(w, "orders")
	pod := podWith(w, "mounts", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "plain"}}, corev1.PodRunning)
	rollouts := w.rollouts()
	stop := w.startOnly(rollouts)
	keys := map[string]*v1alpha1.JWTRefreshKey{}
	for name, spec := range upgradedKeys {
		keys[name] = w.Key(name, spec)
		w.AwaitReason(keys[name], v1alpha1.ReasonIssued)
	}
	mark := v1alpha1.RestartPrefix + "restarted"
	w.Eventually(func() map[string]string { return harness.MustGet(w.Harness, orders).Annotations }).Should(gomega.HaveKey(mark))
	stop()
	earlier := w.inEarlierForm(keys)
	workload, mounted := harness.MustGet(w.Harness, orders), harness.MustGet(w.Harness, pod)

	written, stop := w.startCounting(rollouts)
	w.Eventually(func() (wrong []string) {
		for name := range keys {
			if got := entries(w.MustSecret(name)); name != "immutable" && !slices.Equal(got, []string{w.URL(), insideURL + "/token", w.URL() + "/token"}) {
				wrong = append(wrong, fmt.Sprintf("%s: %v", name, got))
			}
		}
		return wrong
	}).Should(gomega.BeEmpty())
	w.settles(written)
	for name, key := range keys {
		want := 1
		if name == "immutable" {
			want = 0
		}
		w.Expect(written.to("/secrets/"+name)).To(gomega.Equal(want), "writes of Secret %s", name)
		w.unchangedBut(earlier[name], w.MustSecret(name))
		if name != "immutable" {
			w.Expect(harness.MustGet(w.Harness, key)).To(gomega.Equal(key), "an upgrade must not write the key %s", name)
		}
	}
	// At a start, the status of a key with an immutable Secret says for a moment that the CA bundle is not known yet.
	w.Expect(written.total.Load()-int64(written.to("/immutable/status"))).To(gomega.BeEquivalentTo(len(keys)-1), "one write of each Secret, and no other: %v", written.all())
	w.Expect(harness.MustGet(w.Harness, orders)).To(gomega.Equal(workload), "an upgrade must restart nothing")
	w.Expect(harness.MustGet(w.Harness, pod)).To(gomega.Equal(mounted), "an upgrade must not touch pods")
	stop()

	written, _ = w.startCounting(rollouts)
	w.settles(written)
	w.Expect(written.total.Load()-int64(written.to("/immutable/status"))).To(gomega.BeZero(), "writes of a second start: %v", written.all())
	w.Expect(harness.MustGet(w.Harness, orders)).To(gomega.Equal(workload))
}

// TestAnUpgradeIsPaced checks that the entries are added at the pace of reissuePerSecond, and that a lost token does not wait for it.
func TestAnUpgradeIsPaced(t *testing.T) {
	w := newIsolated(t)
	w.Issuer()
	stop := w.startOnly()
	keys := map[string]*v1alpha1.JWTRefreshKey{}
	for i := range 4 {
		name := fmt.Sprint("key-", i)
		keys[name] = w.Key(name)
		w.AwaitReason(keys[name], v1alpha1.ReasonIssued)
	}
	lost := w.Key("lost")
	w.AwaitReason(lost, v1alpha1.ReasonIssued)
	stop()
	w.inEarlierForm(keys)
	held := w.MustToken("lost")
	w.Expect(w.Admin.Delete(w.Ctx, w.MustSecret("lost"))).To(gomega.Succeed())

	// One Secret in a thousand seconds, by a clock that stands still.
	w.startOnly(func(_ *rest.Config, o *controllers.Options) { o.ReissuePerSecond = 0.001 })
	w.Eventually(w.tokenIn("lost")).ShouldNot(gomega.Equal("no Secret"))
	w.Expect(w.MustToken("lost")).To(gomega.Equal(held))
	added := func() (n int) {
		for name := range keys {
			if len(w.MustSecret(name).Data[v1alpha1.SecretIssuer]) > 0 {
				n++
			}
		}
		return n
	}
	w.Eventually(added).Should(gomega.Equal(1), "the first turn is free")
	w.Consistently(added, time.Second, 100*time.Millisecond).Should(gomega.Equal(1), "the others wait for their turns")
	for turn := 2; turn <= len(keys); turn++ {
		w.clock.SetTime(w.clock.Now().Add(1000 * time.Second))
		for _, key := range keys {
			w.Poke(key)
		}
		w.Eventually(added).Should(gomega.Equal(turn))
	}
}

// inEarlierForm takes out of the Secrets what the earlier version did not write, and returns them. It makes the one of the key
// "immutable" immutable.
func (w *fixture) inEarlierForm(keys map[string]*v1alpha1.JWTRefreshKey) map[string]*corev1.Secret {
	w.T.Helper()
	all := map[string]*corev1.Secret{}
	for name, key := range keys {
		secret := w.MustSecret(name)
		w.Edit(secret, func() {
			delete(secret.Data, v1alpha1.SecretIssuer)
			delete(secret.Data, v1alpha1.SecretPublicTokenEndpoint)
			if name == "immutable" {
				secret.Immutable = ptr.To(true)
			}
		})
		all[name], keys[name] = secret, harness.MustGet(w.Harness, key)
	}
	return all
}

// unchangedBut checks that a Secret changed by nothing but the entries that are new.
func (w *fixture) unchangedBut(before, after *corev1.Secret) {
	w.T.Helper()
	stripped := after.DeepCopy()
	delete(stripped.Data, v1alpha1.SecretIssuer)
	delete(stripped.Data, v1alpha1.SecretPublicTokenEndpoint)
	for name, value := range before.Data {
		w.Expect(string(stripped.Data[name]) == string(value)).To(gomega.BeTrue(), "entry %s of Secret %s changed", name, before.Name)
	}
	w.Expect(stripped.Data).To(gomega.HaveLen(len(before.Data)))
	w.Expect(stripped.Annotations).To(gomega.Equal(before.Annotations), "revision, jti and ends of Secret %s", before.Name)
	w.Expect(stripped.Labels).To(gomega.Equal(before.Labels))
	w.Expect(stripped.OwnerReferences).To(gomega.Equal(before.OwnerReferences))
}

// startOnly runs a manager for the namespace of the fixture only.
func (w *fixture) startOnly(change ...func(*rest.Config, *controllers.Options)) (stop func()) {
	w.T.Helper()
	only := func(_ *rest.Config, options *controllers.Options) { options.Namespaces = []string{w.Name} }
	return w.start(append(slices.Clone(change), only)...)
}

package controllers_test

import (
	"bytes"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/test/apiserver"
)

// I11 of docs/architecture.md: a poisoned object affects only itself.
func TestOnePoisonedObjectOfEachKindLeavesTheOthersWorking(t *testing.T) {
	w := newHarness(t)
	w.createIssuer()
	poisonedIssuer := &v1alpha1.JWTIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: w.issuer + "-poisoned"},
		Spec:       v1alpha1.JWTIssuerSpec{URL: "https://" + w.issuer + "-poisoned.example.com"},
	}
	w.create(poisonedIssuer)
	for _, issuer := range []string{poisonedIssuer.Name, "nobody"} {
		w.create(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: apiserver.Namespace, Name: "signing-keys-" + issuer,
				Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelSigningKeysOf: issuer},
			},
			Data: map[string][]byte{"rings.json": []byte("{")},
		})
	}
	forged := w.createKey("forged")
	w.forge(forged, func(status *v1alpha1.JWTRefreshKeyStatus) {
		status.Revision, status.JTI = 1<<53-1, "forged"
		status.Content = &apiextensionsv1.JSON{Raw: []byte(`{"iss":7,"exp":1e300,"aud":["\u0000"]}`)}
	})
	ofPoisoned := w.createKey("of-poisoned", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: poisonedIssuer.Name}
	})
	fine := w.createKey("fine")
	w.start()

	w.becomes(fine, v1alpha1.ReasonIssued)
	w.accepts(w.token("fine"), lifecycle.StandingCurrent)
	w.becomes(ofPoisoned, v1alpha1.ReasonIssuerNotReady)
	w.annotate(fine, v1alpha1.AnnotationRotate, "still-works")
	w.reaches(fine, 2)
}

// forge writes a status with the rights of the operator.
func (w *harness) forge(key *v1alpha1.JWTRefreshKey, change func(*v1alpha1.JWTRefreshKeyStatus)) {
	w.t.Helper()
	config, err := server.Manager(w.ctx)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	operator, err := client.New(config, client.Options{Scheme: controllers.Scheme()})
	w.Expect(err).NotTo(gomega.HaveOccurred())
	w.Eventually(func() error {
		get(w, key)
		change(&key.Status)
		return operator.Status().Update(w.ctx, key)
	}, patience).Should(gomega.Succeed())
}

// I8 of docs/architecture.md: the operator signs nothing again from a status that it did not write.
func TestAForgedStatusIsNotSigned(t *testing.T) {
	w := newHarness(t)
	w.createIssuer(grantAll)
	victim := w.createKey("victim", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Subject = "victim" })
	tests := []struct {
		name  string
		forge func(own, victim *v1alpha1.JWTRefreshKeyStatus)
	}{
		{"another key's line", func(own, victim *v1alpha1.JWTRefreshKeyStatus) { own.TokenLine = *victim.TokenLine.DeepCopy() }},
		{"a subject of one's choice", func(own, _ *v1alpha1.JWTRefreshKeyStatus) {
			own.Content.Raw = replace(own.Content.Raw, `"sub":"refreshkey:`, `"sub":"admin:`)
		}},
		{"a later end", func(own, _ *v1alpha1.JWTRefreshKeyStatus) {
			own.ExpiresAt = &metav1.Time{Time: own.ExpiresAt.AddDate(10, 0, 0)}
		}},
		{"no content", func(own, _ *v1alpha1.JWTRefreshKeyStatus) { own.Content = nil }},
		{"another hash", func(own, victim *v1alpha1.JWTRefreshKeyStatus) { own.TokenHash = victim.TokenHash }},
	}
	keys := make([]*v1alpha1.JWTRefreshKey, len(tests))
	for i := range tests {
		keys[i] = w.createKey("own-" + string(rune('a'+i)))
	}
	stop := w.start()
	w.becomes(victim, v1alpha1.ReasonIssued)
	for _, key := range keys {
		w.becomes(key, v1alpha1.ReasonIssued)
	}
	stop()
	held := map[string]string{}
	for i, tt := range tests {
		held[tt.name] = w.token(keys[i].Name)
		w.forge(keys[i], func(own *v1alpha1.JWTRefreshKeyStatus) { tt.forge(own, &victim.Status) })
		w.Expect(w.admin.Delete(w.ctx, w.secret(keys[i].Name))).To(gomega.Succeed())
	}
	w.start()
	for i, tt := range tests {
		w.reaches(keys[i], 2)
		claims := string(keys[i].Status.Content.Raw)
		w.Expect(claims).To(gomega.ContainSubstring(`"sub":"refreshkey:`+w.namespace+`:own-`), tt.name)
		w.Expect(keys[i].Status.Previous).To(gomega.BeEmpty(), "%s: a distrusted line must not be kept", tt.name)
		w.refuses(held[tt.name])
	}
}

// The operator refuses what admission would refuse, if the policy is removed.
func TestTheCodeHoldsTheLineWithoutTheAdmissionPolicy(t *testing.T) {
	if server.Existing() {
		t.Skip("the admission policy of an existing cluster stays in force")
	}
	w := newHarness(t)
	w.createIssuer(grantAll)
	poisoned := w.newKey("poisoned", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Claims = claims(`{"ISS":"https://evil.example.com"}`) })
	w.Expect(server.Unguarded(w.ctx, func() error { return w.admin.Create(w.ctx, poisoned) })).To(gomega.Succeed())
	fine := w.createKey("fine")
	w.start()
	w.becomes(poisoned, v1alpha1.ReasonInvalidSpec)
	w.Expect(messageOf(poisoned)).To(gomega.ContainSubstring("ISS"))
	w.Expect(w.admin.Get(w.ctx, types.NamespacedName{Namespace: w.namespace, Name: "poisoned"}, &corev1.Secret{})).NotTo(gomega.Succeed())
	w.becomes(fine, v1alpha1.ReasonIssued)
}

func replace(raw []byte, before, after string) []byte {
	return bytes.Replace(raw, []byte(before), []byte(after), 1)
}

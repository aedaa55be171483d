package controllers_test

import (
	"bytes"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// I11 of docs/architecture.md: a poisoned object affects only itself.
func TestOnePoisonedObjectOfEachKindLeavesTheOthersWorking(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	poisonedIssuer := w.CreateIssuer(w.Name + "-poisoned")
	for _, issuer := range []string{poisonedIssuer.Name, "missing"} {
		w.Create(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: apiserver.Namespace, Name: "signing-keys-" + issuer,
				Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelSigningKeysOf: issuer},
			},
			Data: map[string][]byte{"rings.json": []byte("{")},
		})
	}
	forged := w.Key("forged")
	w.editStatus(forged, func() {
		forged.Status.Revision, forged.Status.JTI = 1<<53-1, "forged"
		forged.Status.Content = &apiextensionsv1.JSON{Raw: []byte(`{"iss":7,"exp":1e300,"aud":["\u0000"]}`)}
	})
	ofPoisoned := w.Key("of-poisoned", harness.WithIssuer(poisonedIssuer.Name))
	fine := w.Key("fine")
	w.start()

	w.AwaitReason(fine, v1alpha1.ReasonIssued)
	w.accepts(w.MustToken("fine"), lifecycle.StandingCurrent)
	w.AwaitReason(ofPoisoned, v1alpha1.ReasonIssuerNotReady)
	w.Annotate(fine, v1alpha1.AnnotationRotate, "still-works")
	w.AwaitRevision(fine, 2)
}

// I8 of docs/architecture.md: the operator signs nothing again from a status that it did not write.
func TestAForgedStatusIsNotSigned(t *testing.T) {
	w := newFixture(t)
	w.Issuer(grantAll)
	victim := w.Key("victim", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Subject = "victim" })
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
		keys[i] = w.Key("own-" + string(rune('a'+i)))
	}
	stop := w.start()
	w.AwaitReason(victim, v1alpha1.ReasonIssued)
	for _, key := range keys {
		w.AwaitReason(key, v1alpha1.ReasonIssued)
	}
	stop()
	held := map[string]string{}
	for i, tt := range tests {
		held[tt.name] = w.MustToken(keys[i].Name)
		w.editStatus(keys[i], func() { tt.forge(&keys[i].Status, &victim.Status) })
		w.Expect(w.Admin.Delete(w.Ctx, w.MustSecret(keys[i].Name))).To(gomega.Succeed())
	}
	w.start()
	for i, tt := range tests {
		w.AwaitRevision(keys[i], 2)
		claims := string(keys[i].Status.Content.Raw)
		w.Expect(claims).To(gomega.ContainSubstring(`"sub":"refreshkey:`+w.Name+`:own-`), tt.name)
		w.Expect(keys[i].Status.Previous).To(gomega.BeEmpty(), "%s: a distrusted line must not be kept", tt.name)
		w.refuses(held[tt.name])
	}
}

// The operator refuses what admission would refuse, if the policy is removed.
func TestTheCodeHoldsTheLineWithoutTheAdmissionPolicy(t *testing.T) {
	if server.Existing() {
		t.Skip("the admission policy of an existing cluster stays in force")
	}
	w := newFixture(t)
	w.Issuer(grantAll)
	poisoned := harness.NewKey(w.Name, "poisoned", harness.WithIssuer(w.Name), func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Claims = claims(`{"ISS":"https://evil.example.com"}`)
	})
	w.Expect(server.Unguarded(w.Ctx, func() error { return w.Admin.Create(w.Ctx, poisoned) })).To(gomega.Succeed())
	fine := w.Key("fine")
	w.start()
	w.AwaitReason(poisoned, v1alpha1.ReasonInvalidSpec)
	w.Expect(messageOf(poisoned)).To(gomega.ContainSubstring("ISS"))
	_, err := w.Secret(w.Name, "poisoned")
	w.Expect(err).To(gomega.HaveOccurred())
	w.AwaitReason(fine, v1alpha1.ReasonIssued)
}

func replace(raw []byte, before, after string) []byte {
	return bytes.Replace(raw, []byte(before), []byte(after), 1)
}

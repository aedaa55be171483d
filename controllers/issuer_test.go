package controllers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// signingKeys reads the signing keys of the test's issuer.
func (w *fixture) signingKeys() *corev1.Secret {
	w.T.Helper()
	return harness.MustGet(w.Harness, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "signing-keys-" + w.Name}})
}

// The access ring is empty for a while if its key is withdrawn before the next one has been published long enough. That
// must not delay refresh tokens, and must not leave tokens of the withdrawn key in Secrets.
func TestAWithdrawnAccessKey(t *testing.T) {
	w := newFixture(t)
	issuer := w.Issuer()
	key := w.Key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{AccessToken: true} })
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	withdrawn := string(w.MustSecret("orders").Data["access-token"])

	active := ""
	for _, k := range harness.MustGet(w.Harness, issuer).Status.Keys {
		if k.Use == "access" && k.State == "Active" {
			active = k.KID
		}
	}
	w.Edit(issuer, func() { metav1.SetMetaDataAnnotation(&issuer.ObjectMeta, v1alpha1.AnnotationWithdrawKey, active) })
	w.AwaitReason(issuer, v1alpha1.ReasonKeyPending)
	w.Eventually(func() map[string][]byte { return w.MustSecret("orders").Data }).ShouldNot(gomega.HaveKey("access-token"))

	w.Annotate(key, v1alpha1.AnnotationRotateNow, "meanwhile")
	w.AwaitRevision(key, 2)
	w.accepts(w.MustToken("orders"), lifecycle.StandingCurrent)
	w.Expect(w.MustSecret("orders").Data).NotTo(gomega.HaveKey("access-token"))

	w.clock.SetTime(w.clock.Now().Add(time.Hour))
	w.Poke(issuer)
	w.AwaitReason(issuer, v1alpha1.ReasonKeysReady)
	w.Eventually(func() string { return string(w.MustSecret("orders").Data["access-token"]) }).ShouldNot(gomega.BeElementOf("", withdrawn))
	w.parseAccess(string(w.MustSecret("orders").Data["access-token"]))
}

// A requested rotation of signing keys happens once, after the prepublish time; tokens of the earlier keys stay valid.
func TestSigningKeysAreRotatedWhenAskedFor(t *testing.T) {
	w := newFixture(t)
	issuer := w.Issuer()
	key := w.Key("orders")
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	signing := func() map[v1alpha1.KeyUse]string {
		active := map[v1alpha1.KeyUse]string{}
		for _, k := range harness.MustGet(w.Harness, issuer).Status.Keys {
			if k.State == "Active" {
				active[k.Use] = k.KID
			}
		}
		return active
	}
	before, held := signing(), w.MustToken("orders")
	w.clock.SetTime(w.clock.Now().Add(30 * time.Minute))
	w.Edit(issuer, func() {
		metav1.SetMetaDataAnnotation(&issuer.ObjectMeta, v1alpha1.AnnotationRotateKeys, w.clock.Now().UTC().Format(time.RFC3339))
	})
	planned := func() (at []string) {
		for _, k := range harness.MustGet(w.Harness, issuer).Status.Keys {
			if k.State == "Pending" {
				at = append(at, k.ActiveAt.Sub(k.CreatedAt.Time).String())
			}
		}
		return at
	}
	w.Eventually(planned).Should(gomega.Equal([]string{"1h0m0s", "1h0m0s"}), "they must be published for prepublish first")
	w.Expect(signing()).To(gomega.Equal(before))

	w.clock.SetTime(w.clock.Now().Add(30 * time.Minute))
	w.Poke(issuer)
	w.Eventually(signing).ShouldNot(gomega.Or(gomega.HaveKeyWithValue(v1alpha1.KeyUse("refresh"), before["refresh"]),
		gomega.HaveKeyWithValue(v1alpha1.KeyUse("access"), before["access"])))
	after := signing()
	w.accepts(held, lifecycle.StandingCurrent)
	w.clock.SetTime(w.clock.Now().Add(2 * time.Hour))
	w.Poke(issuer)
	w.Annotate(key, v1alpha1.AnnotationRotate, "afterwards")
	w.AwaitRevision(key, 2)
	w.Expect(signing()).To(gomega.Equal(after), "one request must cause one rotation")
	w.Expect(key.Status.KeyID).To(gomega.Equal(after["refresh"]))
}

// A backup tool can replace the label by which the caches select the Secret.
func TestSigningKeysWithoutOurLabelAreFoundAgain(t *testing.T) {
	w := newFixture(t)
	issuer := w.Issuer()
	w.start()
	w.AwaitReason(issuer, v1alpha1.ReasonKeysReady)

	keys := w.signingKeys()
	keys.Labels[v1alpha1.LabelManagedBy] = "a-backup"
	w.Expect(w.Admin.Update(w.Ctx, keys)).To(gomega.Succeed())
	w.Eventually(func() string { return w.signingKeys().Labels[v1alpha1.LabelManagedBy] }).Should(gomega.Equal(v1alpha1.ManagedBy))
	w.Expect(w.signingKeys().Data).To(gomega.Equal(keys.Data))
	w.AwaitReason(w.Key("orders"), v1alpha1.ReasonIssued)
}

// An issuer that is created again has no record of its signing keys; valid tokens name them.
func TestLostSigningKeysAreNotReplacedForAnIssuerMadeAgain(t *testing.T) {
	w := newFixture(t)
	issuer := w.Issuer()
	key := w.Key("orders")
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	keys, held := w.signingKeys(), w.MustToken("orders")

	w.Expect(w.Admin.Delete(w.Ctx, issuer)).To(gomega.Succeed())
	w.AwaitReason(key, v1alpha1.ReasonIssuerNotFound)
	w.Expect(w.Admin.Delete(w.Ctx, keys)).To(gomega.Succeed())
	again := w.Issuer()
	w.AwaitReason(again, v1alpha1.ReasonKeysLost)

	restored := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: keys.Namespace, Name: keys.Name, Labels: keys.Labels}, Data: keys.Data,
	}
	w.Create(restored)
	w.AwaitReason(again, v1alpha1.ReasonKeysReady)
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.accepts(held, lifecycle.StandingCurrent)
	w.Expect(key.Status.Revision).To(gomega.BeEquivalentTo(1))
}

// Verifiers have cached the lost signing keys: the new access key is published before it signs.
func TestLostSigningKeysThatAreGivenUp(t *testing.T) {
	w := newFixture(t)
	issuer := w.Issuer()
	key := w.Key("orders")
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	var kids []string
	for _, k := range harness.MustGet(w.Harness, issuer).Status.Keys {
		kids = append(kids, k.KID)
	}
	w.Expect(w.Admin.Delete(w.Ctx, w.signingKeys())).To(gomega.Succeed())
	w.AwaitReason(issuer, v1alpha1.ReasonKeysLost)
	w.Edit(issuer, func() {
		metav1.SetMetaDataAnnotation(&issuer.ObjectMeta, v1alpha1.AnnotationWithdrawKey, strings.Join(kids, ","))
	})
	w.AwaitReason(issuer, v1alpha1.ReasonKeyPending)
	w.AwaitRevision(key, 2)
	w.accepts(w.MustToken("orders"), lifecycle.StandingCurrent)

	w.clock.SetTime(w.clock.Now().Add(time.Hour))
	w.Poke(issuer)
	w.AwaitReason(issuer, v1alpha1.ReasonKeysReady)
}

// A one-time key keeps the token of its earlier issuer until that issuer and the Secret are deleted: then the token
// cannot be signed again.
func TestALostTokenOfAnIssuerThatIsGone(t *testing.T) {
	w := newFixture(t)
	issuer := w.Issuer()
	other := w.CreateIssuer(w.Name + "-other")
	key := w.Key("orders", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
	})
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	held := w.MustToken("orders")
	w.AwaitReason(other, v1alpha1.ReasonKeysReady)

	w.Edit(key, func() { key.Spec.IssuerRef.Name = other.Name })
	w.Eventually(func() string { return harness.MustGet(w.Harness, key).Status.Issuer }).Should(gomega.Equal(other.Name))
	w.Expect(w.Admin.Delete(w.Ctx, w.MustSecret("orders"))).To(gomega.Succeed())
	w.Eventually(w.tokenIn("orders")).Should(gomega.Equal(token.Hash(held)), "its issuer exists, so the token is signed again")

	w.Expect(w.Admin.Delete(w.Ctx, issuer)).To(gomega.Succeed())
	w.Expect(w.Admin.Delete(w.Ctx, w.MustSecret("orders"))).To(gomega.Succeed())
	w.AwaitRevision(key, 2)
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.Expect(string(key.Status.Content.Raw)).To(gomega.ContainSubstring(other.Spec.URL))
}

// A copy of a Secret that a user created belongs to the user.
func TestACopyOfASecretIsLeftAlone(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	key := w.Key("orders")
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	original := w.MustSecret("orders")
	copied := &corev1.Secret{ObjectMeta: *original.ObjectMeta.DeepCopy(), Data: original.Data}
	copied.Name, copied.UID, copied.ResourceVersion = "a-copy", "", ""
	w.Create(copied)

	w.Annotate(key, v1alpha1.AnnotationRotateNow, "once")
	w.AwaitRevision(key, 2)
	w.Edit(key, func() { key.Spec.Revoked = true })
	w.AwaitReason(key, v1alpha1.ReasonRevoked)
	w.Eventually(w.tokenIn("orders")).Should(gomega.BeEmpty())
	w.Expect(w.MustSecret("a-copy")).To(gomega.Equal(copied))
}

// TestAnIssuerWhosePolicyHasNoRules checks that such an issuer is ready, and that its message says that it grants nothing.
// An object that an earlier release stored in this form stays readable and can be changed in any other way.
func TestAnIssuerWhosePolicyHasNoRules(t *testing.T) {
	w := newFixture(t)
	issuer := w.Issuer()
	key := w.Key("orders")
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	held := w.MustToken("orders")
	message := func() string {
		ready := meta.FindStatusCondition(harness.MustGet(w.Harness, issuer).Status.Conditions, v1alpha1.ConditionReady)
		return string(ready.Status) + " " + ready.Reason + ": " + ready.Message
	}
	const nothing = "The issuer grants no tokens, since spec.policy has no rules"
	w.Expect(message()).NotTo(gomega.ContainSubstring(nothing))

	rules := harness.MustGet(w.Harness, issuer).Spec.Policy.DeepCopy()
	w.Edit(issuer, func() { issuer.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{}} })
	w.Eventually(message).Should(gomega.And(gomega.HavePrefix("True KeysReady"), gomega.ContainSubstring(nothing)))
	w.AwaitReason(key, v1alpha1.ReasonPolicyDenied)
	ready := meta.FindStatusCondition(harness.MustGet(w.Harness, key).Status.Conditions, v1alpha1.ConditionReady)
	w.Expect(ready.Message).To(gomega.ContainSubstring("spec.policy has no rules"))
	w.Expect(w.MustToken("orders")).To(gomega.Equal(held), "the client keeps its token, which a new rule can grant again")

	w.Edit(issuer, func() { issuer.Spec.EndpointURL = "https://inside.example.com" })
	w.Edit(issuer, func() { metav1.SetMetaDataLabel(&issuer.ObjectMeta, "team", "shop") })
	w.Expect(harness.MustGet(w.Harness, issuer).Spec.Policy).To(gomega.Equal(&v1alpha1.PolicySpec{}))

	w.Edit(issuer, func() { issuer.Spec.Policy = rules })
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.Expect(w.MustToken("orders")).To(gomega.Equal(held))
	w.Eventually(message).ShouldNot(gomega.ContainSubstring(nothing))
}

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
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/apiserver"
)

func (w *harness) issuerBecomes(issuer *v1alpha1.JWTIssuer, reason string) {
	w.t.Helper()
	w.Eventually(func() string {
		ready := meta.FindStatusCondition(get(w, issuer).Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil {
			return "no condition Ready"
		}
		return ready.Reason
	}, patience, 20*time.Millisecond).Should(gomega.Equal(reason))
}

func (w *harness) signingKeys() *corev1.Secret {
	w.t.Helper()
	return get(w, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: "signing-keys-" + w.issuer}})
}

// The access ring is empty for a while when its key is withdrawn before the next one has been
// published long enough. That must not hold up refresh tokens, and must not leave tokens of
// the withdrawn key in Secrets.
func TestAWithdrawnAccessKey(t *testing.T) {
	w := newHarness(t)
	issuer := w.createIssuer()
	key := w.createKey("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{AccessToken: true} })
	w.start()
	w.becomes(key, v1alpha1.ReasonIssued)
	withdrawn := string(w.secret("orders").Data["access-token"])

	active := ""
	for _, k := range get(w, issuer).Status.Keys {
		if k.Use == "access" && k.State == "Active" {
			active = k.KID
		}
	}
	w.edit(issuer, func() { metav1.SetMetaDataAnnotation(&issuer.ObjectMeta, v1alpha1.AnnotationWithdrawKey, active) })
	w.issuerBecomes(issuer, v1alpha1.ReasonKeyPending)
	w.Eventually(func() map[string][]byte { return w.secret("orders").Data }, patience).ShouldNot(gomega.HaveKey("access-token"))

	w.annotate(key, v1alpha1.AnnotationRotateNow, "meanwhile")
	w.reaches(key, 2)
	w.accepts(w.token("orders"), registry.Current)
	w.Expect(w.secret("orders").Data).NotTo(gomega.HaveKey("access-token"))

	w.clock.SetTime(w.clock.Now().Add(time.Hour))
	w.edit(issuer, func() { metav1.SetMetaDataLabel(&issuer.ObjectMeta, "poked", "yes") })
	w.issuerBecomes(issuer, v1alpha1.ReasonKeysReady)
	w.Eventually(func() string { return string(w.secret("orders").Data["access-token"]) }, patience).ShouldNot(gomega.BeElementOf("", withdrawn))
	w.parseAccess(string(w.secret("orders").Data["access-token"]))
}

// Who asks for other signing keys gets them as soon as verifiers know them, and once; what the keys before
// signed stays good.
func TestSigningKeysAreRotatedWhenAskedFor(t *testing.T) {
	w := newHarness(t)
	issuer := w.createIssuer()
	key := w.createKey("orders")
	w.start()
	w.becomes(key, v1alpha1.ReasonIssued)
	signing := func() map[v1alpha1.KeyUse]string {
		active := map[v1alpha1.KeyUse]string{}
		for _, k := range get(w, issuer).Status.Keys {
			if k.State == "Active" {
				active[k.Use] = k.KID
			}
		}
		return active
	}
	before, held := signing(), w.token("orders")
	w.clock.SetTime(w.clock.Now().Add(30 * time.Minute))
	w.edit(issuer, func() {
		metav1.SetMetaDataAnnotation(&issuer.ObjectMeta, v1alpha1.AnnotationRotateKeys, w.clock.Now().UTC().Format(time.RFC3339))
	})
	planned := func() (at []string) {
		for _, k := range get(w, issuer).Status.Keys {
			if k.State == "Pending" {
				at = append(at, k.ActiveAt.Sub(k.CreatedAt.Time).String())
			}
		}
		return at
	}
	w.Eventually(planned, patience).Should(gomega.Equal([]string{"1h0m0s", "1h0m0s"}), "not before they have been published for prepublish")
	w.Expect(signing()).To(gomega.Equal(before))

	w.clock.SetTime(w.clock.Now().Add(30 * time.Minute))
	w.edit(issuer, func() { metav1.SetMetaDataLabel(&issuer.ObjectMeta, "poked", "yes") })
	w.Eventually(signing, patience).ShouldNot(gomega.Or(gomega.HaveKeyWithValue(v1alpha1.KeyUse("refresh"), before["refresh"]),
		gomega.HaveKeyWithValue(v1alpha1.KeyUse("access"), before["access"])))
	after := signing()
	w.accepts(held, registry.Current)
	w.clock.SetTime(w.clock.Now().Add(2 * time.Hour))
	w.edit(issuer, func() { metav1.SetMetaDataLabel(&issuer.ObjectMeta, "poked", "again") })
	w.annotate(key, v1alpha1.AnnotationRotate, "afterwards")
	w.reaches(key, 2)
	w.Expect(signing()).To(gomega.Equal(after), "what was asked for once happens once")
	w.Expect(key.Status.KeyID).To(gomega.Equal(after["refresh"]))
}

// A backup tool may put its own label in place of ours, by which the caches find the Secret.
func TestSigningKeysWithoutOurLabelAreFoundAgain(t *testing.T) {
	w := newHarness(t)
	issuer := w.createIssuer()
	w.start()
	w.issuerBecomes(issuer, v1alpha1.ReasonKeysReady)

	keys := w.signingKeys()
	keys.Labels[v1alpha1.LabelManagedBy] = "a-backup"
	w.Expect(w.admin.Update(w.ctx, keys)).To(gomega.Succeed())
	w.Eventually(func() string { return w.signingKeys().Labels[v1alpha1.LabelManagedBy] }, patience).Should(gomega.Equal(v1alpha1.ManagedBy))
	w.Expect(w.signingKeys().Data).To(gomega.Equal(keys.Data))
	w.becomes(w.createKey("orders"), v1alpha1.ReasonIssued)
}

// An issuer that is made again knows nothing of its keys; the tokens that live do.
func TestLostSigningKeysAreNotReplacedForAnIssuerMadeAgain(t *testing.T) {
	w := newHarness(t)
	issuer := w.createIssuer()
	key := w.createKey("orders")
	w.start()
	w.becomes(key, v1alpha1.ReasonIssued)
	keys, held := w.signingKeys(), w.token("orders")

	w.Expect(w.admin.Delete(w.ctx, issuer)).To(gomega.Succeed())
	w.becomes(key, v1alpha1.ReasonIssuerNotFound)
	w.Expect(w.admin.Delete(w.ctx, keys)).To(gomega.Succeed())
	again := w.createIssuer()
	w.issuerBecomes(again, v1alpha1.ReasonKeysLost)

	restored := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: keys.Namespace, Name: keys.Name, Labels: keys.Labels}, Data: keys.Data,
	}
	w.create(restored)
	w.issuerBecomes(again, v1alpha1.ReasonKeysReady)
	w.becomes(key, v1alpha1.ReasonIssued)
	w.accepts(held, registry.Current)
	w.Expect(key.Status.Revision).To(gomega.BeEquivalentTo(1))
}

// Verifiers have cached the keys that were lost: the new access key is published before it signs.
func TestLostSigningKeysThatAreGivenUp(t *testing.T) {
	w := newHarness(t)
	issuer := w.createIssuer()
	key := w.createKey("orders")
	w.start()
	w.becomes(key, v1alpha1.ReasonIssued)
	var kids []string
	for _, k := range get(w, issuer).Status.Keys {
		kids = append(kids, k.KID)
	}
	w.Expect(w.admin.Delete(w.ctx, w.signingKeys())).To(gomega.Succeed())
	w.issuerBecomes(issuer, v1alpha1.ReasonKeysLost)
	w.edit(issuer, func() {
		metav1.SetMetaDataAnnotation(&issuer.ObjectMeta, v1alpha1.AnnotationWithdrawKey, strings.Join(kids, ","))
	})
	w.issuerBecomes(issuer, v1alpha1.ReasonKeyPending)
	w.reaches(key, 2)
	w.accepts(w.token("orders"), registry.Current)

	w.clock.SetTime(w.clock.Now().Add(time.Hour))
	w.edit(issuer, func() { metav1.SetMetaDataLabel(&issuer.ObjectMeta, "poked", "yes") })
	w.issuerBecomes(issuer, v1alpha1.ReasonKeysReady)
}

// A one-time key keeps the token of the issuer that it named before, until that is gone and the
// Secret too: then it cannot be made again.
func TestALostTokenOfAnIssuerThatIsGone(t *testing.T) {
	w := newHarness(t)
	issuer := w.createIssuer()
	other := &v1alpha1.JWTIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: w.issuer + "-other"},
		Spec:       v1alpha1.JWTIssuerSpec{URL: "https://" + w.issuer + "-other.example.com"},
	}
	w.create(other)
	key := w.createKey("orders", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
	})
	w.start()
	w.becomes(key, v1alpha1.ReasonIssued)
	held := w.token("orders")
	w.issuerBecomes(other, v1alpha1.ReasonKeysReady)

	w.edit(key, func() { key.Spec.IssuerRef.Name = other.Name })
	w.Eventually(func() string { return get(w, key).Status.Issuer }, patience).Should(gomega.Equal(other.Name))
	w.Expect(w.admin.Delete(w.ctx, w.secret("orders"))).To(gomega.Succeed())
	w.Eventually(w.tokenIn("orders"), patience).Should(gomega.Equal(token.Hash(held)), "its issuer is there, and it is made again")

	w.Expect(w.admin.Delete(w.ctx, issuer)).To(gomega.Succeed())
	w.Expect(w.admin.Delete(w.ctx, w.secret("orders"))).To(gomega.Succeed())
	w.reaches(key, 2)
	w.becomes(key, v1alpha1.ReasonIssued)
	w.Expect(string(key.Status.Content.Raw)).To(gomega.ContainSubstring(other.Spec.URL))
}

// A copy that a user made of a Secret is the user's.
func TestACopyOfASecretIsLeftAlone(t *testing.T) {
	w := newHarness(t)
	w.createIssuer()
	key := w.createKey("orders")
	w.start()
	w.becomes(key, v1alpha1.ReasonIssued)
	original := w.secret("orders")
	copied := &corev1.Secret{ObjectMeta: *original.ObjectMeta.DeepCopy(), Data: original.Data}
	copied.Name, copied.UID, copied.ResourceVersion = "a-copy", "", ""
	w.create(copied)

	w.annotate(key, v1alpha1.AnnotationRotateNow, "once")
	w.reaches(key, 2)
	w.edit(key, func() { key.Spec.Revoked = true })
	w.becomes(key, v1alpha1.ReasonRevoked)
	w.Eventually(w.tokenIn("orders"), patience).Should(gomega.BeEmpty())
	w.Expect(w.secret("a-copy")).To(gomega.Equal(copied))
}

// TestAnIssuerWhosePolicyHasNoRules is ready, and says that it grants nothing. An object that an earlier
// release stored so stays readable and can be changed in any other way.
func TestAnIssuerWhosePolicyHasNoRules(t *testing.T) {
	w := newHarness(t)
	issuer := w.createIssuer()
	key := w.createKey("orders")
	w.start()
	w.becomes(key, v1alpha1.ReasonIssued)
	held := w.token("orders")
	message := func() string {
		ready := meta.FindStatusCondition(get(w, issuer).Status.Conditions, v1alpha1.ConditionReady)
		return string(ready.Status) + " " + ready.Reason + ": " + ready.Message
	}
	const nothing = "The issuer grants no tokens, since spec.policy has no rules"
	w.Expect(message()).NotTo(gomega.ContainSubstring(nothing))

	rules := get(w, issuer).Spec.Policy.DeepCopy()
	w.edit(issuer, func() { issuer.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{}} })
	w.Eventually(message, patience, 20*time.Millisecond).Should(gomega.And(gomega.HavePrefix("True KeysReady"), gomega.ContainSubstring(nothing)))
	w.becomes(key, v1alpha1.ReasonPolicyDenied)
	ready := meta.FindStatusCondition(get(w, key).Status.Conditions, v1alpha1.ConditionReady)
	w.Expect(ready.Message).To(gomega.ContainSubstring("spec.policy has no rules"))
	w.Expect(w.token("orders")).To(gomega.Equal(held), "the client keeps its token, which a rule can make good again")

	w.edit(issuer, func() { issuer.Spec.EndpointURL = "https://inside.example.com" })
	w.edit(issuer, func() { metav1.SetMetaDataLabel(&issuer.ObjectMeta, "team", "shop") })
	w.Expect(get(w, issuer).Spec.Policy).To(gomega.Equal(&v1alpha1.PolicySpec{}))

	w.edit(issuer, func() { issuer.Spec.Policy = rules })
	w.becomes(key, v1alpha1.ReasonIssued)
	w.Expect(w.token("orders")).To(gomega.Equal(held))
	w.Eventually(message, patience, 20*time.Millisecond).ShouldNot(gomega.ContainSubstring(nothing))
}

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

// The access ring is empty for a while if its key is withdrawn before the next one has been published long enough. That
// must not delay refresh tokens, and must not leave tokens of the withdrawn key in Secrets.
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
	w.accepts(w.token("orders"), lifecycle.StandingCurrent)
	w.Expect(w.secret("orders").Data).NotTo(gomega.HaveKey("access-token"))

	w.clock.SetTime(w.clock.Now().Add(time.Hour))
	w.edit(issuer, func() { metav1.SetMetaDataLabel(&issuer.ObjectMeta, "poked", "yes") })
	w.issuerBecomes(issuer, v1alpha1.ReasonKeysReady)
	w.Eventually(func() string { return string(w.secret("orders").Data["access-token"]) }, patience).ShouldNot(gomega.BeElementOf("", withdrawn))
	w.parseAccess(string(w.secret("orders").Data["access-token"]))
}

// A requested rotation of signing keys happens once, after the prepublish time; tokens of the earlier keys stay valid.
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
	w.Eventually(planned, patience).Should(gomega.Equal([]string{"1h0m0s", "1h0m0s"}), "they must be published for prepublish first")
	w.Expect(signing()).To(gomega.Equal(before))

	w.clock.SetTime(w.clock.Now().Add(30 * time.Minute))
	w.edit(issuer, func() { metav1.SetMetaDataLabel(&issuer.ObjectMeta, "poked", "yes") })
	w.Eventually(signing, patience).ShouldNot(gomega.Or(gomega.HaveKeyWithValue(v1alpha1.KeyUse("refresh"), before["refresh"]),
		gomega.HaveKeyWithValue(v1alpha1.KeyUse("access"), before["access"])))
	after := signing()
	w.accepts(held, lifecycle.StandingCurrent)
	w.clock.SetTime(w.clock.Now().Add(2 * time.Hour))
	w.edit(issuer, func() { metav1.SetMetaDataLabel(&issuer.ObjectMeta, "poked", "again") })
	w.annotate(key, v1alpha1.AnnotationRotate, "afterwards")
	w.reaches(key, 2)
	w.Expect(signing()).To(gomega.Equal(after), "one request must cause one rotation")
	w.Expect(key.Status.KeyID).To(gomega.Equal(after["refresh"]))
}

// A backup tool can replace the label by which the caches select the Secret.
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

// An issuer that is created again has no record of its signing keys; valid tokens name them.
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
	w.accepts(held, lifecycle.StandingCurrent)
	w.Expect(key.Status.Revision).To(gomega.BeEquivalentTo(1))
}

// Verifiers have cached the lost signing keys: the new access key is published before it signs.
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
	w.accepts(w.token("orders"), lifecycle.StandingCurrent)

	w.clock.SetTime(w.clock.Now().Add(time.Hour))
	w.edit(issuer, func() { metav1.SetMetaDataLabel(&issuer.ObjectMeta, "poked", "yes") })
	w.issuerBecomes(issuer, v1alpha1.ReasonKeysReady)
}

// A one-time key keeps the token of its earlier issuer until that issuer and the Secret are deleted: then the token
// cannot be signed again.
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
	w.Eventually(w.tokenIn("orders"), patience).Should(gomega.Equal(token.Hash(held)), "its issuer exists, so the token is signed again")

	w.Expect(w.admin.Delete(w.ctx, issuer)).To(gomega.Succeed())
	w.Expect(w.admin.Delete(w.ctx, w.secret("orders"))).To(gomega.Succeed())
	w.reaches(key, 2)
	w.becomes(key, v1alpha1.ReasonIssued)
	w.Expect(string(key.Status.Content.Raw)).To(gomega.ContainSubstring(other.Spec.URL))
}

// A copy of a Secret that a user created belongs to the user.
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

// TestAnIssuerWhosePolicyHasNoRules checks that such an issuer is ready, and that its message says that it grants nothing.
// An object that an earlier release stored in this form stays readable and can be changed in any other way.
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
	w.Expect(w.token("orders")).To(gomega.Equal(held), "the client keeps its token, which a new rule can grant again")

	w.edit(issuer, func() { issuer.Spec.EndpointURL = "https://inside.example.com" })
	w.edit(issuer, func() { metav1.SetMetaDataLabel(&issuer.ObjectMeta, "team", "shop") })
	w.Expect(get(w, issuer).Spec.Policy).To(gomega.Equal(&v1alpha1.PolicySpec{}))

	w.edit(issuer, func() { issuer.Spec.Policy = rules })
	w.becomes(key, v1alpha1.ReasonIssued)
	w.Expect(w.token("orders")).To(gomega.Equal(held))
	w.Eventually(message, patience, 20*time.Millisecond).ShouldNot(gomega.ContainSubstring(nothing))
}

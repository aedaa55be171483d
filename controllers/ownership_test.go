package controllers_test

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/line"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// lostReferences are the ways in which a Secret loses its ownerReference, so that the garbage collector keeps it.
var lostReferences = []struct {
	name string
	lose func(*corev1.Secret)
}{
	{"null", func(s *corev1.Secret) { s.OwnerReferences = nil }},
	{"without controller", func(s *corev1.Secret) { s.OwnerReferences[0].Controller = nil }},
	{"null, and without the operator's label", func(s *corev1.Secret) { s.OwnerReferences = nil; delete(s.Labels, v1alpha1.LabelManagedBy) }},
	{"null, and without annotations", func(s *corev1.Secret) { s.OwnerReferences, s.Annotations = nil, nil }},
	{"null, as an earlier version made it", func(s *corev1.Secret) { s.OwnerReferences = nil; delete(s.Annotations, madeFor) }},
	{"null, and with another token", func(s *corev1.Secret) { s.OwnerReferences = nil; s.Data["token"] = []byte("not a token") }},
	{"null, and with another jti", func(s *corev1.Secret) { s.OwnerReferences = nil; s.Annotations[v1alpha1.AnnotationJTI] = "forged" }},
}

const madeFor = v1alpha1.Group + "/made-for"

func TestASecretThatLostItsOwnerReference(t *testing.T) {
	for _, tt := range lostReferences {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.Issuer()
			key := w.Key("orders")
			stop := w.startFor()
			w.AwaitReason(key, v1alpha1.ReasonIssued)
			held := w.MustToken("orders")
			secret := w.MustSecret("orders")
			stop()
			tt.lose(secret)
			w.Expect(w.Admin.Update(w.Ctx, secret)).To(gomega.Succeed())
			w.startFor()
			w.Eventually(w.controller(key, "orders")).Should(gomega.BeTrue(), "the reference is restored")
			w.Eventually(w.holds("orders")).Should(gomega.Equal(token.Hash(held)), "with the same token")
			w.AwaitReason(key, v1alpha1.ReasonIssued)
			w.Expect(key.Status.Revision).To(gomega.BeEquivalentTo(1), "a lost reference must not cause a rotation")
			w.accepts(held, lifecycle.StandingCurrent)

			// The same while the manager runs: the event of the Secret is enough.
			secret = w.MustSecret("orders")
			secret.OwnerReferences = nil
			w.Expect(w.Admin.Update(w.Ctx, secret)).To(gomega.Succeed())
			w.Eventually(w.controller(key, "orders")).Should(gomega.BeTrue(), "the reference is restored without an event of the key")
		})
	}
}

// controller reports whether a Secret has the key as its controller.
func (w *fixture) controller(key *v1alpha1.JWTRefreshKey, name string) func() bool {
	return func() bool { return metav1.IsControlledBy(w.MustSecret(name), key) }
}

// TestARevocationFollowsALostOwnerReference checks that a revocation removes the token from the Secret, before and after the
// reference is lost.
func TestARevocationFollowsALostOwnerReference(t *testing.T) {
	tests := []struct {
		name string
		spec func(*v1alpha1.JWTRefreshKey)
	}{
		{"Scheduled", func(*v1alpha1.JWTRefreshKey) {}},
		{"OneTimeUse", func(k *v1alpha1.JWTRefreshKey) {
			k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.Issuer()
			key := w.Key("orders", tt.spec)
			stop := w.startFor()
			w.AwaitReason(key, v1alpha1.ReasonIssued)
			stop()
			w.loseOwner("orders")
			w.Edit(key, func() { key.Spec.Revoked = true })
			stop = w.startFor()
			w.AwaitReason(key, v1alpha1.ReasonRevoked)
			w.Eventually(w.holds("orders")).Should(gomega.Equal("no token"))
			w.Eventually(w.controller(key, "orders")).Should(gomega.BeTrue())

			stop()
			w.loseOwner("orders")
			w.startFor()
			w.Eventually(w.controller(key, "orders")).Should(gomega.BeTrue(), "the Secret of a revoked key must be deleted with the key")
			w.Expect(w.holds("orders")()).To(gomega.Equal("no token"))
		})
	}
}

// loseOwner removes the ownerReferences of a Secret, and the marks that the current version writes in addition.
func (w *fixture) loseOwner(name string) {
	w.T.Helper()
	secret := w.MustSecret(name)
	w.Edit(secret, func() { secret.OwnerReferences = nil; delete(secret.Annotations, madeFor) })
}

// TestAnEnrolledKeysSecretThatLostItsOwnerReference covers a Secret whose jti was superseded and is no longer recorded.
func TestAnEnrolledKeysSecretThatLostItsOwnerReference(t *testing.T) {
	for _, version := range []string{"present", "earlier"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.Issuer()
			key := w.Key("till", func(k *v1alpha1.JWTRefreshKey) {
				k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
			})
			stop := w.startFor()
			w.AwaitReason(key, v1alpha1.ReasonIssued)
			w.uses(key)
			w.Eventually(w.holds("till")).Should(gomega.Equal("no token"), "the enrolment is used")
			stop()
			secret := w.MustSecret("till")
			w.Edit(secret, func() {
				secret.OwnerReferences = nil
				secret.Annotations[v1alpha1.AnnotationJTI] = "of-an-earlier-revision"
				if version == "earlier" {
					delete(secret.Annotations, madeFor)
				}
			})
			w.clock.SetTime(key.CreationTimestamp.Add(time.Minute))
			w.startFor()
			w.Eventually(w.controller(key, "till")).Should(gomega.BeTrue())
			w.AwaitReason(key, v1alpha1.ReasonIssued)
			w.Expect(key.Status.Revision).To(gomega.BeEquivalentTo(2))
			w.Expect(w.holds("till")()).To(gomega.Equal("no token"))
		})
	}
}

// editStatus writes status with the rights of the operator, since the admission policy allows no other client to.
func (w *fixture) editStatus(key *v1alpha1.JWTRefreshKey, change func()) {
	w.T.Helper()
	operator, err := client.New(w.ManagerConfig(), client.Options{Scheme: w.Admin.Scheme()})
	w.Expect(err).NotTo(gomega.HaveOccurred())
	w.Eventually(func() error {
		if err := w.Reload(key); err != nil {
			return err
		}
		change()
		return operator.Status().Update(w.Ctx, key)
	}).Should(gomega.Succeed())
}

// holds returns the hash of the token in a Secret, or why there is none: no failure prints a token.
func (w *fixture) holds(name string) func() string {
	return func() string {
		return cmp.Or(w.tokenIn(name)(), "no token")
	}
}

// uses advances the line of a key like the token service at the use of a one-time token.
func (w *fixture) uses(key *v1alpha1.JWTRefreshKey) {
	w.T.Helper()
	rings, err := keyring.Decode(w.signingKeys().Data)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	signer, err := rings.Signer(keyring.Refresh)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	w.editStatus(key, func() {
		claims, err := line.Recorded(key)
		w.Expect(err).NotTo(gomega.HaveOccurred())
		used := key.Status.Revision
		_, next, err := line.Mint(key, &lifecycle.Mint{
			Terms:    lifecycle.Terms{Issuer: claims.Issuer, Audience: claims.Audience, Subject: claims.Subject},
			Revision: used + 1, CreatedAt: claims.IssuedAt, ExpiresAt: claims.ExpiresAt,
		}, fmt.Sprintf("of-revision-%d", used+1), signer)
		w.Expect(err).NotTo(gomega.HaveOccurred())
		key.Status.TokenLine = next.Line([]v1alpha1.SupersededToken{lifecycle.Superseded(&key.Status.TokenLine)})
		key.Status.LastUsedRevision = used
	})
}

// madeAgain deletes a key whose Secret, as a version writes it, has lost its owner, and creates the key again. It returns
// both keys and the token in the Secret.
func (w *fixture) madeAgain(version string) (earlier, again *v1alpha1.JWTRefreshKey, held string) {
	w.Issuer()
	earlier = w.Key("orders")
	stop := w.startFor()
	w.AwaitReason(earlier, v1alpha1.ReasonIssued)
	held = w.MustToken("orders")
	stop()
	secret := w.MustSecret("orders")
	w.Edit(secret, func() {
		secret.OwnerReferences = nil
		if version == "earlier" {
			delete(secret.Annotations, madeFor)
		}
	})
	w.Expect(w.Admin.Delete(w.Ctx, earlier)).To(gomega.Succeed())
	return earlier, w.Key("orders"), held
}

// TestAKeyMadeAgainFindsASecretWithoutOwner covers kubectl delete --cascade=orphan and apply.
func TestAKeyMadeAgainFindsASecretWithoutOwner(t *testing.T) {
	for _, version := range []string{"present", "earlier"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			_, again, old := w.madeAgain(version)
			secret := w.MustSecret("orders")
			w.clock.SetTime(again.CreationTimestamp.Time)
			w.startFor()
			w.AwaitReason(again, v1alpha1.ReasonWaitingForSecret)
			w.Expect(w.holds("orders")()).To(gomega.Equal(token.Hash(old)), "the grace has not ended")

			w.clock.SetTime(again.CreationTimestamp.Add(31 * time.Second))
			w.Poke(again)
			w.AwaitReason(again, v1alpha1.ReasonIssued)
			w.Expect(again.Status.SecretName).To(gomega.Equal("orders"))
			w.accepts(w.MustToken("orders"), lifecycle.StandingCurrent)
			w.refuses(old)
			after := w.MustSecret("orders")
			w.Expect(metav1.IsControlledBy(after, again)).To(gomega.BeTrue())
			w.Expect(after.UID).To(gomega.Equal(secret.UID), "it is the same Secret")
		})
	}
}

// TestALabelledCopyFromAnotherNamespace checks that such a copy does not belong to a key of this namespace, with any marks
// (I9 and I14 of docs/architecture.md).
func TestALabelledCopyFromAnotherNamespace(t *testing.T) {
	tests := []struct {
		name   string
		policy v1alpha1.DeletionPolicy
		edit   func(*corev1.Secret)
	}{
		{"Retain", v1alpha1.DeletionRetain, func(*corev1.Secret) {}},
		{"Retain, as an earlier version made it", v1alpha1.DeletionRetain, func(s *corev1.Secret) { s.Annotations[v1alpha1.AnnotationOwner] = "orders" }},
		{"Delete", v1alpha1.DeletionDelete, func(s *corev1.Secret) { s.OwnerReferences = nil }},
		{"Delete, with the ownerReference", v1alpha1.DeletionDelete, func(*corev1.Secret) {}},
		{"Delete, as an earlier version made it", v1alpha1.DeletionDelete, func(s *corev1.Secret) { s.OwnerReferences = nil; delete(s.Annotations, madeFor) }},
		{"Delete, without a token", v1alpha1.DeletionDelete, func(s *corev1.Secret) { s.OwnerReferences = nil; delete(s.Data, v1alpha1.SecretToken) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			theirs, w := newFixture(t), newFixture(t)
			policy := func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{DeletionPolicy: tt.policy} }
			theirs.Issuer()
			w.Issuer()
			original := theirs.Key("orders", policy)
			w.startFor(theirs.Name)
			theirs.AwaitReason(original, v1alpha1.ReasonIssued)
			copied := theirs.MustSecret("orders")
			copied.Namespace, copied.UID, copied.ResourceVersion = w.Name, "", ""
			tt.edit(copied)
			w.Create(copied)

			key := w.Key("orders", policy)
			w.clock.SetTime(time.Now().Add(time.Minute))
			w.AwaitReason(key, v1alpha1.ReasonSecretConflict)
			w.Poke(key)
			w.AwaitReason(key, v1alpha1.ReasonSecretConflict)
			w.Expect(w.MustSecret("orders")).To(gomega.Equal(copied), "its data must not change")
			w.Expect(key.Status.SecretName).To(gomega.BeEmpty(), "the key has no Secret")
		})
	}
}

// TestACopyUnderAnotherName checks that a copy in the same namespace stays, with and without the ownerReference.
func TestACopyUnderAnotherName(t *testing.T) {
	tests := []struct {
		name string
		edit func(*corev1.Secret)
	}{
		{"whole", func(*corev1.Secret) {}},
		{"without ownerReference", func(s *corev1.Secret) { s.OwnerReferences = nil }},
		{"the token alone, beside a password", func(s *corev1.Secret) {
			s.OwnerReferences, s.Labels, s.Annotations = nil, nil, nil
			s.Data["password"] = []byte("hunter2")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.Issuer()
			key := w.Key("orders")
			w.startFor()
			w.AwaitReason(key, v1alpha1.ReasonIssued)
			copied := w.MustSecret("orders")
			copied.Name, copied.UID, copied.ResourceVersion = "a-copy", "", ""
			tt.edit(copied)
			w.Create(copied)
			w.Edit(key, func() { key.Spec.Secret = &v1alpha1.SecretSpec{Name: "a-copy"} })
			w.AwaitReason(key, v1alpha1.ReasonSecretConflict)
			w.Poke(key)
			w.AwaitReason(key, v1alpha1.ReasonSecretConflict)
			w.Expect(w.MustSecret("a-copy")).To(gomega.Equal(copied))
			w.Expect(key.Status.SecretName).To(gomega.Equal("orders"), "the Secret with the current token")
		})
	}
}

// TestAForgedJTI checks that a user who writes the jti of another key to a Secret of the namespace gains no right: the other
// key has a Secret of another name, so the operator does not change this one.
func TestAForgedJTI(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	victim := w.Key("victim")
	w.startFor()
	w.AwaitReason(victim, v1alpha1.ReasonIssued)
	held := w.MustToken("victim")
	forged := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: "database", Annotations: map[string]string{v1alpha1.AnnotationJTI: victim.Status.JTI}},
		Data:       map[string][]byte{"password": []byte("hunter2")},
	}
	w.Create(forged)
	another := w.Key("database")
	w.AwaitReason(another, v1alpha1.ReasonSecretConflict)
	w.Edit(victim, func() { victim.Spec.Secret = &v1alpha1.SecretSpec{Name: "database"} })
	w.AwaitReason(victim, v1alpha1.ReasonSecretConflict)
	w.Edit(victim, func() { victim.Spec.Revoked = true })
	w.AwaitReason(victim, v1alpha1.ReasonRevoked)
	w.Eventually(w.holds("victim")).ShouldNot(gomega.Equal(token.Hash(held)), "the token of the other key is removed")
	w.Expect(w.MustSecret("database")).To(gomega.Equal(forged), "its data must not change")
}

// TestAStatusRestoredWithANewUID checks that the line of an earlier key in status is not trusted, and that the Secret of
// the earlier key is replaced after the grace.
func TestAStatusRestoredWithANewUID(t *testing.T) {
	for _, version := range []string{"present", "earlier"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			earlier, again, old := w.madeAgain(version)
			w.editStatus(again, func() { again.Status = earlier.Status })
			w.clock.SetTime(again.CreationTimestamp.Time)
			w.startFor()
			w.AwaitReason(again, v1alpha1.ReasonWaitingForSecret)
			w.Expect(again.Status.Revision).To(gomega.BeEquivalentTo(2), "the restored line ends at once")
			w.Expect(w.holds("orders")()).To(gomega.Equal(token.Hash(old)))
			w.refuses(old)

			w.clock.SetTime(again.CreationTimestamp.Add(31 * time.Second))
			w.Poke(again)
			w.AwaitReason(again, v1alpha1.ReasonIssued)
			w.accepts(w.MustToken("orders"), lifecycle.StandingCurrent)
			w.Expect(metav1.IsControlledBy(w.MustSecret("orders"), again)).To(gomega.BeTrue())
		})
	}
}

// TestASecretUnderAnEarlierNameThatLostItsOwnerReference checks that such a Secret is deleted when its key is revoked.
func TestASecretUnderAnEarlierNameThatLostItsOwnerReference(t *testing.T) {
	for _, version := range []string{"present", "earlier"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.Issuer()
			key := w.Key("orders")
			stop := w.startFor()
			w.AwaitReason(key, v1alpha1.ReasonIssued)
			w.Edit(key, func() { key.Spec.Secret = &v1alpha1.SecretSpec{Name: "renamed"} })
			w.Eventually(func() string { return harness.MustGet(w.Harness, key).Status.SecretName }).Should(gomega.Equal("renamed"))
			stop()
			secret := w.MustSecret("orders")
			w.Edit(secret, func() {
				secret.OwnerReferences = nil
				if version == "earlier" {
					delete(secret.Annotations, madeFor)
				}
			})
			w.startFor()
			w.Edit(key, func() { key.Spec.Revoked = true })
			w.Eventually(w.holds("orders")).Should(gomega.Equal("no Secret"))
		})
	}
}

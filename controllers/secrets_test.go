package controllers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// I9 of docs/architecture.md: the operator does not change what it did not create.
func TestAForeignSecretIsNeverTouched(t *testing.T) {
	tests := []struct {
		name   string
		secret func(*fixture, *corev1.Secret)
	}{
		{"a user's", func(*fixture, *corev1.Secret) {}},
		{"with a forged managed-by label", func(_ *fixture, s *corev1.Secret) {
			s.Labels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
		}},
		{"owned by another key", func(w *fixture, s *corev1.Secret) {
			another := w.Key("another", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone} })
			s.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(another, v1alpha1.GroupVersion.WithKind("JWTRefreshKey"))}
			s.Labels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
		}},
		{"of a type for a registry", func(_ *fixture, s *corev1.Secret) {
			s.Type = corev1.SecretTypeDockerConfigJson
			s.Data = map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{}}`)}
			s.Annotations = map[string]string{v1alpha1.AnnotationOwner: "orders"}
			s.Labels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
		}},
		{"immutable", func(_ *fixture, s *corev1.Secret) { s.Immutable = ptr.To(true) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.Issuer()
			secret := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: "orders"},
				Data:       map[string][]byte{"password": []byte("theirs")},
			}
			tt.secret(w, secret)
			w.Create(secret)
			key := w.Key("orders")
			w.start()
			w.AwaitReason(key, v1alpha1.ReasonSecretConflict)
			w.Expect(w.MustSecret("orders")).To(gomega.Equal(secret))
			w.Expect(key.Status.Revision).To(gomega.BeZero(), "no token is issued that cannot be written to the Secret")

			w.Expect(w.Admin.Delete(w.Ctx, secret)).To(gomega.Succeed())
			w.Poke(key)
			w.AwaitReason(key, v1alpha1.ReasonIssued)
		})
	}
}

// handEdits are changes that people and tools make to a Secret of the operator.
var handEdits = []struct {
	name string
	edit func(*corev1.Secret)
}{
	{"another token", func(s *corev1.Secret) { s.Data["token"] = []byte("not a token") }},
	{"no token", func(s *corev1.Secret) { delete(s.Data, "token") }},
	{"another endpoint", func(s *corev1.Secret) { s.Data["token-endpoint"] = []byte("https://evil.example.com") }},
	{"data of their own", func(s *corev1.Secret) { s.Data["extra"] = []byte("x") }},
	{"without the operator's label", func(s *corev1.Secret) { delete(s.Labels, v1alpha1.LabelManagedBy) }},
	{"without the operator's annotations", func(s *corev1.Secret) { s.Annotations = nil }},
	{"the label of another operator", func(s *corev1.Secret) { s.Labels[v1alpha1.LabelManagedBy] = "Helm" }},
	{"without the annotation that names the key", func(s *corev1.Secret) { delete(s.Annotations, v1alpha1.AnnotationOwner) }},
	{"without the operator's label, and with another token", func(s *corev1.Secret) {
		delete(s.Labels, v1alpha1.LabelManagedBy)
		s.Data["token"] = []byte("not a token")
	}},
}

func TestAHandEditedSecretIsRestored(t *testing.T) {
	for _, policy := range []v1alpha1.DeletionPolicy{v1alpha1.DeletionDelete, v1alpha1.DeletionRetain} {
		for _, tt := range handEdits {
			t.Run(fmt.Sprintf("%s: %s", policy, tt.name), func(t *testing.T) {
				t.Parallel()
				w := newFixture(t)
				w.Issuer()
				key := w.Key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{DeletionPolicy: policy} })
				w.start()
				w.AwaitReason(key, v1alpha1.ReasonIssued)
				w.restores(key, tt.edit)
			})
		}
	}
}

// restores edits the Secret of a key, and waits until the operator has restored it.
func (w *fixture) restores(key *v1alpha1.JWTRefreshKey, edit func(*corev1.Secret)) {
	w.T.Helper()
	as := w.MustSecret("orders")

	edited := as.DeepCopy()
	edited.Annotations["their.example.com/own"] = "stays"
	edit(edited)
	w.Expect(w.Admin.Update(w.Ctx, edited)).To(gomega.Succeed())
	w.Poke(key)
	w.Eventually(func(g gomega.Gomega) {
		now := w.MustSecret("orders")
		g.Expect(now.Data).To(gomega.Equal(as.Data))
		g.Expect(now.Labels).To(gomega.Equal(as.Labels))
		for name, value := range as.Annotations {
			g.Expect(now.Annotations).To(gomega.HaveKeyWithValue(name, value))
		}
		if edited.Annotations != nil {
			g.Expect(now.Annotations).To(gomega.HaveKeyWithValue("their.example.com/own", "stays"))
		}
	}).Should(gomega.Succeed())
	w.Expect(harness.MustGet(w.Harness, key).Status.Revision).To(gomega.BeEquivalentTo(1), "an edit must not cause a rotation")
}

// A copy of a retained Secret under another name has every mark of the operator except the name of the Secret.
func TestACopyOfARetainedSecretIsForeign(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	key := w.Key("orders", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Secret = &v1alpha1.SecretSpec{DeletionPolicy: v1alpha1.DeletionRetain}
	})
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	original := w.MustSecret("orders")
	copied := &corev1.Secret{ObjectMeta: *original.ObjectMeta.DeepCopy(), Data: original.Data}
	copied.Name, copied.UID, copied.ResourceVersion = "a-copy", "", ""
	w.Create(copied)

	w.Edit(key, func() { key.Spec.Secret.Name = "a-copy" })
	w.AwaitReason(key, v1alpha1.ReasonSecretConflict)
	w.Expect(w.MustSecret("a-copy")).To(gomega.Equal(copied))
}

func TestAnImmutableSecretIsReported(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	key := w.Key("orders")
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	secret := w.MustSecret("orders")
	secret.Immutable = ptr.To(true)
	w.Expect(w.Admin.Update(w.Ctx, secret)).To(gomega.Succeed())

	w.Annotate(key, v1alpha1.AnnotationRotate, "once")
	w.AwaitReason(key, v1alpha1.ReasonSecretImmutable)
	w.Expect(key.Status.Revision).To(gomega.BeEquivalentTo(1))

	w.Expect(w.Admin.Delete(w.Ctx, w.MustSecret("orders"))).To(gomega.Succeed())
	w.AwaitRevision(key, 2)
	w.AwaitReason(key, v1alpha1.ReasonIssued)
}

func TestARenamedSecret(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	key := w.Key("orders")
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	held := w.MustToken("orders")

	w.Edit(key, func() { key.Spec.Secret = &v1alpha1.SecretSpec{Name: "renamed"} })
	w.Eventually(w.tokenIn("renamed")).Should(gomega.Equal(token.Hash(held)), "the same token, signed again")
	w.Eventually(func() string { return harness.MustGet(w.Harness, key).Status.SecretName }).Should(gomega.Equal("renamed"))
	w.Expect(w.MustToken("orders")).To(gomega.Equal(held), "the old one stays for the overlap")

	w.clock.SetTime(w.clock.Now().Add(21 * time.Minute))
	w.Poke(key)
	w.Eventually(w.tokenIn("orders")).Should(gomega.Equal("no Secret"))
	w.accepts(held, lifecycle.StandingCurrent)
}

func TestARetainedSecretIsTakenUpAgain(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	retain := func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Secret = &v1alpha1.SecretSpec{DeletionPolicy: v1alpha1.DeletionRetain}
	}
	key := w.Key("orders", retain)
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	before := w.MustSecret("orders")
	w.Expect(before.OwnerReferences).To(gomega.BeEmpty())

	w.Expect(w.Admin.Delete(w.Ctx, key)).To(gomega.Succeed())
	w.refuses(string(before.Data["token"]))
	again := w.Key("orders", retain)
	w.AwaitReason(again, v1alpha1.ReasonIssued)
	after := w.MustSecret("orders")
	w.Expect(after.UID).To(gomega.Equal(before.UID), "it is the same Secret")
	w.accepts(string(after.Data["token"]), lifecycle.StandingCurrent)
	w.refuses(string(before.Data["token"]))
}

func TestALeftOverSecretIsWaitedForAndThenReplaced(t *testing.T) {
	if server.Existing() {
		t.Skip("the garbage collector of an existing cluster takes the Secret away first")
	}
	w := newFixture(t)
	w.Issuer()
	key := w.Key("orders")
	stop := w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	old := w.MustToken("orders")
	stop()
	w.Expect(w.Admin.Delete(w.Ctx, key)).To(gomega.Succeed())
	again := w.Key("orders")
	w.clock.SetTime(again.CreationTimestamp.Time)
	w.start()
	w.AwaitReason(again, v1alpha1.ReasonWaitingForSecret)
	w.Expect(w.MustToken("orders")).To(gomega.Equal(old))

	w.clock.SetTime(again.CreationTimestamp.Add(31 * time.Second))
	w.Poke(again)
	w.AwaitReason(again, v1alpha1.ReasonIssued)
	w.accepts(w.MustToken("orders"), lifecycle.StandingCurrent)
	w.refuses(old)
	w.Expect(metav1.IsControlledBy(w.MustSecret("orders"), again)).To(gomega.BeTrue())
}

func TestModeNoneMakesNoSecret(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	key := w.Key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone} })
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.Expect(key.Status.TokenHash).NotTo(gomega.BeEmpty())
	w.Expect(w.tokenIn("orders")()).To(gomega.Equal("no Secret"))

	w.Edit(key, func() { key.Spec.Secret = nil })
	w.Eventually(w.tokenIn("orders")).ShouldNot(gomega.Equal("no Secret"))
	w.accepts(w.MustToken("orders"), lifecycle.StandingCurrent)

	w.Edit(key, func() { key.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone} })
	w.Eventually(w.tokenIn("orders")).Should(gomega.Equal("no Secret"))
}

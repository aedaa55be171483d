package controllers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestAKeyBecomesATokenInASecret covers the operator in one test: issue, restore, rotate, revoke, reinstate, delete. It
// verifies every token like the token service.
func TestAKeyBecomesATokenInASecret(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	key := w.Key("orders")
	w.start()

	w.AwaitReason(key, v1alpha1.ReasonIssued)
	first := w.MustToken("orders")
	w.Expect(token.Hash(first)).To(gomega.Equal(key.Status.TokenHash), "status.tokenHash is that of the token in the Secret")
	w.accepts(first, lifecycle.StandingCurrent)
	w.Expect(key.Status.Revision).To(gomega.BeEquivalentTo(1))
	w.Expect(key.Status.Effective.Lifetime.Duration).To(gomega.Equal(720 * time.Hour))
	w.Expect(string(w.MustSecret("orders").Data["token-endpoint"])).To(gomega.Equal(w.URL() + "/token"))

	w.Expect(w.Admin.Delete(w.Ctx, w.MustSecret("orders"))).To(gomega.Succeed())
	w.Eventually(w.tokenIn("orders")).Should(gomega.Equal(token.Hash(first)), "a deleted Secret comes back byte for byte")

	w.Annotate(key, v1alpha1.AnnotationRotate, "once")
	w.AwaitRevision(key, 2)
	second := w.MustToken("orders")
	w.accepts(second, lifecycle.StandingCurrent)
	w.accepts(first, lifecycle.StandingSuperseded)
	w.Expect(key.Status.LastHandledRotate).To(gomega.Equal("once"))

	w.Annotate(key, v1alpha1.AnnotationRotateNow, "leaked")
	w.AwaitRevision(key, 3)
	third := w.MustToken("orders")
	w.accepts(third, lifecycle.StandingCurrent)
	w.refuses(first)
	w.refuses(second)

	w.Edit(key, func() { key.Spec.Revoked = true })
	w.AwaitReason(key, v1alpha1.ReasonRevoked)
	w.refuses(third)
	w.Eventually(w.tokenIn("orders")).Should(gomega.BeEmpty(), "a revoked key's Secret holds no token")
	w.Expect(key.Status.RevocationReason).To(gomega.Equal(v1alpha1.RevokedRequested))
	w.Expect(key.Status.Previous).To(gomega.BeEmpty())

	w.Edit(key, func() { key.Spec.Revoked = false })
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	fourth := w.MustToken("orders")
	w.Expect(key.Status.Revision).To(gomega.BeEquivalentTo(4))
	w.Expect(key.Status.RevokedAt).To(gomega.BeNil())
	w.accepts(fourth, lifecycle.StandingCurrent)
	w.refuses(third)

	w.Expect(w.Admin.Delete(w.Ctx, key)).To(gomega.Succeed())
	w.refuses(fourth)
	again := w.Key("orders")
	w.refuses(fourth)
	w.Expect(again.UID).NotTo(gomega.Equal(key.UID))
}

func TestTimeMovesAKeyAlong(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	scheduled := w.Key("scheduled", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Rotation = &v1alpha1.RotationSpec{Overlap: &v1alpha1.OverlapSpec{Max: hours(24)}}
	})
	never := w.Key("never", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationNever}
	})
	ends := w.Key("ends", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.ExpiresAt = &metav1.Time{Time: w.clock.Now().Add(1000 * time.Hour)}
	})
	w.start()
	for _, key := range []*v1alpha1.JWTRefreshKey{scheduled, never, ends} {
		w.AwaitReason(key, v1alpha1.ReasonIssued)
	}
	first := w.MustToken("scheduled")
	w.Expect(never.Status.RenewalTime).To(gomega.BeNil())

	w.clock.SetTime(scheduled.Status.RenewalTime.Time)
	w.Poke(scheduled)
	w.AwaitRevision(scheduled, 2)
	w.accepts(first, lifecycle.StandingSuperseded)

	w.clock.SetTime(w.clock.Now().Add(24 * time.Hour))
	w.Poke(scheduled)
	w.Eventually(func() int { return len(harness.MustGet(w.Harness, scheduled).Status.Previous) }).Should(gomega.BeZero())
	w.refuses(first)

	w.clock.SetTime(never.Status.ExpiresAt.Time)
	w.Poke(never)
	w.AwaitReason(never, v1alpha1.ReasonExpired)
	w.Eventually(w.tokenIn("never")).Should(gomega.BeEmpty())

	w.Poke(ends)
	w.AwaitRevision(ends, 2)
	w.Expect(ends.Status.ExpiresAt.Time).To(gomega.BeTemporally("==", ends.Spec.ExpiresAt.Time), "no token outlives its key")
	w.Expect(ends.Status.RenewalTime).To(gomega.BeNil(), "no rotation passes the absolute end")
	w.clock.SetTime(ends.Spec.ExpiresAt.Time)
	w.Poke(ends)
	w.AwaitReason(ends, v1alpha1.ReasonExpired)
}

func TestSpecChangesThatMatter(t *testing.T) {
	w := newFixture(t)
	w.Issuer(grantAll)
	key := w.Key("orders")
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)

	revision := key.Status.Revision
	for _, change := range []struct {
		field string
		apply func()
	}{
		{"scopes", func() { key.Spec.Scopes = []string{"orders:read", "orders:write"} }},
		{"claims", func() {
			key.Spec.Claims = claims(`{"email":"ops@example.com","tier":2,"beta":true,"groups":["a","b"]}`)
		}},
		{"subject", func() { key.Spec.Subject = "till-17" }},
		{"binding", func() { key.Spec.Binding = &v1alpha1.BindingSpec{ServiceAccountName: "orders"} }},
	} {
		// Without an overlap the changes do not wait for each other.
		w.Edit(key, func() {
			key.Spec.Rotation = &v1alpha1.RotationSpec{Overlap: &v1alpha1.OverlapSpec{Max: hours(0)}}
			change.apply()
		})
		revision++
		w.AwaitRevision(key, revision)
		w.Eventually(func() int { return len(harness.MustGet(w.Harness, key).Status.Previous) }).Should(gomega.BeZero(), change.field)
	}
	payload := string(key.Status.Content.Raw)
	for _, part := range []string{
		`"scope":"orders:read orders:write"`, `"email":"ops@example.com"`, `"tier":2`, `"beta":true`, `"groups":["a","b"]`,
		`"sub":"till-17"`, `"refreshkeys.dev/service-account":"orders"`, `"client_id":"refreshkey:` + w.Name + `:orders"`,
	} {
		w.Expect(payload).To(gomega.ContainSubstring(part))
	}

	at := key.Status.Revision
	w.Edit(key, func() {
		key.Labels = map[string]string{"touched": "yes"}
		key.Spec.DeviceInfo = &v1alpha1.DeviceInfo{Name: "Till 17"}
		key.Spec.Rotation.RenewBefore = hours(100)
		key.Spec.Secret = &v1alpha1.SecretSpec{Labels: map[string]v1alpha1.LabelValue{"team": "shop"}}
	})
	w.Eventually(func() string { return w.MustSecret("orders").Labels["team"] }).Should(gomega.Equal("shop"))
	w.Eventually(func() time.Duration { return harness.MustGet(w.Harness, key).Status.Effective.RenewBefore.Duration }).Should(gomega.Equal(100 * time.Hour))
	w.Expect(key.Status.Revision).To(gomega.Equal(at), "labels, deviceInfo and renewBefore make no new revision")
}

func TestPolicyTightenedAndLoosened(t *testing.T) {
	w := newFixture(t)
	issuer := w.Issuer(grantAll)
	key := w.Key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Scopes = []string{"orders:read"} })
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	held := w.MustToken("orders")

	w.Edit(issuer, func() { issuer.Spec.Policy.Rules[0].Scopes = []string{"billing:*"} })
	w.AwaitReason(key, v1alpha1.ReasonPolicyDenied)
	w.refuses(held)
	w.Expect(w.MustToken("orders")).To(gomega.Equal(held), "a refusal that a user can lift must not remove the token")
	w.Expect(messageOf(key)).To(gomega.ContainSubstring(`rule 1 comes closest and lacks: scope "orders:read"`))

	w.Edit(issuer, func() { issuer.Spec.Policy.Rules[0].Scopes = []string{"orders:*"} })
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.accepts(held, lifecycle.StandingCurrent)
	w.Expect(key.Status.Revision).To(gomega.BeEquivalentTo(1), "it becomes ready without a new revision")
}

func TestAKeyWaitsForItsIssuer(t *testing.T) {
	w := newFixture(t)
	key := w.Key("orders")
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssuerNotFound)
	w.Issuer()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
}

func TestAccessTokenInTheSecret(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	key := w.Key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{AccessToken: true} })
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)

	first := string(w.MustSecret("orders").Data["access-token"])
	claims := w.parseAccess(first)
	w.Expect(claims.ExpiresAt.Sub(claims.IssuedAt)).To(gomega.Equal(15 * time.Minute))
	w.refuses(first)

	w.clock.SetTime(w.clock.Now().Add(10 * time.Minute))
	w.Poke(key)
	w.Eventually(func() string { return string(w.MustSecret("orders").Data["access-token"]) }).ShouldNot(gomega.Equal(first))
	second := w.parseAccess(string(w.MustSecret("orders").Data["access-token"]))
	w.Expect(second.ExpiresAt).To(gomega.BeTemporally("~", w.clock.Now().Add(15*time.Minute), 2*time.Second))
	w.Expect(harness.MustGet(w.Harness, key).Status.Revision).To(gomega.BeEquivalentTo(1))

	w.Edit(key, func() { key.Spec.Secret.AccessToken = false })
	w.Eventually(func() map[string][]byte { return w.MustSecret("orders").Data }).ShouldNot(gomega.HaveKey("access-token"))
}

func TestWhatKubectlPrints(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	key := w.Key("orders")
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	out, err := server.Kubectl(w.Ctx, "", "get", "jrk", "-n", w.Name)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	lines := strings.Split(strings.TrimSpace(out), "\n")
	w.Expect(strings.Fields(lines[0])).To(gomega.Equal([]string{"NAME", "AUDIENCE", "STATUS", "EXPIRES", "LAST", "USED", "AGE"}))
	w.Expect(strings.Fields(lines[1])[:4]).To(gomega.Equal([]string{
		"orders", "https://orders.example.com", "Issued", key.Status.ExpiresAt.UTC().Format(time.RFC3339),
	}))
	wide, err := server.Kubectl(w.Ctx, "", "get", "jrk", "-n", w.Name, "-o", "wide")
	w.Expect(err).NotTo(gomega.HaveOccurred())
	w.Expect(wide).To(gomega.MatchRegexp(`ISSUER +REVISION +JTI +SECRET`))
	w.Expect(wide).To(gomega.ContainSubstring(key.Status.JTI))
	var listed v1alpha1.JWTRefreshKeyList
	w.Expect(w.Admin.List(w.Ctx, &listed, client.InNamespace(w.Name))).To(gomega.Succeed())
	w.Expect(listed.Items).To(gomega.HaveLen(1))
}

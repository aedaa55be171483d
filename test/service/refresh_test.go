package service

import (
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// TestExchange follows a token from the Secret to an access token and to its end.
func TestExchange(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Scopes: []string{"orders:*"}}}}
	})
	h.manage()
	one, two := h.replica(), h.replica()
	key := h.key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Scopes = []string{"orders:read", "orders:write"} })
	held := h.reaches(key, 1)

	got := h.refresh(one, held, "device_id", "till-17")
	h.Expect(got.outcome()).To(gomega.Equal("200"))
	h.Expect(got.text("token_type")).To(gomega.Equal("Bearer"))
	h.Expect(got.body["expires_in"]).To(gomega.BeNumerically("~", 15*60, 2))
	h.Expect(got.text("scope")).To(gomega.Equal("orders:read orders:write"))
	h.Expect(got.text("refresh_token") == held).To(gomega.BeTrue(), "the client keeps its token, and the answer carries it")
	h.Expect(got.header.Get("Cache-Control")).To(gomega.Equal("no-store"))
	h.Expect(h.refresh(two, held, "scope", "orders:read").text("scope")).To(gomega.Equal("orders:read"))
	h.Expect(h.refresh(two, held, "scope", "orders:delete").outcome()).To(gomega.Equal("400 invalid_scope"))
	h.Expect(h.refresh(two, held, "resource", "https://billing.example.com").outcome()).To(gomega.Equal("400 invalid_target"))
	h.Expect(h.refresh(one, got.text("access_token")).outcome()).To(gomega.Equal("400 invalid_grant"), "an access token is no refresh token")

	h.edit(key, func() { key.Spec.Revoked = true })
	for _, r := range []*replica{one, two} {
		h.Eventually(func() string { return h.refresh(r, held).outcome() }, patience, pollEvery).Should(gomega.Equal("400 invalid_grant"))
	}
}

// TestRollOver checks that a client with a superseded token gets the current one.
func TestRollOver(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer()
	h.manage()
	r := h.replica()
	key := h.key("orders")
	first := h.reaches(key, 1)
	h.annotate(key, v1alpha1.AnnotationRotate, "hygiene")
	second := h.reaches(key, 2)
	h.Eventually(func() string { return h.refresh(r, first).text("refresh_token") }, patience, pollEvery).Should(gomega.Equal(second))
	h.Expect(h.refresh(r, second).text("refresh_token") == second).To(gomega.BeTrue(), "the current token stays")

	h.edit(key, func() { key.Spec.Audience = "https://billing.example.com" })
	third := h.reaches(key, 3)
	got := h.refresh(r, second)
	h.Expect(got.outcome()).To(gomega.Equal("200"))
	h.Expect(got.text("refresh_token") == second).To(gomega.BeTrue(), "the current token is for another audience, so that the superseded one stays")
	h.Expect(h.refresh(r, third).outcome()).To(gomega.Equal("200"))
}

// TestLogout checks that the replica that answered 200 refuses the token at once, and that the others follow. An
// earlier request for a rotation does not restore the key.
func TestLogout(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer()
	h.manage()
	one, two := h.replica(), h.replica()
	key := h.key("till")
	held := h.reaches(key, 1)
	h.Expect(h.post(one, "/revoke", map[string][]string{"token": {held}}).outcome()).To(gomega.Equal("200"))
	h.Expect(h.refresh(one, held).outcome()).To(gomega.Equal("400 invalid_grant"))
	h.Eventually(func() string { return h.refresh(two, held).outcome() }, patience, pollEvery).Should(gomega.Equal("400 invalid_grant"))
	h.Expect(h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), key)).To(gomega.Succeed())
	h.Expect(key.Status.RevocationReason).To(gomega.Equal(v1alpha1.RevokedLogout))
	for _, token := range []string{held, "nonsense", strings.Repeat("a", 100)} {
		h.Expect(h.post(two, "/revoke", map[string][]string{"token": {token}}).outcome()).To(gomega.Equal("200"), "the revocation of an invalid token is not an error")
	}
}

// TestALogoutOutlastsARotation checks that a requested rotation that is not made yet does not restore the key
// after a logout.
func TestALogoutOutlastsARotation(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer()
	stop := h.manage()
	r := h.replica()
	key := h.key("till")
	held := h.reaches(key, 1)
	stop()
	h.annotate(key, v1alpha1.AnnotationRotate, "hygiene")
	h.Expect(h.post(r, "/revoke", map[string][]string{"token": {held}}).outcome()).To(gomega.Equal("200"))
	h.manage()
	h.Eventually(func() string {
		h.Expect(h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), key)).To(gomega.Succeed())
		ready := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReady)
		return ready.Reason
	}, patience, pollEvery).Should(gomega.Equal(v1alpha1.ReasonRevoked))
	h.Expect(key.Status.Revision).To(gomega.BeEquivalentTo(1))
	h.Expect(key.Status.RevocationReason).To(gomega.Equal(v1alpha1.RevokedLogout))
}

// TestADeadTokenRevokesNothing checks that a replaced token cannot end the key (RFC 7009 §2.2: that is not an
// error).
func TestADeadTokenRevokesNothing(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer()
	h.manage()
	r := h.replica()
	key := h.key("orders")
	leaked := h.reaches(key, 1)
	h.annotate(key, v1alpha1.AnnotationRotateNow, "leaked")
	held := h.reaches(key, 2)
	h.Expect(h.post(r, "/revoke", map[string][]string{"token": {leaked}}).outcome()).To(gomega.Equal("200"))
	h.outcomes([]*replica{r}, held, "200")
	h.Expect(h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), key)).To(gomega.Succeed())
	h.Expect(key.Status.RevokedAt).To(gomega.BeNil())
}

// TestOneTimeUse checks that a token is followed by the next, that a retry gets the same one, and that a later use
// of a used token ends the line.
func TestOneTimeUse(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))
	h := newHarness(t, clock)
	h.issuer()
	h.manage()
	one, two := h.replica(), h.replica()
	key := h.key("device", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse, RetryGrace: &metav1.Duration{Duration: time.Minute}}
	})
	enrolment := h.reaches(key, 1)
	second := h.refresh(one, enrolment, "device_id", "phone-3").text("refresh_token")
	h.Expect(second).NotTo(gomega.BeEmpty())
	h.Expect(h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), key)).To(gomega.Succeed())
	h.Expect(key.Status.DeviceInfo.ID).To(gomega.Equal("phone-3"), "the device that used it is on record with the claim")
	h.Expect(h.refresh(one, enrolment).text("refresh_token")).To(gomega.Equal(second))
	h.Expect(h.refresh(two, enrolment).text("refresh_token")).To(gomega.Equal(second), "a retry at the other replica")
	clock.SetTime(clock.Now().Add(time.Minute))
	third := h.refresh(two, second).text("refresh_token")
	h.Expect(third).NotTo(gomega.BeElementOf("", second))
	h.sees(one, key, 3)
	h.Expect(h.refresh(one, second).text("refresh_token")).To(gomega.Equal(third))
	clock.SetTime(clock.Now().Add(5 * time.Second))
	h.Expect(h.refresh(one, enrolment).outcome()).To(gomega.Equal("400 invalid_grant"))
	h.Expect(h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), key)).To(gomega.Succeed())
	h.Expect(key.Status.RevocationReason).To(gomega.Equal(v1alpha1.RevokedReuseDetected))
	h.Expect(h.refresh(one, third).outcome()).To(gomega.Equal("400 invalid_grant"), "the live descendant ends with it")
}

// TestTheGraceDoesNotSlide checks that the grace begins when the token is followed, and that retries do not extend
// it. A use after the grace and the allowed clock skew ends the line.
func TestTheGraceDoesNotSlide(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))
	h := newHarness(t, clock)
	h.issuer()
	h.manage()
	one, two := h.replica(), h.replica()
	key := h.key("device", oneTime(time.Minute))
	enrolment := h.reaches(key, 1)
	used := clock.Now()
	successor := h.refresh(one, enrolment).text("refresh_token")
	h.Expect(successor).NotTo(gomega.BeEmpty())
	h.sees(two, key, 2)
	for _, after := range []time.Duration{25 * time.Second, 50 * time.Second, 64 * time.Second} {
		clock.SetTime(used.Add(after))
		for _, r := range []*replica{one, two} {
			h.Expect(h.refresh(r, enrolment).text("refresh_token")).To(gomega.Equal(successor), "a retry after %s", after)
		}
	}
	clock.SetTime(used.Add(time.Minute + 5*time.Second))
	h.Expect(h.refresh(one, enrolment).outcome()).To(gomega.Equal("400 invalid_grant"), "the grace is over")
	h.Expect(h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), key)).To(gomega.Succeed())
	h.Expect(key.Status.RevocationReason).To(gomega.Equal(v1alpha1.RevokedReuseDetected))
	h.Expect(h.refresh(one, successor).outcome()).To(gomega.Equal("400 invalid_grant"), "the successor ends with it")
}

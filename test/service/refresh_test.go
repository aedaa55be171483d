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

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// TestExchange follows a token from the Secret to an access token and to its end.
func TestExchange(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Scopes: []string{"orders:*"}}}}
	})
	h.Manage()
	one, two := h.Replica(), h.Replica()
	key := h.Key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Scopes = []string{"orders:read", "orders:write"} })
	held := h.AwaitRevision(key, 1)

	got := h.Refresh(one, held, "device_id", "till-17")
	h.Expect(got.Outcome()).To(gomega.Equal("200"))
	h.Expect(got.Text("token_type")).To(gomega.Equal("Bearer"))
	h.Expect(got.Body["expires_in"]).To(gomega.BeNumerically("~", 15*60, 2))
	h.Expect(got.Text("scope")).To(gomega.Equal("orders:read orders:write"))
	h.Expect(got.Text("refresh_token") == held).To(gomega.BeTrue(), "the client keeps its token, and the answer carries it")
	h.Expect(got.Header.Get("Cache-Control")).To(gomega.Equal("no-store"))
	h.Expect(h.Refresh(two, held, "scope", "orders:read").Text("scope")).To(gomega.Equal("orders:read"))
	h.Expect(h.Refresh(two, held, "scope", "orders:delete").Outcome()).To(gomega.Equal("400 invalid_scope"))
	h.Expect(h.Refresh(two, held, "resource", "https://billing.example.com").Outcome()).To(gomega.Equal("400 invalid_target"))
	h.Expect(h.Refresh(one, got.Text("access_token")).Outcome()).To(gomega.Equal("400 invalid_grant"), "an access token is no refresh token")

	h.Edit(key, func() { key.Spec.Revoked = true })
	h.outcomes(held, "400 invalid_grant", one, two)
}

// TestRollOver checks that a client with a superseded token gets the current one.
func TestRollOver(t *testing.T) {
	h, r := newReplica(t, clock.RealClock{})
	key := h.Key("orders")
	first := h.AwaitRevision(key, 1)
	h.Annotate(key, v1alpha1.AnnotationRotate, "hygiene")
	second := h.AwaitRevision(key, 2)
	h.Eventually(func() string { return h.Refresh(r, first).Text("refresh_token") }).Should(gomega.Equal(second))
	h.Expect(h.Refresh(r, second).Text("refresh_token") == second).To(gomega.BeTrue(), "the current token stays")

	h.Edit(key, func() { key.Spec.Audience = "https://billing.example.com" })
	third := h.AwaitRevision(key, 3)
	got := h.Refresh(r, second)
	h.Expect(got.Outcome()).To(gomega.Equal("200"))
	h.Expect(got.Text("refresh_token") == second).To(gomega.BeTrue(), "the current token is for another audience, so that the superseded one stays")
	h.Expect(h.Refresh(r, third).Outcome()).To(gomega.Equal("200"))
}

// TestLogout checks that the replica that answered 200 refuses the token at once, and that the others follow. An
// earlier request for a rotation does not restore the key.
func TestLogout(t *testing.T) {
	h, one, two := newReplicas(t, clock.RealClock{})
	key := h.Key("till")
	held := h.AwaitRevision(key, 1)
	h.Expect(h.Revoke(one, held).Outcome()).To(gomega.Equal("200"))
	h.Expect(h.Refresh(one, held).Outcome()).To(gomega.Equal("400 invalid_grant"))
	h.outcomes(held, "400 invalid_grant", two)
	h.Expect(h.status(key).RevocationReason).To(gomega.Equal(v1alpha1.RevokedLogout))
	for _, token := range []string{held, "nonsense", strings.Repeat("a", 100)} {
		h.Expect(h.Revoke(two, token).Outcome()).To(gomega.Equal("200"), "the revocation of an invalid token is not an error")
	}
}

// TestALogoutOutlastsARotation checks that a requested rotation that is not made yet does not restore the key
// after a logout.
func TestALogoutOutlastsARotation(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Issuer()
	stop := h.Manage()
	r := h.Replica()
	key := h.Key("till")
	held := h.AwaitRevision(key, 1)
	stop()
	h.Annotate(key, v1alpha1.AnnotationRotate, "hygiene")
	h.Expect(h.Revoke(r, held).Outcome()).To(gomega.Equal("200"))
	h.Manage()
	h.Eventually(func() string {
		h.Expect(h.Reload(key)).To(gomega.Succeed())
		ready := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReady)
		return ready.Reason
	}).Should(gomega.Equal(v1alpha1.ReasonRevoked))
	h.Expect(key.Status.Revision).To(gomega.BeEquivalentTo(1))
	h.Expect(key.Status.RevocationReason).To(gomega.Equal(v1alpha1.RevokedLogout))
}

// TestADeadTokenRevokesNothing checks that a replaced token cannot end the key (RFC 7009 §2.2: that is not an
// error).
func TestADeadTokenRevokesNothing(t *testing.T) {
	h, r := newReplica(t, clock.RealClock{})
	key := h.Key("orders")
	leaked := h.AwaitRevision(key, 1)
	h.Annotate(key, v1alpha1.AnnotationRotateNow, "leaked")
	held := h.AwaitRevision(key, 2)
	h.Expect(h.Revoke(r, leaked).Outcome()).To(gomega.Equal("200"))
	h.outcomes(held, "200", r)
	h.Expect(h.status(key).RevokedAt).To(gomega.BeNil())
}

// TestOneTimeUse checks that a token is followed by the next, that a retry gets the same one, and that a later use
// of a used token ends the line.
func TestOneTimeUse(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))
	h, one, two := newReplicas(t, clock)
	key := h.Key("device", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse, RetryGrace: &metav1.Duration{Duration: time.Minute}}
	})
	enrolment := h.AwaitRevision(key, 1)
	second := h.Refresh(one, enrolment, "device_id", "phone-3").Text("refresh_token")
	h.Expect(second).NotTo(gomega.BeEmpty())
	h.Expect(h.status(key).DeviceInfo.ID).To(gomega.Equal("phone-3"), "the device that used it is on record with the claim")
	h.Expect(h.Refresh(one, enrolment).Text("refresh_token")).To(gomega.Equal(second))
	h.Expect(h.Refresh(two, enrolment).Text("refresh_token")).To(gomega.Equal(second), "a retry at the other replica")
	clock.SetTime(clock.Now().Add(time.Minute))
	third := h.Refresh(two, second).Text("refresh_token")
	h.Expect(third).NotTo(gomega.BeElementOf("", second))
	h.sees(one, key, 3)
	h.Expect(h.Refresh(one, second).Text("refresh_token")).To(gomega.Equal(third))
	clock.SetTime(clock.Now().Add(5 * time.Second))
	h.Expect(h.Refresh(one, enrolment).Outcome()).To(gomega.Equal("400 invalid_grant"))
	h.Expect(h.status(key).RevocationReason).To(gomega.Equal(v1alpha1.RevokedReuseDetected))
	h.Expect(h.Refresh(one, third).Outcome()).To(gomega.Equal("400 invalid_grant"), "the live descendant ends with it")
}

// TestAUsedTokenIsNotForgotten checks that a used token stays used after the manager wrote another enrolment with an
// overlap, and that the holder of the current token gets the enrolment.
func TestAUsedTokenIsNotForgotten(t *testing.T) {
	h, r := newReplica(t, clock.RealClock{})
	key := h.Key("device", oneTime(time.Minute))
	used := h.AwaitRevision(key, 1)
	held := h.next(h.Refresh(r, used), "the enrolment")
	h.Annotate(key, v1alpha1.AnnotationRotate, "hygiene")
	enrolment := h.AwaitRevision(key, 3)
	h.sees(r, key, 3)
	h.Expect(h.Refresh(r, used).Outcome()).To(gomega.Equal("400 invalid_grant"), "it was used before")
	h.Expect(h.next(h.Refresh(r, held), "it was not, and is in overlap") == enrolment).To(gomega.BeTrue(), "the holder gets the token that follows")
}

// TestTheGraceDoesNotSlide checks that the grace begins when the token is followed, and that retries do not extend
// it. A use after the grace and the allowed clock skew ends the line.
func TestTheGraceDoesNotSlide(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))
	h, one, two := newReplicas(t, clock)
	key := h.Key("device", oneTime(time.Minute))
	enrolment := h.AwaitRevision(key, 1)
	used := clock.Now()
	successor := h.Refresh(one, enrolment).Text("refresh_token")
	h.Expect(successor).NotTo(gomega.BeEmpty())
	h.sees(two, key, 2)
	for _, after := range []time.Duration{25 * time.Second, 50 * time.Second, 64 * time.Second} {
		clock.SetTime(used.Add(after))
		for _, r := range []*operator.Replica{one, two} {
			h.Expect(h.Refresh(r, enrolment).Text("refresh_token")).To(gomega.Equal(successor), "a retry after %s", after)
		}
	}
	clock.SetTime(used.Add(time.Minute + 5*time.Second))
	h.Expect(h.Refresh(one, enrolment).Outcome()).To(gomega.Equal("400 invalid_grant"), "the grace is over")
	h.Expect(h.status(key).RevocationReason).To(gomega.Equal(v1alpha1.RevokedReuseDetected))
	h.Expect(h.Refresh(one, successor).Outcome()).To(gomega.Equal("400 invalid_grant"), "the successor ends with it")
}

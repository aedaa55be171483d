package service

import (
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// forward moves the clock of manager and replicas, writes the due uses, and triggers a reconciliation, since the
// work queue has its own clock.
func (h *fixture) forward(clock *clocktesting.FakePassiveClock, d time.Duration, key *v1alpha1.JWTRefreshKey, replicas ...*operator.Replica) {
	h.T.Helper()
	clock.SetTime(clock.Now().Add(d))
	for _, r := range replicas {
		r.ReportUses(h.Ctx)
	}
	h.Edit(key, func() { metav1.SetMetaDataLabel(&key.ObjectMeta, "looked-at", clock.Now().Format("150405")) })
}

// TestRetirementWaitsForEvidence checks that a superseded token retires only after the current one is used and the
// superseded one was unused for overlap.quiet. The key stays active.
func TestRetirementWaitsForEvidence(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h, r := newReplica(t, clock)
	key := h.Key("orders")
	first := h.AwaitRevision(key, 1)
	h.Annotate(key, v1alpha1.AnnotationRotate, "hygiene")
	second := h.AwaitRevision(key, 2)
	listed := func() int {
		return len(h.status(key).Previous)
	}

	h.forward(clock, 24*time.Hour, key, r)
	h.Expect(h.Refresh(r, first).Outcome()).To(gomega.Equal("200"), "the current token is not used: no retirement")
	h.forward(clock, time.Minute, key, r)
	h.Expect(h.Refresh(r, second).Outcome()).To(gomega.Equal("200"))
	h.forward(clock, time.Minute, key, r)
	h.Eventually(func() int64 { listed(); return key.Status.LastUsedRevision }).Should(gomega.BeEquivalentTo(2))
	h.forward(clock, 15*time.Minute, key, r)
	h.Expect(h.Refresh(r, first).Outcome()).To(gomega.Equal("200"), "it was used within overlap.quiet")
	h.forward(clock, time.Minute, key, r)
	h.forward(clock, 18*time.Minute, key, r)
	h.Consistently(listed, time.Second, harness.PollEvery).Should(gomega.Equal(1), "it was used 19 minutes ago")
	h.forward(clock, 2*time.Minute, key, r)
	h.Eventually(listed).Should(gomega.BeZero(), "unused for the 20 minutes of overlap.quiet")
	h.outcomes(first, "400 invalid_grant", r)
	h.Expect(h.Refresh(r, second).Outcome()).To(gomega.Equal("200"), "the key lives")
}

// TestAnIdleKeyEnds checks that an idle key ends, and that a used one does not.
func TestAnIdleKeyEnds(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h, r := newReplica(t, clock)
	key := h.Key("till", func(k *v1alpha1.JWTRefreshKey) { k.Spec.IdleTimeout = &metav1.Duration{Duration: time.Hour} })
	held := h.AwaitRevision(key, 1)
	for range 3 {
		h.forward(clock, 50*time.Minute, key, r)
		h.Eventually(func() string { return h.Refresh(r, held).Outcome() }).Should(gomega.Equal("200"), "it was used every 50 minutes")
		h.forward(clock, time.Minute, key, r)
	}
	h.forward(clock, 63*time.Minute, key, r)
	h.outcomes(held, "400 invalid_grant", r)
	h.Expect(h.status(key).RevocationReason).To(gomega.Equal(v1alpha1.RevokedIdleTimeout))
}

// TestAnEnrolmentIsTakenOutOfTheSecret checks that a used enrolment is removed from the Secret, and that another
// one is written on request.
func TestAnEnrolmentIsTakenOutOfTheSecret(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h, r := newReplica(t, clock)
	key := h.Key("device", oneTime(time.Minute))
	enrolment := h.AwaitRevision(key, 1)
	second := h.Refresh(r, enrolment).Text("refresh_token")
	h.Expect(second).NotTo(gomega.BeEmpty())
	inSecret := func() string {
		secret := &corev1.Secret{}
		h.Expect(h.Admin.Get(h.Ctx, types.NamespacedName{Namespace: h.Name, Name: "device"}, secret)).To(gomega.Succeed())
		return string(secret.Data[v1alpha1.SecretToken])
	}
	h.Eventually(func() bool { return inSecret() == "" }).Should(gomega.BeTrue(), "the Secret holds a token that was used")
	h.Annotate(key, v1alpha1.AnnotationRotateNow, "another-device")
	again := h.AwaitRevision(key, 3)
	h.Expect(h.Refresh(r, enrolment).Outcome()).To(gomega.Equal("400 invalid_grant"))
	h.Expect(h.Refresh(r, again).Outcome()).To(gomega.Equal("200"), "a token of the enrolment before does not end this one")
}

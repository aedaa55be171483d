package service

import (
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// forward moves the clock of manager and replicas, writes the due uses, and triggers a reconciliation, since the
// work queue has its own clock.
func (h *harness) forward(clock *clocktesting.FakePassiveClock, d time.Duration, key *v1alpha1.JWTRefreshKey, replicas ...*replica) {
	h.t.Helper()
	clock.SetTime(clock.Now().Add(d))
	for _, r := range replicas {
		r.ReportUses(h.ctx)
	}
	h.edit(key, func() { metav1.SetMetaDataLabel(&key.ObjectMeta, "looked-at", clock.Now().Format("150405")) })
}

// TestRetirementWaitsForEvidence checks that a superseded token retires only after the current one is used and the
// superseded one was unused for overlap.quiet. The key stays active.
func TestRetirementWaitsForEvidence(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := newHarness(t, clock)
	h.issuer()
	h.manage()
	r := h.replica()
	key := h.key("orders")
	first := h.reaches(key, 1)
	h.annotate(key, v1alpha1.AnnotationRotate, "hygiene")
	second := h.reaches(key, 2)
	listed := func() int {
		h.Expect(h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), key)).To(gomega.Succeed())
		return len(key.Status.Previous)
	}

	h.forward(clock, 24*time.Hour, key, r)
	h.Expect(h.refresh(r, first).outcome()).To(gomega.Equal("200"), "the current token is not used: no retirement")
	h.forward(clock, time.Minute, key, r)
	h.Expect(h.refresh(r, second).outcome()).To(gomega.Equal("200"))
	h.forward(clock, time.Minute, key, r)
	h.Eventually(func() int64 { listed(); return key.Status.LastUsedRevision }, patience, pollEvery).Should(gomega.BeEquivalentTo(2))
	h.forward(clock, 15*time.Minute, key, r)
	h.Expect(h.refresh(r, first).outcome()).To(gomega.Equal("200"), "it was used within overlap.quiet")
	h.forward(clock, time.Minute, key, r)
	h.forward(clock, 18*time.Minute, key, r)
	h.Consistently(listed, time.Second, pollEvery).Should(gomega.Equal(1), "it was used 19 minutes ago")
	h.forward(clock, 2*time.Minute, key, r)
	h.Eventually(listed, patience, pollEvery).Should(gomega.BeZero(), "unused for the 20 minutes of overlap.quiet")
	h.Eventually(func() string { return h.refresh(r, first).outcome() }, patience, pollEvery).Should(gomega.Equal("400 invalid_grant"))
	h.Expect(h.refresh(r, second).outcome()).To(gomega.Equal("200"), "the key lives")
}

// TestAnIdleKeyEnds checks that an idle key ends, and that a used one does not.
func TestAnIdleKeyEnds(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := newHarness(t, clock)
	h.issuer()
	h.manage()
	r := h.replica()
	key := h.key("till", func(k *v1alpha1.JWTRefreshKey) { k.Spec.IdleTimeout = &metav1.Duration{Duration: time.Hour} })
	held := h.reaches(key, 1)
	for range 3 {
		h.forward(clock, 50*time.Minute, key, r)
		h.Eventually(func() string { return h.refresh(r, held).outcome() }, patience, pollEvery).Should(gomega.Equal("200"), "it was used every 50 minutes")
		h.forward(clock, time.Minute, key, r)
	}
	h.forward(clock, 63*time.Minute, key, r)
	h.Eventually(func() string { return h.refresh(r, held).outcome() }, patience, pollEvery).Should(gomega.Equal("400 invalid_grant"))
	h.Expect(h.admin.Get(h.ctx, client.ObjectKeyFromObject(key), key)).To(gomega.Succeed())
	h.Expect(key.Status.RevocationReason).To(gomega.Equal(v1alpha1.RevokedIdleTimeout))
}

// TestAnEnrolmentIsTakenOutOfTheSecret checks that a used enrolment is removed from the Secret, and that another
// one is written on request.
func TestAnEnrolmentIsTakenOutOfTheSecret(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := newHarness(t, clock)
	h.issuer()
	h.manage()
	r := h.replica()
	key := h.key("device", oneTime(time.Minute))
	enrolment := h.reaches(key, 1)
	second := h.refresh(r, enrolment).text("refresh_token")
	h.Expect(second).NotTo(gomega.BeEmpty())
	inSecret := func() string {
		secret := &corev1.Secret{}
		h.Expect(h.admin.Get(h.ctx, types.NamespacedName{Namespace: h.name, Name: "device"}, secret)).To(gomega.Succeed())
		return string(secret.Data[v1alpha1.SecretToken])
	}
	h.Eventually(func() bool { return inSecret() == "" }, patience, pollEvery).Should(gomega.BeTrue(), "the Secret holds a token that was used")
	h.annotate(key, v1alpha1.AnnotationRotateNow, "another-device")
	again := h.reaches(key, 3)
	h.Expect(h.refresh(r, enrolment).outcome()).To(gomega.Equal("400 invalid_grant"))
	h.Expect(h.refresh(r, again).outcome()).To(gomega.Equal("200"), "a token of the enrolment before does not end this one")
}

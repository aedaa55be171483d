package service

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// counting counts the status writes of a replica.
func counting(writes *atomic.Int64) func(*rest.Config, *registry.Options) {
	return func(config *rest.Config, _ *registry.Options) {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &writeCounter{next: next, count: writes} })
	}
}

// next returns the refresh token of an answer, which must contain one.
func (h *fixture) next(got *operator.Answer, why string) string {
	h.T.Helper()
	h.Expect(got.Outcome()).To(gomega.Equal("200"), why)
	h.Expect(got.Text("refresh_token")).NotTo(gomega.BeEmpty(), why)
	return got.Text("refresh_token")
}

// status reads the status of a refresh key from the API server.
func (h *fixture) status(key *v1alpha1.JWTRefreshKey) *v1alpha1.JWTRefreshKeyStatus {
	h.T.Helper()
	h.Expect(h.Reload(key)).To(gomega.Succeed())
	return &key.Status
}

// sees waits until a replica's view has a revision of a refresh key.
func (h *fixture) sees(r *operator.Replica, key *v1alpha1.JWTRefreshKey, revision int64) {
	h.T.Helper()
	h.Eventually(func() int64 { return r.Key(client.ObjectKeyFromObject(key)).Status.Revision }).Should(gomega.Equal(revision))
}

// TestSeveralHolders checks that processes can share one token. Within the grace after it is followed, each process
// gets the current token, also after that one is used. A token younger than the grace stays current without a
// write. A use after the grace ends the line.
func TestSeveralHolders(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))
	h := newManaged(t, clock)
	var writes atomic.Int64
	one, two := h.Replica(counting(&writes)), h.Replica(counting(&writes))
	key := h.Key("device", oneTime(time.Minute))
	first := h.AwaitRevision(key, 1)
	began := clock.Now()
	at := func(after time.Duration) { clock.SetTime(began.Add(after)) }

	second := h.next(h.Refresh(one, first), "an enrolment is followed at its first use")
	h.Expect(second == first).To(gomega.BeFalse(), "an enrolment is followed at its first use")
	h.Expect(writes.Load()).To(gomega.BeEquivalentTo(1))
	at(59 * time.Second)
	h.sees(two, key, 2)
	for _, r := range []*operator.Replica{one, two, one} {
		h.Expect(h.next(h.Refresh(r, second), "young") == second).To(gomega.BeTrue(), "a token younger than the grace stays current")
		h.Expect(h.next(h.Refresh(r, first), "followed") == second).To(gomega.BeTrue(), "the holder of the one before gets it")
	}
	h.Expect(writes.Load()).To(gomega.BeEquivalentTo(1), "a young token costs no write")

	at(time.Minute)
	third := h.next(h.Refresh(two, second), "as old as the grace")
	h.Expect(third == second).To(gomega.BeFalse(), "a token as old as the grace is followed")
	h.sees(one, key, 3)
	h.Expect(h.next(h.Refresh(one, first), "the skew of clocks") == third).To(gomega.BeTrue(), "the use of its successor does not end a token's grace")
	at(2 * time.Minute)
	fourth := h.next(h.Refresh(one, third), "the successor is used and followed")
	h.sees(two, key, 4)
	h.Expect(h.next(h.Refresh(two, second), "some seconds late") == fourth).To(gomega.BeTrue(), "the line's current token, even if a later one follows")
	h.Expect(h.status(key).Revision).To(gomega.BeEquivalentTo(4))
	h.Expect(key.Status.RevokedAt).To(gomega.BeNil())

	at(3*time.Minute + 5*time.Second)
	h.Expect(h.Refresh(two, third).Outcome()).To(gomega.Equal("400 invalid_grant"), "the grace is over")
	h.Expect(h.status(key).RevocationReason).To(gomega.Equal(v1alpha1.RevokedReuseDetected))
	h.Expect(h.Refresh(one, fourth).Outcome()).To(gomega.Equal("400 invalid_grant"), "the line ends with it")
}

// TestABoundDeviceRollsForward checks that a bound device that lost an answer and was offline for a week continues
// by proving its key. A proof beside an unbound token has no such effect.
func TestABoundDeviceRollsForward(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))
	h, one, two := newReplicas(t, clock)
	device, thief := h.device(), h.device()
	key := h.Key("bound", oneTime(30*time.Second), heldBy(device))
	first := h.AwaitRevision(key, 1)
	lost := device.refresh(one, first)
	h.next(lost, "the enrolment, whose answer is lost")
	clock.SetTime(clock.Now().Add(7 * 24 * time.Hour))

	h.Expect(thief.refresh(two, first).Outcome()).To(gomega.Equal("400 invalid_dpop_proof"))
	h.Expect(h.Refresh(two, first).Outcome()).To(gomega.Equal("400 invalid_dpop_proof"))
	h.Expect(h.status(key).RevokedAt).To(gomega.BeNil(), "a client without a proof ends no line")
	second := h.next(device.refresh(two, first), "a week later")
	h.Expect(second == lost.Text("refresh_token")).To(gomega.BeTrue(), "the successor that was lost")
	third := h.next(device.refresh(one, second), "and on")
	clock.SetTime(clock.Now().Add(time.Hour))
	fourth := h.next(device.refresh(one, third), "and on")
	h.sees(two, key, 4)
	h.Expect(h.next(device.refresh(two, first), "also when the record does not list it any more") == fourth).To(gomega.BeTrue())

	unbound := h.Key("unbound", oneTime(30*time.Second))
	used := h.AwaitRevision(unbound, 1)
	h.next(device.refresh(one, used), "a voluntary proof")
	clock.SetTime(clock.Now().Add(time.Minute))
	h.Expect(device.refresh(one, used).Outcome()).To(gomega.Equal("400 invalid_grant"), "the token is not bound to what was proven")
	h.Expect(h.status(unbound).RevocationReason).To(gomega.Equal(v1alpha1.RevokedReuseDetected))
}

// TestAThiefAfterTheGrace checks that a stolen unbound token ends the line when it is used after the grace, in
// either order of the two uses.
func TestAThiefAfterTheGrace(t *testing.T) {
	for name, first := range map[string]string{"the thief comes second": "holder", "the holder comes second": "thief"} {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))
			h := newFixture(t, clock)
			h.Issuer()
			h.Manage()
			replicas := map[string]*operator.Replica{"holder": h.Replica(), "thief": h.Replica()}
			second := map[string]string{"holder": "thief", "thief": "holder"}[first]
			key := h.Key("device", oneTime(30*time.Second))
			shared := h.next(h.Refresh(replicas["holder"], h.AwaitRevision(key, 1)), "the enrolment")
			clock.SetTime(clock.Now().Add(5 * time.Minute))
			own := h.next(h.Refresh(replicas[first], shared), "the first of the two")
			clock.SetTime(clock.Now().Add(35 * time.Second))
			h.Expect(h.Refresh(replicas[second], shared).Outcome()).To(gomega.Equal("400 invalid_grant"))
			h.Expect(h.Refresh(replicas[first], own).Outcome()).To(gomega.Equal("400 invalid_grant"))
			h.Expect(h.status(key).RevocationReason).To(gomega.Equal(v1alpha1.RevokedReuseDetected))
		})
	}
}

// TestClocksOfTwoReplicas checks a retry at a replica with a clock that is seconds ahead of the one that followed
// the token.
func TestClocksOfTwoReplicas(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))
	ahead := clocktesting.NewFakePassiveClock(clock.Now().Add(4 * time.Second))
	h := newManaged(t, clock)
	one, two := h.Replica(), h.Replica(func(_ *rest.Config, o *registry.Options) { o.Clock = ahead })
	key := h.Key("device", oneTime(30*time.Second))
	first := h.AwaitRevision(key, 1)
	second := h.next(h.Refresh(one, first), "the enrolment")
	forward := func(d time.Duration) {
		clock.SetTime(clock.Now().Add(d))
		ahead.SetTime(ahead.Now().Add(d))
	}
	h.sees(two, key, 2)
	forward(29 * time.Second)
	h.Expect(h.next(h.Refresh(two, first), "in the grace by the clock that followed it") == second).To(gomega.BeTrue())
	third := h.next(h.Refresh(two, second), "as old as the grace by the clock that is ahead")
	h.Expect(h.next(h.Refresh(one, third), "made in the future of this clock") == third).To(gomega.BeTrue())
	h.Expect(h.next(h.Refresh(one, first), "still in its grace") == third).To(gomega.BeTrue())
}

// TestAYoungTokenAtAStaleReplica checks that a replica with a view not proven for a minute reads the refresh key
// before it hands out a token again without a write.
func TestAYoungTokenAtAStaleReplica(t *testing.T) {
	h := newManaged(t, clock.RealClock{})
	monotonic, line := clocktesting.NewFakeClock(time.Now()), &apiConnection{}
	stale := h.Replica(line.wire(monotonic))
	key := h.Key("device", oneTime(10*time.Minute))
	second := h.next(h.Refresh(stale, h.AwaitRevision(key, 1)), "the enrolment")
	line.hang(true)
	defer line.hang(false)
	h.Edit(key, func() { key.Spec.Revoked = true })
	h.Expect(h.next(h.Refresh(stale, second), "the view has just been proven") == second).To(gomega.BeTrue())
	monotonic.Step(61 * time.Second)
	h.Expect(h.Refresh(stale, second).Outcome()).To(gomega.Equal("400 invalid_grant"), "the view was proven 61 seconds ago, and the key is revoked since")
}

// TestALateReportLeavesAnEnrolmentAlone checks that a use that is reported after the refresh key became a one-time
// key and was enrolled again does not mark the enrolment as used.
func TestALateReportLeavesAnEnrolmentAlone(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := newManaged(t, clock)
	r := h.Replica(func(_ *rest.Config, o *registry.Options) { o.Monotonic = clocktesting.NewFakeClock(clock.Now()) })
	key := h.Key("device")
	h.Expect(h.Refresh(r, h.AwaitRevision(key, 1)).Outcome()).To(gomega.Equal("200"))
	h.Edit(key, func() {
		key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
		metav1.SetMetaDataAnnotation(&key.ObjectMeta, v1alpha1.AnnotationRotateNow, "enrol")
	})
	enrolment := h.AwaitRevision(key, 2)
	h.sees(r, key, 2)
	clock.SetTime(clock.Now().Add(time.Minute))
	r.ReportUses(h.Ctx)
	h.Expect(h.status(key).LastUsed).NotTo(gomega.BeNil(), "the use is reported")
	h.Expect(key.Status.LastUsedRevision).To(gomega.BeZero(), "only a claim writes lastUsedRevision")

	// The Secret still contains the enrolment; a deleted one is made again.
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, Name: key.Name}}
	h.Expect(h.Admin.Delete(h.Ctx, secret)).To(gomega.Succeed())
	h.Eventually(func() string {
		_ = h.Admin.Get(h.Ctx, types.NamespacedName{Namespace: h.Name, Name: key.Name}, secret)
		return string(secret.Data[v1alpha1.SecretToken])
	}).Should(gomega.Equal(enrolment), "the enrolment is taken for one that was used")
	h.Expect(h.next(h.Refresh(r, enrolment), "the enrolment") == enrolment).To(gomega.BeFalse())
}

// TestALateReportOfAReplicaThatIsBehind checks the same for a replica that has not received the change to one-time
// use. The use is recorded all the same.
func TestALateReportOfAReplicaThatIsBehind(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	h := newManaged(t, clock)
	line := &apiConnection{}
	r := h.Replica(line.wire(clocktesting.NewFakeClock(clock.Now())))
	key := h.Key("device")
	h.Expect(h.Refresh(r, h.AwaitRevision(key, 1)).Outcome()).To(gomega.Equal("200"))
	line.hang(true)
	defer line.hang(false)
	h.Edit(key, func() {
		key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
		metav1.SetMetaDataAnnotation(&key.ObjectMeta, v1alpha1.AnnotationRotateNow, "enrol")
	})
	h.AwaitRevision(key, 2)
	clock.SetTime(clock.Now().Add(time.Minute))
	for range 3 {
		r.ReportUses(h.Ctx)
	}
	h.Expect(h.status(key).LastUsed).NotTo(gomega.BeNil(), "the use is reported")
	h.Expect(key.Status.LastUsedRevision).To(gomega.BeZero(), "the report says that the enrolment was used, and its Secret is emptied")
}

// TestAYoungUseIsReported checks that the use of a young one-time token is reported within the limits of other
// keys, without lastUsedRevision.
func TestAYoungUseIsReported(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))
	h := newManaged(t, clock)
	var writes atomic.Int64
	r := h.Replica(counting(&writes), func(_ *rest.Config, o *registry.Options) { o.Monotonic = clocktesting.NewFakeClock(clock.Now()) })
	key := h.Key("device", oneTime(10*time.Minute))
	second := h.next(h.Refresh(r, h.AwaitRevision(key, 1)), "the enrolment")
	claimed := clock.Now()
	for range 11 {
		clock.SetTime(clock.Now().Add(50 * time.Second))
		h.Expect(h.next(h.Refresh(r, second), "young") == second).To(gomega.BeTrue())
		r.ReportUses(h.Ctx)
	}
	h.Expect(writes.Load()).To(gomega.BeEquivalentTo(1), "the claim, and no report within ten minutes of it")
	clock.SetTime(claimed.Add(10*time.Minute + 46*time.Second))
	r.ReportUses(h.Ctx)
	h.Expect(h.status(key).LastUsedRevision).To(gomega.BeEquivalentTo(1), "which token was followed last")
	h.Expect(writes.Load()).To(gomega.BeNumerically("<=", 2))
}

// TestAUsedOneTimeTokenAskedAbout checks that a used one-time token is active exactly as long as it can be
// exchanged.
func TestAUsedOneTimeTokenAskedAbout(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))
	h, r := newReplica(t, clock)
	key, device := h.Key("device", oneTime(time.Minute)), h.device()
	bound := h.Key("bound", oneTime(time.Minute), heldBy(device))
	bearer := h.caller("auditor", "")
	active := func(compact string) any { return h.Introspect(r, bearer, compact, "refresh_token").Body["active"] }
	first, boundFirst := h.AwaitRevision(key, 1), h.AwaitRevision(bound, 1)
	h.Expect(active(first)).To(gomega.BeTrue(), "the enrolment")
	second := h.next(h.Refresh(r, first), "the enrolment")
	h.next(device.refresh(r, boundFirst), "the enrolment that is bound")
	h.Expect(active(first)).To(gomega.BeTrue(), "within the grace it is exchanged")
	h.Expect(active(second)).To(gomega.BeTrue())
	clock.SetTime(clock.Now().Add(64 * time.Second))
	h.Expect(active(first)).To(gomega.BeTrue(), "within the skew of the grace")
	clock.SetTime(clock.Now().Add(time.Second))
	got := h.Introspect(r, bearer, first, "refresh_token")
	h.Expect(strings.TrimSpace(got.Raw)).To(gomega.Equal(`{"active":false}`), "the grace of the used token is over")
	h.Expect(active(second)).To(gomega.BeTrue())
	h.Expect(active(boundFirst)).To(gomega.BeTrue(), "a client that proves the key continues with it")
	h.Expect(h.status(key).RevokedAt).To(gomega.BeNil(), "a question ends no line")
}

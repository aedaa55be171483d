package controllers_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

const (
	// reportedWithin is how soon a condition reports a Secret that cannot be written.
	reportedWithin = 15 * time.Second
	// retriedWithin is the longest time between two tries.
	retriedWithin = 35 * time.Second
)

// secretsUnreachable registers a webhook that nothing serves for every write of a Secret in a namespace, and returns once
// it is in force.
func (w *fixture) secretsUnreachable(namespace string) (lift func()) {
	w.T.Helper()
	unserved := admissionv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:1/validate")}
	return w.secretsBehind(namespace, unserved, 10, apierrors.IsInternalError)
}

// secretsHang registers a webhook that accepts every request and never answers.
func (w *fixture) secretsHang(namespace string) (lift func()) {
	w.T.Helper()
	ended := make(chan struct{})
	silent := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-ended }))
	w.T.Cleanup(func() { close(ended); silent.Close() })
	client := admissionv1.WebhookClientConfig{
		URL: ptr.To(silent.URL + "/validate"), CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: silent.Certificate().Raw}),
	}
	return w.secretsBehind(namespace, client, 30, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) })
}

func (w *fixture) secretsBehind(namespace string, webhook admissionv1.WebhookClientConfig, seconds int32, refused func(error) bool) (lift func()) {
	w.T.Helper()
	hook := &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: w.Name},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name:         "secrets.unreachable.example.com",
			ClientConfig: webhook,
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update, admissionv1.Delete},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
			}},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			FailurePolicy:     ptr.To(admissionv1.Fail), SideEffects: ptr.To(admissionv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
			TimeoutSeconds: &seconds,
		}},
	}
	w.Create(hook)
	tried := func() bool {
		ctx, cancel := context.WithTimeout(w.Ctx, time.Second)
		defer cancel()
		probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "probe"}}
		return refused(w.Admin.Create(ctx, probe, client.DryRunAll))
	}
	w.Eventually(tried).Should(gomega.BeTrue())
	return func() {
		w.Expect(w.Admin.Delete(w.Ctx, hook)).To(gomega.Succeed())
		w.Eventually(tried).Should(gomega.BeFalse())
	}
}

// readyOf returns the condition Ready of a key: status, reason and message.
func (w *fixture) readyOf(key *v1alpha1.JWTRefreshKey) func() string {
	return func() string {
		ready := meta.FindStatusCondition(harness.MustGet(w.Harness, key).Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil {
			return "no condition Ready"
		}
		return fmt.Sprintf("%s %s: %s", ready.Status, ready.Reason, ready.Message)
	}
}

// warnings returns the notes of the events of a key about a Secret that is not written.
func (w *fixture) warnings(key *v1alpha1.JWTRefreshKey) (notes []string) {
	for _, event := range w.eventsOf(key) {
		if event.Regarding.Name == key.Name && event.Reason == v1alpha1.ReasonSecretRefused {
			notes = append(notes, event.Note)
		}
	}
	return notes
}

// If a webhook on Secrets does not answer, every affected key reports it, in a stable condition and in one event. No key is
// Ready for a token that is not in its Secret, and all continue without a user once the webhook is removed.
func TestSecretsBehindAWebhookThatDoesNotAnswer(t *testing.T) {
	w := newIsolated(t)
	w.Issuer()
	leaked, revoked, moved := w.Key("leaked"), w.Key("revoked"), w.Key("moved")
	w.start()
	for _, key := range []*v1alpha1.JWTRefreshKey{leaked, revoked, moved} {
		w.AwaitReason(key, v1alpha1.ReasonIssued)
	}
	w.Edit(moved, func() { moved.Spec.Secret = &v1alpha1.SecretSpec{Name: "moved-on"} })
	w.Eventually(w.tokenIn("moved-on")).Should(gomega.Equal(token.Hash(w.MustToken("moved"))))
	first := w.MustToken("leaked")

	lift := w.secretsUnreachable(w.Name)
	w.Annotate(leaked, v1alpha1.AnnotationRotateNow, "leak")
	w.Edit(revoked, func() { revoked.Spec.Revoked = true })
	w.clock.SetTime(w.clock.Now().Add(time.Hour))
	w.Poke(moved)
	fresh := w.Key("fresh")

	w.Eventually(func() int64 { return harness.MustGet(w.Harness, leaked).Status.Revision }).WithPolling(5 * time.Millisecond).Should(gomega.BeEquivalentTo(2))
	w.refuses(first)
	w.Expect(w.readyOf(leaked)()).To(gomega.HavePrefix("False Issuing: "), "the Secret holds a token that is refused")
	answer := `failed calling webhook "secrets.unreachable.example.com"`
	for key, begins := range map[*v1alpha1.JWTRefreshKey]string{
		leaked: "False Issuing: ", fresh: "False Issuing: ", revoked: "False Revoked: ", moved: "True Issued: ",
	} {
		w.Eventually(w.readyOf(key), reportedWithin, 20*time.Millisecond).Should(gomega.And(gomega.HavePrefix(begins), gomega.ContainSubstring(answer)), key.Name)
		w.Eventually(func() []string { return w.warnings(key) }).WithPolling(50*time.Millisecond).Should(gomega.ConsistOf(gomega.ContainSubstring(answer)), key.Name)
	}
	w.Expect(w.tokenIn("moved")()).NotTo(gomega.Equal("no Secret"))

	keys := []*v1alpha1.JWTRefreshKey{leaked, revoked, moved, fresh}
	versions := func() (all []string) {
		for _, key := range keys {
			all = append(all, harness.MustGet(w.Harness, key).ResourceVersion)
		}
		return all
	}
	settled := versions()
	w.Consistently(versions, 8*time.Second, 50*time.Millisecond).Should(gomega.Equal(settled), "a failing try must not write the status again")
	for _, key := range keys {
		w.Expect(w.warnings(key)).To(gomega.HaveLen(1), key.Name)
		for _, text := range append(w.warnings(key), w.readyOf(key)()) {
			w.Expect(text).NotTo(gomega.ContainSubstring("eyJ"))
		}
	}

	lift()
	w.Eventually(w.readyOf(leaked), retriedWithin, 20*time.Millisecond).Should(gomega.HavePrefix("True Issued: "))
	w.accepts(w.MustToken("leaked"), lifecycle.StandingCurrent)
	w.Eventually(w.readyOf(fresh), retriedWithin, 20*time.Millisecond).Should(gomega.HavePrefix("True Issued: "))
	w.accepts(w.MustToken("fresh"), lifecycle.StandingCurrent)
	w.Eventually(w.tokenIn("revoked"), retriedWithin).Should(gomega.BeEmpty())
	w.Eventually(w.readyOf(revoked)).Should(gomega.And(gomega.HavePrefix("False Revoked: "), gomega.Not(gomega.ContainSubstring("webhook"))))
	w.Eventually(w.tokenIn("moved"), retriedWithin).Should(gomega.Equal("no Secret"))
	w.Eventually(w.readyOf(moved)).Should(gomega.And(gomega.HavePrefix("True Issued: "), gomega.Not(gomega.ContainSubstring("webhook"))))
}

// An ordinary rotation keeps the superseded token accepted: Ready stays True during its two writes, and its message is true
// for the Secret at any time.
func TestReadyOverARotationSaysWhatHoldsBeforeAndAfter(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	key := w.Key("orders")
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	before := w.readyOf(key)()
	w.Expect(before).NotTo(gomega.ContainSubstring("current token is in Secret"))
	w.Annotate(key, v1alpha1.AnnotationRotate, "once")
	seen := []string{}
	w.Eventually(func() int64 {
		if now := w.readyOf(key)(); !slices.Contains(seen, now) {
			seen = append(seen, now)
		}
		return key.Status.Revision
	}).WithPolling(time.Millisecond).Should(gomega.BeEquivalentTo(2))
	w.AwaitRevision(key, 2)
	w.Expect(append(seen, w.readyOf(key)())).To(gomega.HaveEach(before), strings.Join(seen, "\n"))
}

// If a webhook accepts a request and never answers, the write ends after its timeout, and the failure is reported within the
// same time.
func TestSecretsBehindAWebhookThatHangs(t *testing.T) {
	w := newIsolated(t)
	w.Issuer()
	bystander := w.Key("bystander")
	w.start()
	w.AwaitReason(bystander, v1alpha1.ReasonIssued)
	lift := w.secretsHang(w.Name)
	key := w.Key("orders")
	w.Eventually(w.readyOf(key), reportedWithin, 20*time.Millisecond).Should(gomega.And(gomega.HavePrefix("False Issuing: "), gomega.ContainSubstring("did not answer within 11s")))
	w.Eventually(func() []string { return w.warnings(key) }).Should(gomega.HaveLen(1))
	lift()
	w.Eventually(w.readyOf(key), retriedWithin, 20*time.Millisecond).Should(gomega.HavePrefix("True Issued: "))
}

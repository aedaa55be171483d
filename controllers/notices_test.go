package controllers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// says returns reason and message of a condition of a key; empty if it is not True.
func (w *fixture) says(key *v1alpha1.JWTRefreshKey, kind string) func() string {
	return func() string {
		condition := meta.FindStatusCondition(harness.MustGet(w.Harness, key).Status.Conditions, kind)
		if condition == nil || condition.Status != metav1.ConditionTrue {
			return ""
		}
		return condition.Reason + ": " + condition.Message
	}
}

// noted returns the notes of the events with a reason about an object, one for each event of a series.
func (w *fixture) noted(object client.Object, reason string) func() []string {
	return func() (notes []string) {
		var events eventsv1.EventList
		w.Expect(w.Admin.List(w.Ctx, &events)).To(gomega.Succeed())
		for _, event := range events.Items {
			if event.Regarding.UID != object.GetUID() || event.Reason != reason {
				continue
			}
			notes = append(notes, event.Note)
			if event.Series != nil {
				notes = append(notes, fmt.Sprintf("and %d more", event.Series.Count))
			}
		}
		return notes
	}
}

// A waiting rotation reports its cause and its latest time, which does not change, in the condition Reconciling and in one
// event.
func TestARotationThatWaitsSaysUntilWhen(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	key := w.Key("orders")
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	for i, value := range []string{"once", "twice"} {
		w.Annotate(key, v1alpha1.AnnotationRotate, value)
		w.AwaitRevision(key, int64(i+2))
	}
	w.Annotate(key, v1alpha1.AnnotationRotate, "thrice")
	says := w.says(key, v1alpha1.ConditionReconciling)
	w.Eventually(says).Should(gomega.HavePrefix("OverlapPending: "))
	end := key.Status.Previous[0].ExpiresAt.UTC().Format(time.RFC3339)
	w.Expect(says()).To(gomega.And(gomega.ContainSubstring("waits until revision 1"), gomega.ContainSubstring("at "+end+" at the latest")))
	w.Expect(w.readyOf(key)()).To(gomega.And(gomega.HavePrefix("True Issued: "), gomega.Not(gomega.ContainSubstring("waits"))))
	w.Eventually(w.noted(key, v1alpha1.ReasonOverlapPending)).Should(gomega.ConsistOf(gomega.ContainSubstring(end)))

	message := says()
	w.clock.SetTime(w.clock.Now().Add(time.Hour))
	w.Poke(key)
	w.Consistently(says, time.Second, 20*time.Millisecond).Should(gomega.Equal(message))
	w.Expect(w.noted(key, v1alpha1.ReasonOverlapPending)()).To(gomega.HaveLen(1))
}

// An issuer without a key that may sign reports from when one may, and so does a key whose Secret must hold an access
// token.
func TestWaitingForASigningKeySaysUntilWhen(t *testing.T) {
	w := newFixture(t)
	issuer := w.Issuer()
	key := w.Key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{AccessToken: true} })
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	active, from := "", ""
	for _, k := range harness.MustGet(w.Harness, issuer).Status.Keys {
		if k.Use == "access" && k.State == "Active" {
			active = k.KID
		}
		if k.Use == "access" && k.State == "Pending" {
			from = k.CreatedAt.Add(time.Hour).UTC().Format(time.RFC3339)
		}
	}
	w.Edit(issuer, func() { metav1.SetMetaDataAnnotation(&issuer.ObjectMeta, v1alpha1.AnnotationWithdrawKey, active) })
	w.AwaitReason(issuer, v1alpha1.ReasonKeyPending)
	waits := meta.FindStatusCondition(issuer.Status.Conditions, v1alpha1.ConditionReconciling)
	w.Expect(waits.Message).To(gomega.ContainSubstring("from " + from))
	w.Eventually(w.noted(issuer, v1alpha1.ReasonKeyPending)).Should(gomega.ContainElement(gomega.ContainSubstring("may sign, once it has been published for signing.prepublish: from " + from)))
	w.Eventually(w.says(key, v1alpha1.ConditionReconciling)).Should(gomega.And(gomega.HavePrefix("KeyPending: "), gomega.ContainSubstring("from "+from)))
	w.Eventually(w.noted(key, v1alpha1.ReasonKeyPending)).Should(gomega.HaveLen(1))
	w.Expect(w.readyOf(key)()).To(gomega.HavePrefix("True Issued: "))

	w.clock.SetTime(w.clock.Now().Add(time.Hour))
	w.Poke(key)
	w.Edit(issuer, func() { metav1.SetMetaDataAnnotation(&issuer.ObjectMeta, "example.com/poked", "yes") })
	w.AwaitReason(issuer, v1alpha1.ReasonKeysReady)
	w.Eventually(w.says(key, v1alpha1.ConditionReconciling)).Should(gomega.BeEmpty())
}

// A part of spec that has no effect is reported in a condition of its own and one event, and does not affect Ready.
func TestSettingsWithoutEffectAreReported(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	restarts := w.Key("restarts", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.RolloutRestart = []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: "orders"}}
	})
	tenMinutes := &metav1.Duration{Duration: 10 * time.Minute}
	grace := w.Key("grace", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse, RetryGrace: tenMinutes}
		k.Spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: tenMinutes}
	})
	plain := w.Key("plain")
	stop := w.start()
	for _, c := range []struct {
		key          *v1alpha1.JWTRefreshKey
		kind, reason string
	}{
		{restarts, v1alpha1.ConditionRestartIgnored, v1alpha1.ReasonRestartsDisabled},
		{grace, v1alpha1.ConditionReuseUndetected, v1alpha1.ReasonRetryGraceTooLong},
	} {
		w.AwaitReason(c.key, v1alpha1.ReasonIssued)
		w.Eventually(w.says(c.key, c.kind)).Should(gomega.HavePrefix(c.reason + ": spec."))
		w.Eventually(w.noted(c.key, c.reason)).Should(gomega.HaveLen(1))
		w.Expect(w.readyOf(c.key)()).To(gomega.HavePrefix("True Issued: "))
		w.Expect(w.says(c.key, v1alpha1.ConditionStalled)() + w.says(c.key, v1alpha1.ConditionReconciling)()).To(gomega.BeEmpty())
	}
	w.AwaitReason(plain, v1alpha1.ReasonIssued)
	w.Expect(plain.Status.Conditions).To(gomega.HaveLen(1))

	stop()
	w.start(w.rollouts())
	w.Eventually(w.says(restarts, v1alpha1.ConditionRestartIgnored)).Should(gomega.BeEmpty())
	w.Edit(grace, func() { grace.Spec.Rotation.RetryGrace = nil })
	w.Eventually(w.says(grace, v1alpha1.ConditionReuseUndetected)).Should(gomega.BeEmpty())
}

// A failed restart is reported in an event of the key, once for each token.
func TestFailedRestartsAreReported(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	w.start(w.rollouts())
	orders := deployment(w, "orders")
	key := w.Key("orders", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.RolloutRestart = []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: "orders"}, {Kind: "StatefulSet", Name: "missing"}}
	})
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.Eventually(func() map[string]string { return harness.MustGet(w.Harness, orders).Annotations }).ShouldNot(gomega.BeEmpty())
	w.Expect(w.noted(key, "RestartFailed")()).To(gomega.BeEmpty(), "a first token must restart no workload")
	w.refuseDeployments()
	w.Annotate(key, v1alpha1.AnnotationRotate, "once")
	reported := gomega.ConsistOf(
		gomega.ContainSubstring("StatefulSet missing for revision 2: it does not exist"),
		gomega.And(gomega.ContainSubstring("Deployment orders for revision 2"), gomega.ContainSubstring("denied request")),
	)
	w.Eventually(w.noted(key, "RestartFailed")).Should(reported)
	w.Consistently(w.noted(key, "RestartFailed"), 2*time.Second, 100*time.Millisecond).Should(reported)
}

// refuseDeployments installs a policy that refuses every change of Deployments in the namespace.
func (w *fixture) refuseDeployments() {
	w.T.Helper()
	name := w.Name + "-deployments"
	w.Create(&admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
				},
			}}},
			Validations: []admissionv1.Validation{{Expression: fmt.Sprintf("object.metadata.namespace != '%s'", w.Name)}},
		},
	})
	w.Create(&admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	})
	probe := deployment(w, "refused")
	w.Eventually(func() bool {
		metav1.SetMetaDataLabel(&probe.ObjectMeta, "tried", "yes")
		return apierrors.IsInvalid(w.Admin.Update(w.Ctx, probe, client.DryRunAll))
	}).Should(gomega.BeTrue())
}

// If a webhook prevents the operator from writing its own Secrets, the issuer reports it for its signing keys, and so do
// keys that wait for them or for the serving certificate.
func TestSecretsOfTheOperatorThatCannotBeWritten(t *testing.T) {
	w := newIsolated(t)
	key := w.Key("orders")
	stop := w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssuerNotFound)
	lift := w.secretsUnreachable(w.operator)
	issuer := w.Issuer()
	answer := `failed calling webhook "secrets.unreachable.example.com"`
	w.Eventually(func() string {
		ready := meta.FindStatusCondition(harness.MustGet(w.Harness, issuer).Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil {
			return ""
		}
		return ready.Reason + ": " + ready.Message
	}, reportedWithin, 20*time.Millisecond).Should(gomega.And(gomega.HavePrefix("SecretRefused: "), gomega.ContainSubstring(answer)))
	w.Expect(meta.FindStatusCondition(issuer.Status.Conditions, v1alpha1.ConditionStalled)).To(gomega.BeNil(), "it must continue without a user")
	w.Eventually(w.noted(issuer, v1alpha1.ReasonSecretRefused)).Should(gomega.HaveLen(1))
	w.Eventually(w.readyOf(key), reportedWithin).Should(gomega.And(gomega.HavePrefix("False IssuerNotReady: "), gomega.ContainSubstring(answer)))
	lift()
	w.Eventually(w.readyOf(key), 2*retriedWithin, 20*time.Millisecond).Should(gomega.HavePrefix("True Issued: "))
	stop()

	// The issuer is ready, and the operator cannot create the serving certificate.
	lift = w.secretsUnreachable(w.operator)
	fresh := w.Key("fresh")
	w.start(servedBy(w.Name + "-tls"))
	w.Eventually(w.readyOf(fresh), reportedWithin, 20*time.Millisecond).Should(gomega.And(gomega.HavePrefix("False Issuing: "), gomega.ContainSubstring(answer)))
	w.Eventually(func() []string { return w.warnings(fresh) }).Should(gomega.HaveLen(1))
	lift()
	w.Eventually(w.readyOf(fresh), 2*retriedWithin, 20*time.Millisecond).Should(gomega.HavePrefix("True Issued: "))
	served := w.tlsSecret()
	w.DeleteAtEnd(served)
}

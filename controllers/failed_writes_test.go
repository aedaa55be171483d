package controllers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// refuseUpdates installs a policy that refuses every change of Secrets in the namespace, and returns when it is in force.
func (w *harness) refuseUpdates() (allow func()) {
	w.t.Helper()
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
				},
			}}},
			Validations: []admissionv1.Validation{{Expression: fmt.Sprintf("object.metadata.namespace != '%s'", w.namespace)}},
		},
	}
	w.create(policy)
	w.create(&admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: policy.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	})
	refused := func() bool {
		secret := w.secret("orders")
		metav1.SetMetaDataLabel(&secret.ObjectMeta, "tried", "yes")
		return apierrors.IsInvalid(w.admin.Update(w.ctx, secret, client.DryRunAll))
	}
	w.Eventually(refused, patience).Should(gomega.BeTrue())
	return func() {
		w.Expect(w.admin.Delete(w.ctx, policy)).To(gomega.Succeed())
		w.Eventually(refused, patience).Should(gomega.BeFalse())
	}
}

// A Secret that cannot be emptied is reported once, with the reason of the key's conditions, and its retries write no
// status.
func TestARefusedSecretIsReportedOnce(t *testing.T) {
	tests := []struct {
		name, reason string
		happens      func(*harness, *v1alpha1.JWTRefreshKey)
	}{
		{"revoked", v1alpha1.ReasonRevoked, func(w *harness, key *v1alpha1.JWTRefreshKey) {
			w.edit(key, func() { key.Spec.Revoked = true })
		}},
		{"expired", v1alpha1.ReasonExpired, func(w *harness, key *v1alpha1.JWTRefreshKey) {
			w.clock.SetTime(key.Status.ExpiresAt.Time)
			w.poke(key)
		}},
		{"edited", v1alpha1.ReasonSecretRefused, func(w *harness, key *v1alpha1.JWTRefreshKey) {
			w.edit(key, func() { key.Spec.Secret = &v1alpha1.SecretSpec{Labels: map[string]v1alpha1.LabelValue{"team": "shop"}} })
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newIsolated(t)
			w.createIssuer()
			key := w.createKey("orders", func(k *v1alpha1.JWTRefreshKey) {
				k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationNever}
			})
			w.start()
			w.becomes(key, v1alpha1.ReasonIssued)
			allow := w.refuseUpdates()
			tt.happens(w, key)
			w.becomes(key, tt.reason)
			w.Eventually(func() string { return messageOf(get(w, key)) }, patience).Should(gomega.ContainSubstring("denied request"))

			version, events := key.ResourceVersion, len(w.eventsOf(key))
			w.Consistently(func() string { return get(w, key).ResourceVersion }, 2*time.Second, 20*time.Millisecond).Should(gomega.Equal(version))
			w.Expect(len(w.eventsOf(key))).To(gomega.BeNumerically("<=", events+1), "a delayed event may still arrive")

			allow()
			w.Eventually(func() string { return messageOf(get(w, key)) }, 2*patience).ShouldNot(gomega.ContainSubstring("denied request"))
		})
	}
}

func (w *harness) eventsOf(key *v1alpha1.JWTRefreshKey) []eventsv1.Event {
	w.t.Helper()
	var events eventsv1.EventList
	w.Expect(w.admin.List(w.ctx, &events, client.InNamespace(key.Namespace))).To(gomega.Succeed())
	return events.Items
}

// A leaked token is refused even while no new one can be minted; the new one follows without a user.
func TestRotateNowWhileThePolicyDenies(t *testing.T) {
	w := newHarness(t)
	w.createIssuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{"https://orders.example.com"}}}}
	})
	key := w.createKey("orders")
	w.start()
	w.becomes(key, v1alpha1.ReasonIssued)
	leaked := w.token("orders")
	w.edit(key, func() { key.Spec.Audience = "https://typo.example.com" })
	w.becomes(key, v1alpha1.ReasonPolicyDenied)
	w.accepts(leaked, lifecycle.StandingCurrent)

	w.annotate(key, v1alpha1.AnnotationRotateNow, "leak")
	w.Eventually(w.tokenIn("orders"), patience).Should(gomega.BeEmpty())
	w.refuses(leaked)
	w.becomes(key, v1alpha1.ReasonPolicyDenied)

	w.edit(key, func() { key.Spec.Audience = "https://orders.example.com" })
	w.becomes(key, v1alpha1.ReasonIssued)
	w.reaches(key, 2)
	w.accepts(w.token("orders"), lifecycle.StandingCurrent)
	w.refuses(leaked)
}

// Tokens end while the operator cannot create the serving certificate, which only new Secrets need.
func TestTokensEndWhileThereIsNoCertificate(t *testing.T) {
	w := newHarness(t)
	w.createIssuer()
	revoked, leaked := w.createKey("revoked"), w.createKey("leaked", func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.RolloutRestart = []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: "orders"}}
	})
	stop := w.start()
	w.becomes(revoked, v1alpha1.ReasonIssued)
	w.becomes(leaked, v1alpha1.ReasonIssued)
	held, leak, trusts := w.token("revoked"), w.token("leaked"), w.secret("revoked").Data[v1alpha1.SecretCA]
	stop()
	// The API server refuses a Secret of this name.
	stop = w.start(servedBy("NOT-A-NAME"))
	w.edit(revoked, func() { revoked.Spec.Revoked = true })
	w.annotate(leaked, v1alpha1.AnnotationRotateNow, "leak")
	w.becomes(revoked, v1alpha1.ReasonRevoked)
	w.refuses(held)
	w.Eventually(func() bool { return w.tokenIn("revoked")() == "" }, patience).Should(gomega.BeTrue(), "the Secret still holds the token")
	w.Expect(w.secret("revoked").Data[v1alpha1.SecretCA]).To(gomega.Equal(trusts), "the CA bundle is unknown, and must stay")
	w.Expect(w.readyOf(revoked)()).NotTo(gomega.ContainSubstring("NOT-A-NAME"))

	w.Eventually(w.readyOf(leaked), patience).Should(gomega.And(gomega.HavePrefix("False SecretRefused: "), gomega.ContainSubstring("NOT-A-NAME")))
	w.refuses(leak)
	w.Expect(w.says(leaked, v1alpha1.ConditionRestartIgnored)()).NotTo(gomega.BeEmpty(), "a failure must not remove a notice")
	stop()
	w.start()
	w.becomes(leaked, v1alpha1.ReasonIssued)
	w.reaches(leaked, 2)
	w.accepts(w.token("leaked"), lifecycle.StandingCurrent)
}

func TestAnImmutableSecretOfARevokedKeyGoes(t *testing.T) {
	w := newHarness(t)
	w.createIssuer()
	key := w.createKey("orders")
	w.start()
	w.becomes(key, v1alpha1.ReasonIssued)
	secret := w.secret("orders")
	secret.Immutable = ptr.To(true)
	w.Expect(w.admin.Update(w.ctx, secret)).To(gomega.Succeed())

	w.edit(key, func() { key.Spec.Revoked = true })
	w.becomes(key, v1alpha1.ReasonRevoked)
	w.Eventually(w.tokenIn("orders"), patience).Should(gomega.Equal("no Secret"))

	w.edit(key, func() { key.Spec.Revoked = false })
	w.becomes(key, v1alpha1.ReasonIssued)
	w.accepts(w.token("orders"), lifecycle.StandingCurrent)
}

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
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// refuseUpdates installs a policy that refuses every change of Secrets in the namespace, and returns when it is in force.
func (w *fixture) refuseUpdates() (allow func()) {
	w.T.Helper()
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: w.Name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
				},
			}}},
			Validations: []admissionv1.Validation{{Expression: fmt.Sprintf("object.metadata.namespace != '%s'", w.Name)}},
		},
	}
	w.Create(policy)
	w.Create(&admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.Name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: policy.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	})
	refused := func() bool {
		secret := w.MustSecret("orders")
		metav1.SetMetaDataLabel(&secret.ObjectMeta, "tried", "yes")
		return apierrors.IsInvalid(w.Admin.Update(w.Ctx, secret, client.DryRunAll))
	}
	w.Eventually(refused).Should(gomega.BeTrue())
	return func() {
		w.Expect(w.Admin.Delete(w.Ctx, policy)).To(gomega.Succeed())
		w.Eventually(refused).Should(gomega.BeFalse())
	}
}

// A Secret that cannot be emptied is reported once, with the reason of the key's conditions, and its retries write no
// status.
func TestARefusedSecretIsReportedOnce(t *testing.T) {
	tests := []struct {
		name, reason string
		happens      func(*fixture, *v1alpha1.JWTRefreshKey)
	}{
		{"revoked", v1alpha1.ReasonRevoked, func(w *fixture, key *v1alpha1.JWTRefreshKey) {
			w.Edit(key, func() { key.Spec.Revoked = true })
		}},
		{"expired", v1alpha1.ReasonExpired, func(w *fixture, key *v1alpha1.JWTRefreshKey) {
			w.clock.SetTime(key.Status.ExpiresAt.Time)
			w.Poke(key)
		}},
		{"edited", v1alpha1.ReasonSecretRefused, func(w *fixture, key *v1alpha1.JWTRefreshKey) {
			w.Edit(key, func() { key.Spec.Secret = &v1alpha1.SecretSpec{Labels: map[string]v1alpha1.LabelValue{"team": "shop"}} })
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newIsolated(t)
			w.Issuer()
			key := w.Key("orders", func(k *v1alpha1.JWTRefreshKey) {
				k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationNever}
			})
			w.start()
			w.AwaitReason(key, v1alpha1.ReasonIssued)
			allow := w.refuseUpdates()
			tt.happens(w, key)
			w.AwaitReason(key, tt.reason)
			w.Eventually(func() string { return messageOf(harness.MustGet(w.Harness, key)) }).Should(gomega.ContainSubstring("denied request"))

			version, events := key.ResourceVersion, len(w.eventsOf(key))
			w.Consistently(func() string { return harness.MustGet(w.Harness, key).ResourceVersion }, 2*time.Second, 20*time.Millisecond).Should(gomega.Equal(version))
			w.Expect(len(w.eventsOf(key))).To(gomega.BeNumerically("<=", events+1), "a delayed event may still arrive")

			allow()
			w.Eventually(func() string { return messageOf(harness.MustGet(w.Harness, key)) }, retriedWithin).ShouldNot(gomega.ContainSubstring("denied request"))
		})
	}
}

func (w *fixture) eventsOf(key *v1alpha1.JWTRefreshKey) []eventsv1.Event {
	w.T.Helper()
	var events eventsv1.EventList
	w.Expect(w.Admin.List(w.Ctx, &events, client.InNamespace(key.Namespace))).To(gomega.Succeed())
	return events.Items
}

// A leaked token is refused even while no new one can be minted; the new one follows without a user.
func TestRotateNowWhileThePolicyDenies(t *testing.T) {
	w := newFixture(t)
	w.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{"https://orders.example.com"}}}}
	})
	key := w.Key("orders")
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	leaked := w.MustToken("orders")
	w.Edit(key, func() { key.Spec.Audience = "https://typo.example.com" })
	w.AwaitReason(key, v1alpha1.ReasonPolicyDenied)
	w.accepts(leaked, lifecycle.StandingCurrent)

	w.Annotate(key, v1alpha1.AnnotationRotateNow, "leak")
	w.Eventually(w.tokenIn("orders")).Should(gomega.BeEmpty())
	w.refuses(leaked)
	w.AwaitReason(key, v1alpha1.ReasonPolicyDenied)

	w.Edit(key, func() { key.Spec.Audience = "https://orders.example.com" })
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.AwaitRevision(key, 2)
	w.accepts(w.MustToken("orders"), lifecycle.StandingCurrent)
	w.refuses(leaked)
}

// Tokens end while the operator cannot create the serving certificate, which only new Secrets need.
func TestTokensEndWhileThereIsNoCertificate(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	revoked, leaked := w.Key("revoked"), w.Key("leaked", func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.RolloutRestart = []v1alpha1.WorkloadReference{{Kind: "Deployment", Name: "orders"}}
	})
	stop := w.start()
	w.AwaitReason(revoked, v1alpha1.ReasonIssued)
	w.AwaitReason(leaked, v1alpha1.ReasonIssued)
	held, leak, trusts := w.MustToken("revoked"), w.MustToken("leaked"), w.MustSecret("revoked").Data[v1alpha1.SecretCA]
	stop()
	// The API server refuses a Secret of this name.
	stop = w.start(servedBy("NOT-A-NAME"))
	w.Edit(revoked, func() { revoked.Spec.Revoked = true })
	w.Annotate(leaked, v1alpha1.AnnotationRotateNow, "leak")
	w.AwaitReason(revoked, v1alpha1.ReasonRevoked)
	w.refuses(held)
	w.Eventually(func() bool { return w.tokenIn("revoked")() == "" }).Should(gomega.BeTrue(), "the Secret still holds the token")
	w.Expect(w.MustSecret("revoked").Data[v1alpha1.SecretCA]).To(gomega.Equal(trusts), "the CA bundle is unknown, and must stay")
	w.Expect(w.readyOf(revoked)()).NotTo(gomega.ContainSubstring("NOT-A-NAME"))

	w.Eventually(w.readyOf(leaked)).Should(gomega.And(gomega.HavePrefix("False SecretRefused: "), gomega.ContainSubstring("NOT-A-NAME")))
	w.refuses(leak)
	w.Expect(w.says(leaked, v1alpha1.ConditionRestartIgnored)()).NotTo(gomega.BeEmpty(), "a failure must not remove a notice")
	stop()
	w.start()
	w.AwaitReason(leaked, v1alpha1.ReasonIssued)
	w.AwaitRevision(leaked, 2)
	w.accepts(w.MustToken("leaked"), lifecycle.StandingCurrent)
}

func TestAnImmutableSecretOfARevokedKeyGoes(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	key := w.Key("orders")
	w.start()
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	secret := w.MustSecret("orders")
	secret.Immutable = ptr.To(true)
	w.Expect(w.Admin.Update(w.Ctx, secret)).To(gomega.Succeed())

	w.Edit(key, func() { key.Spec.Revoked = true })
	w.AwaitReason(key, v1alpha1.ReasonRevoked)
	w.Eventually(w.tokenIn("orders")).Should(gomega.Equal("no Secret"))

	w.Edit(key, func() { key.Spec.Revoked = false })
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.accepts(w.MustToken("orders"), lifecycle.StandingCurrent)
}

package issuerlifecycle

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// TestFailed checks what the conditions say while the Secret with the signing keys cannot be written.
func TestFailed(t *testing.T) {
	passing := lifecycle.Failure{Name: "signing-keys-default", Answer: "no answer"}
	refused := lifecycle.Failure{Name: "signing-keys-default", Answer: "quota", Refused: true}
	tests := []struct {
		name    string
		given   func(t *testing.T) *situation
		failed  lifecycle.Failure
		says    string
		message string
	}{
		{"the first write fails", fresh, passing, "Reconciling: SecretRefused", "could not be written: no answer"},
		{"the keys in the Secret continue to sign", settled, passing, "Ready, Reconciling: KeysReady", "Both rings"},
		{"the first write is refused", fresh, refused, "Stalled: SecretRefused", "refuses Secret"},
		{"a later write is refused", settled, refused, "Stalled: SecretRefused", "refuses Secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.given(t)
			plan := Failed(&s.Observed, tt.failed)
			checkPlan(t, plan, tt.says, stay)
			if !strings.Contains(plan.Verdict.Message, tt.message) {
				t.Errorf("Ready says %q, want %q in it", plan.Verdict.Message, tt.message)
			}
			if !equality.Semantic.DeepEqual(plan.Keys, s.Issuer.Status.Keys) {
				t.Errorf("status must keep its keys: %v", plan.Keys)
			}
			if waits := meta.FindStatusCondition(plan.Status(&s.Observed, s.now).Conditions, v1alpha1.ConditionReconciling); plan.Verdict.Reconciling &&
				(waits.Reason != v1alpha1.ReasonSecretRefused || !strings.Contains(waits.Message, "no answer")) {
				t.Errorf("Reconciling says %v", waits)
			}
		})
	}
}

// TestStatus checks the conditions of each verdict, the URLs, and that a second status is the same as the first.
func TestStatus(t *testing.T) {
	tests := []struct {
		name    string
		verdict Verdict
		trust   *TrustFault
		// want are the conditions: type, status and reason.
		want []string
	}{
		{"ready", Verdict{Ready: true, Reason: "KeysReady"}, &TrustFault{}, []string{"Ready True KeysReady"}},
		{"stalled", stalled("KeysLost", "m"), &TrustFault{}, []string{"Ready False KeysLost", "Stalled True KeysLost"}},
		{"waiting", Verdict{Reason: "KeyPending", Message: "m", Reconciling: true}, &TrustFault{}, []string{"Ready False KeyPending", "Reconciling True KeyPending"}},
		{"ready, and a write fails", Verdict{Ready: true, Reason: "KeysReady", Reconciling: true}, &TrustFault{}, []string{"Ready True KeysReady", "Reconciling True SecretRefused"}},
		{"a fault of the bundle", Verdict{Ready: true, Reason: "KeysReady"}, &TrustFault{Reason: "TrustBundleKept", Message: "m"},
			[]string{"Ready True KeysReady", "TrustBundle False TrustBundleKept"}},
		{"an unknown bundle changes nothing", Verdict{Ready: true, Reason: "KeysReady"}, nil, []string{"Ready True KeysReady", "TrustBundle False TrustBundlePartial"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := fresh(t)
			s.Issuer.Spec.EndpointURL, s.Trust = "https://inside.example.com", tt.trust
			for _, kind := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionTrustBundle} {
				meta.SetStatusCondition(&s.Issuer.Status.Conditions, metav1.Condition{Type: kind, Status: "False", Reason: "TrustBundlePartial"})
			}
			before := s.Issuer.DeepCopy()
			plan := &Plan{Verdict: tt.verdict}
			status := plan.Status(&s.Observed, s.now)
			if !equality.Semantic.DeepEqual(before, s.Issuer) {
				t.Error("Status changes the observed issuer")
			}
			var got []string
			for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionTrustBundle} {
				if c := meta.FindStatusCondition(status.Conditions, kind); c != nil {
					got = append(got, c.Type+" "+string(c.Status)+" "+c.Reason)
				}
			}
			if strings.Join(got, "; ") != strings.Join(tt.want, "; ") {
				t.Errorf("the conditions are %q, want %q", got, tt.want)
			}
			if status.TokenEndpoint != "https://inside.example.com/token" ||
				status.PublicTokenEndpoint != "https://tokens.example.com/token" || status.JWKSURI != "https://tokens.example.com/jwks.json" || status.ObservedGeneration != 2 {
				t.Errorf("status is %+v", status)
			}
			s.Issuer.Status = *status
			if again := plan.Status(&s.Observed, s.now.Add(time.Hour)); !equality.Semantic.DeepEqual(status, again) {
				t.Errorf("a later status differs: %v and %v", status, again)
			}
		})
	}
}

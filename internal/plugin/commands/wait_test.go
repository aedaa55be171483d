package commands

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// TestWaitsFor checks that a command that waits prints what the key waits for, and not that its token is Issued.
func TestWaitsFor(t *testing.T) {
	condition := func(kind string, status metav1.ConditionStatus, reason, message string) func(*v1alpha1.JWTRefreshKey) {
		return func(k *v1alpha1.JWTRefreshKey) {
			meta.SetStatusCondition(&k.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message})
		}
	}
	isReady := condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonIssued, "Secret \"orders\" holds a token.")
	for _, c := range []struct {
		name   string
		change []func(*v1alpha1.JWTRefreshKey)
		want   string
		not    string
	}{
		{"not processed", nil, "has not processed key orders yet", ""},
		{"a wait beside a token that works", []func(*v1alpha1.JWTRefreshKey){
			isReady, condition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonOverlapPending, "The next token waits until 2026-06-01T00:00:00Z."),
		}, "OverlapPending: The next token waits until 2026-06-01T00:00:00Z.", "Issued"},
		{"a wait for the issuer", []func(*v1alpha1.JWTRefreshKey){
			condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonIssuerNotReady, "JWTIssuer \"default\" is not ready."),
			condition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonIssuerNotReady, "The key waits until JWTIssuer \"default\" can sign."),
		}, "IssuerNotReady: The key waits until JWTIssuer \"default\" can sign.", ""},
		{"nothing to wait for", []func(*v1alpha1.JWTRefreshKey){condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonPolicyDenied, "No rule.")}, "is PolicyDenied: No rule.", ""},
	} {
		key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Name: "orders"}}
		for _, change := range c.change {
			change(key)
		}
		if got := waitsFor(key); !strings.Contains(got, c.want) || (c.not != "" && strings.Contains(got, c.not)) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

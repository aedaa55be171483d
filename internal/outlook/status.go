package outlook

import (
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// ReadyReason returns the reason of the condition Ready; empty if there is none.
func ReadyReason(key *v1alpha1.JWTRefreshKey) string {
	if ready := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return ready.Reason
	}
	return ""
}

// Status returns the status of a key in one word, as `kubectl get` prints it: the ReadyReason, Deleting or Pending.
func Status(key *v1alpha1.JWTRefreshKey) string {
	switch reason := ReadyReason(key); {
	case key.DeletionTimestamp != nil:
		return "Deleting"
	case reason == "":
		return "Pending"
	default:
		return reason
	}
}

// Statuses returns every status that a key can have, in the order of their names. TestStatusesAreComplete compares it with the reasons of
// the API.
func Statuses() []string {
	return []string{
		"Deleting", v1alpha1.ReasonExpired, v1alpha1.ReasonInvalidSpec, v1alpha1.ReasonIssued, v1alpha1.ReasonIssuerNotFound,
		v1alpha1.ReasonIssuerNotReady, v1alpha1.ReasonIssuing, v1alpha1.ReasonOverlapPending, "Pending", v1alpha1.ReasonPolicyDenied,
		v1alpha1.ReasonRevoked, v1alpha1.ReasonSecretConflict, v1alpha1.ReasonSecretImmutable, v1alpha1.ReasonSecretRefused,
		v1alpha1.ReasonWaitingForSecret,
	}
}

// Tone says how a status looks to people.
type Tone string

// The tones.
const (
	// Good: the current token is accepted.
	Good Tone = "good"
	// Wait: the operator continues by itself.
	Wait Tone = "wait"
	// Bad: a person has to look.
	Bad Tone = "bad"
	// Off: the key has ended.
	Off Tone = "off"
)

// ToneOf returns the tone of a Status.
func ToneOf(status string) Tone {
	switch status {
	case v1alpha1.ReasonIssued:
		return Good
	case v1alpha1.ReasonRevoked, v1alpha1.ReasonExpired, "Deleting":
		return Off
	case "Pending", v1alpha1.ReasonIssuing, v1alpha1.ReasonOverlapPending, v1alpha1.ReasonWaitingForSecret:
		return Wait
	default:
		return Bad
	}
}

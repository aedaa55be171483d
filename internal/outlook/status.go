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

package lifecycle

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// freshRotation is the highest age of a token that restarts a workload without a mark: the workload did not exist or was
// not named when the key was reconciled before.
const freshRotation = 10 * time.Minute

// RestartMark returns the mark for the current token of a key, which a restart writes to the workload.
func RestartMark(key *v1alpha1.JWTRefreshKey) string {
	return fmt.Sprintf("%s.%d", key.UID, key.Status.Revision)
}

// Workload is the observed state of a workload that a key names in spec.rolloutRestart.
type Workload struct {
	CreatedAt time.Time
	// Mark is the RestartMark of its last restart for the key; empty without one.
	Mark string
	// SecretHolds is the hash of the token in the key's Secret, as read from the API server.
	SecretHolds string
}

// DecideRestart reports whether to mark a workload with the key's RestartMark, and whether to restart it. The first
// reconciliation of a workload usually only marks it: its pods started with the token, or wait for it.
func DecideRestart(key *v1alpha1.JWTRefreshKey, workload Workload, now time.Time) (mark, restart bool) {
	status := &key.Status
	switch {
	case key.DeletionTimestamp != nil, status.Revision == 0, status.RevokedAt != nil:
		return false, false
	case OneTime(key):
		// Its successors go to the client, and never to the Secret.
		return false, false
	case workload.SecretHolds != status.TokenHash:
		return false, false
	case workload.Mark == RestartMark(key):
		return false, false
	case workload.Mark != "":
		return true, true
	default:
		made := ptr.Deref(status.CreatedAt, metav1.Time{}).Time
		// Within the same second, the order is unknown.
		return true, status.Revision > 1 && !workload.CreatedAt.After(made) && now.Sub(made) < freshRotation
	}
}

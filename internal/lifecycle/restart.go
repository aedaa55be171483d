package lifecycle

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// freshRotation is how old a token may be to restart a workload that has no mark: it was not there,
// or not named, when the key was looked at before.
const freshRotation = 10 * time.Minute

// RestartMark stands for the token that a workload was last restarted for.
func RestartMark(key *v1alpha1.JWTRefreshKey) string {
	return fmt.Sprintf("%s.%d", key.UID, key.Status.Revision)
}

// Workload is a workload that is restarted after rotations of a key that names it.
type Workload struct {
	CreatedAt time.Time
	// Mark is that of the token it was last restarted for; empty when it has none.
	Mark string
	// SecretHolds is the hash of the token in the key's Secret, as it was read back.
	SecretHolds string
}

// Follow tells whether a workload is to be marked with the key's RestartMark, and whether it is to be
// restarted with it. A first look marks only: pods that started with a token, or wait for it, have it.
func DecideRestart(key *v1alpha1.JWTRefreshKey, workload Workload, now time.Time) (mark, restart bool) {
	status := &key.Status
	switch {
	case key.DeletionTimestamp != nil, status.Revision == 0, status.RevokedAt != nil:
		return false, false
	case OneTime(key):
		// Its successors go to whoever holds it, and never into the Secret.
		return false, false
	case workload.SecretHolds != status.TokenHash:
		return false, false
	case workload.Mark == RestartMark(key):
		return false, false
	case workload.Mark != "":
		return true, true
	default:
		made := ptr.Deref(status.CreatedAt, metav1.Time{}).Time
		// Within the same second either may have been first.
		return true, status.Revision > 1 && !workload.CreatedAt.After(made) && now.Sub(made) < freshRotation
	}
}

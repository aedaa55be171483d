package lifecycle

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// ReportInterval is within what time the token service records a use that a decision waits for.
const ReportInterval = time.Minute

// quietEnd is when the use that is on record lets superseded tokens go: the current one has
// been used, and none of them for overlap.quiet. Without such evidence there is no such
// time; a token that was superseded at since has not been silent for longer.
func (d *decision) quietEnd(since time.Time) (end time.Time, evidence bool) {
	if d.status.LastUsed == nil || d.status.LastUsedRevision < d.status.Revision {
		return time.Time{}, false
	}
	if used := d.status.SupersededLastUsed; used != nil && used.After(since) {
		since = used.Time
	}
	return since.Add(d.values.quiet), true
}

// idle revokes a key that nobody used for spec.idleTimeout. What was used in the last minutes
// may not be on record yet, so that two intervals of reporting are added.
func (d *decision) idle() *Plan {
	end, ends := d.idleEnd()
	if !ends || d.now.Before(end) || d.rotateAsked() || d.rotateNowAsked() {
		return nil
	}
	if d.session {
		return d.revoked(v1alpha1.RevokedIdleTimeout, "The session was not used for spec.idleTimeout; sign in again.")
	}
	return d.revoked(v1alpha1.RevokedIdleTimeout, "The key was not used for spec.idleTimeout; annotate it with "+v1alpha1.AnnotationRotate+" for a new token.")
}

// idleEnd counts from the last use, or from when the key became ready: a key that waits for
// its issuer cannot be used, and one that was reinstated begins anew. A manager that starts, as
// it does after the API server was away, first gives the replicas the time to report.
func (d *decision) idleEnd() (time.Time, bool) {
	timeout := d.Key.Spec.IdleTimeout
	ready := meta.FindStatusCondition(d.status.Conditions, v1alpha1.ConditionReady)
	if timeout == nil || !d.issued || d.status.RevokedAt != nil || ready == nil || ready.Status != metav1.ConditionTrue {
		return time.Time{}, false
	}
	since := ready.LastTransitionTime.Time
	for _, used := range []*metav1.Time{d.status.LastUsed, d.status.SupersededLastUsed} {
		if used != nil && used.After(since) {
			since = used.Time
		}
	}
	end := since.Add(timeout.Duration + 2*ReportInterval)
	if reported := d.WatchedSince.Add(2 * ReportInterval); end.Before(reported) {
		end = reported
	}
	return end, true
}

// usedUp: the Secret holds a token for one-time use that was used.
func (d *decision) usedUp() bool { return d.enrolled() && d.Secret.TokenHash != d.status.TokenHash }

// usedOnce tells whether a superseded token is one for one-time use that was used.
func (d *decision) usedOnce(token v1alpha1.SupersededToken) bool {
	return d.values.mode == v1alpha1.RotationOneTimeUse && token.Revision <= d.status.LastUsedRevision
}

// enrolled tells whether a token for one-time use was used since the last enrolment. The
// Secret is the enrolment credential: it is emptied then, and never filled again but by another
// enrolment.
func (d *decision) enrolled() bool {
	used := d.status.LastUsedRevision
	return d.values.mode == v1alpha1.RotationOneTimeUse && d.issued && used > 0 && used >= d.status.Revision-1
}

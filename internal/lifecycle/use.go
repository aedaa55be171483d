package lifecycle

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// ReportInterval is the time within which the token service records a use that a decision waits for.
const ReportInterval = time.Minute

// quietEnd returns when the recorded use lets superseded tokens retire, which needs a use of the current token. The
// result is overlap.quiet after since, or after their last use if that is later. evidence is false if no use of the
// current token is recorded.
func (d *decision) quietEnd(since time.Time) (end time.Time, evidence bool) {
	if d.status.LastUsed == nil || d.status.LastUsedRevision < d.status.Revision {
		return time.Time{}, false
	}
	if used := d.status.SupersededLastUsed; used != nil && used.After(since) {
		since = used.Time
	}
	return since.Add(d.values.quiet), true
}

// idle revokes a key without a use for spec.idleTimeout. Recent uses may not be recorded yet, so it waits two report
// intervals longer.
func (d *decision) idle() *Plan {
	end, ends := d.idleEnd()
	if !ends || d.now.Before(end) || d.rotateAsked() || d.rotateNowAsked() {
		return nil
	}
	return d.revokedFor(v1alpha1.RevokedIdleTimeout)
}

// idleEnd returns when idle revokes the key, if it can. The time counts from the last use, or from when the key became
// ready: a key that waits for its issuer cannot be used, and a reinstated key begins again. After its start, a manager
// first waits two report intervals, since it may have started after an outage of the API server.
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

// usedUp reports whether the Secret holds a one-time token that was used.
func (d *decision) usedUp() bool { return d.enrolled() && d.Secret.TokenHash != d.status.TokenHash }

// usedOnce reports whether a superseded token is a one-time token that was used.
func (d *decision) usedOnce(token v1alpha1.SupersededToken) bool {
	return d.values.mode == v1alpha1.RotationOneTimeUse && token.Revision <= d.status.LastUsedRevision
}

// enrolled reports whether a one-time token was used since the last enrolment. Then the Secret, which holds the
// enrolment credential, is emptied, and only another enrolment writes a token to it.
func (d *decision) enrolled() bool {
	used := d.status.LastUsedRevision
	return d.values.mode == v1alpha1.RotationOneTimeUse && d.issued && used > 0 && used >= d.status.Revision-1
}

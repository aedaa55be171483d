package lifecycle

import (
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// idle revokes a key without a use for spec.idleTimeout.
func (d *decision) idle() *Plan {
	end, ends := d.idleEnd()
	if !ends || d.now.Before(end) || d.rotateAsked() || d.rotateNowAsked() {
		return nil
	}
	return d.revokedFor(v1alpha1.RevokedIdleTimeout)
}

// idleEnd returns when idle revokes the key, if it can. After its start, a manager first waits two report intervals,
// since it may have started after an outage of the API server.
func (d *decision) idleEnd() (end time.Time, ends bool) {
	if end = idleEnd(d.Key); end.IsZero() {
		return end, false
	}
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

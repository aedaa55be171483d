package lifecycle

// withdraws tells whether an advance of the line for this cause ends all earlier tokens: then the new revision
// becomes status.firstRevision, in the same write as the new line. An ordinary rotation does not change
// status.firstRevision, since the superseded tokens stay accepted.
func (d *decision) withdraws(cause Cause) bool {
	switch cause {
	case CauseRotateNow, CauseReinstated, CauseDistrusted, CauseKeyWithdrawn:
		return true
	case CauseRotate, CauseTokenLost, CauseSpecChanged, CauseRenewalDue:
	}
	return d.status.RevokedAt != nil
}

// restartCause says why a key without a line on record does not begin with its first token: a first
// token may have been in the Secret, where it is accepted before it is on record, and access tokens may
// have been issued from it. They end with a revocation and with rotate-now as any others do.
func (d *decision) restartCause() Cause {
	switch {
	case d.status.RevokedAt != nil:
		return CauseReinstated
	case d.status.FirstRevision > 0:
		return CauseDistrusted
	case d.rotateNowAsked() && d.holdsToken():
		return CauseRotateNow
	default:
		return ""
	}
}

// maxRevision is the highest revision that the schema of status allows.
const maxRevision = 1<<53 - 1

// lastRevision returns the highest revision that a token of the key can have had. Without a line on record
// this is the revision of the first token. A first revision above the line shows that the line was higher once.
func (d *decision) lastRevision() int64 {
	last := max(d.status.Revision, 1)
	if first := d.status.FirstRevision; first > last && first < maxRevision {
		last = first
	}
	return last
}

package lifecycle

// withdraws reports whether an advance of the line for this cause ends all earlier tokens: then the new revision
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

// restartCause returns why a key without a recorded line must not begin with revision 1; empty if it may. A first token
// in the Secret is accepted before it is recorded, and access tokens can have been issued from it. A revocation and
// rotate-now end them like any others.
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

// lastRevision returns the highest revision that a token of the key can have had. Without a recorded line
// this is the revision of the first token. A first revision above the line shows that the line was higher once.
func (d *decision) lastRevision() int64 {
	last := max(d.status.Revision, 1)
	if first := d.status.FirstRevision; first > last && first < maxRevision {
		last = first
	}
	return last
}

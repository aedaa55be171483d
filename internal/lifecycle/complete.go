package lifecycle

import (
	"slices"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// complete adds the steps that apply to any plan: tokens that end, a Secret that must be emptied, other Secrets to
// delete, and when to decide again.
func (d *decision) complete(plan *Plan) {
	plan.values = d.values
	if plan.Ignore || plan.Discard {
		return
	}
	plan.notices = d.noticed()
	if plan.Line == KeepLine {
		d.endDueTokens(plan)
	}
	if plan.Secret == KeepSecret && d.holdsToken() && (d.tokenEnded(plan) || d.usedUp()) {
		plan.Secret = EmptySecret
		if d.Secret.Immutable {
			plan.Secret = DeleteSecret
		}
	}
	if plan.Secret == KeepSecret && d.lostOwnerReference(plan) {
		plan.Secret = OwnSecret
	}
	plan.Remove = d.removable(plan)
	if plan.Line == KeepLine {
		plan.Next = d.next(plan)
	}
}

// endDueTokens ends tokens that are due to end, even if an obstacle prevents new ones. The conditions of the plan stay.
func (d *decision) endDueTokens(plan *Plan) {
	switch {
	case d.status.RevokedAt != nil:
	case d.endRequested():
		plan.Line, plan.Revocation = RevokeLine, v1alpha1.RevokedRequested
	default:
		if kept, over := d.overdue(); over {
			plan.Line, plan.Previous = RetireSuperseded, kept
		}
	}
}

// endRequested reports whether all tokens of the line must end, in a plan that mints no next one. Causes are rotate-now,
// and an absolute end before the end of the tokens. They stay ended when spec.expiresAt is set later or removed.
func (d *decision) endRequested() bool {
	switch {
	case !d.issued:
		// A first token in the Secret is accepted before it is recorded.
		return d.rotateNowAsked() && d.holdsToken()
	case d.rotateNowAsked():
		return true
	default:
		return d.ended() && d.hasUnexpiredToken()
	}
}

func (d *decision) ended() bool {
	return !d.values.end.IsZero() && !d.now.Before(d.values.end)
}

// hasUnexpiredToken reports whether a token of the line has not reached its own end. The end of the tokens of a distrusted line
// is unknown, and counts as ahead.
func (d *decision) hasUnexpiredToken() bool {
	return d.Distrust != "" || d.now.Before(d.status.ExpiresAt.Time) || len(d.unexpired(d.status.Previous)) > 0
}

func (d *decision) holdsToken() bool {
	return d.Secret.State == SecretOwn && (d.Secret.TokenHash != "" || d.Secret.HoldsAccess)
}

// lostOwnerReference reports whether a Secret without a token has lost its ownerReference. A write of the token restores the
// reference of a Secret that must hold one.
func (d *decision) lostOwnerReference(plan *Plan) bool {
	s := d.Secret
	ours := s.State == SecretOwn || (s.State == SecretLeftOver && d.issued && !d.now.Before(d.leftOverUntil()))
	return ours && s.OwnerDiffers && !s.Immutable && (d.tokenEnded(plan) || d.enrolled())
}

// tokenEnded reports whether the current token is revoked or expired. A token that cannot be exchanged temporarily, for
// example while its issuer does not exist, has not ended.
func (d *decision) tokenEnded(plan *Plan) bool {
	return d.lineEnded(plan) || (d.issued && d.status.ExpiresAt != nil && !d.now.Before(d.status.ExpiresAt.Time))
}

func (d *decision) lineEnded(plan *Plan) bool {
	return plan.Line == RevokeLine || d.status.RevokedAt != nil || d.ended()
}

// removable returns the Secrets under earlier names that no client needs any more. After a rename, the old Secret stays
// for overlap.quiet, so that clients can read the new one.
func (d *decision) removable(plan *Plan) (names []string) {
	for _, other := range d.Others {
		if d.Secret.State == NoSecret || !d.accepted(other.TokenHash, plan) || d.renameSettled() {
			names = append(names, other.Name)
		}
	}
	return names
}

func (d *decision) renameSettled() bool {
	return d.Secret.State == SecretOwn && d.Secret.TokenHash == d.status.TokenHash &&
		!d.now.Before(d.Secret.CreatedAt.Add(d.values.quiet))
}

func (d *decision) accepted(hash string, plan *Plan) bool {
	if hash == "" || d.lineEnded(plan) || d.Distrust != "" {
		return false
	}
	if !d.Issuer.Ready || !d.issued {
		// Before the line begins, it may be the first token, which is not recorded yet.
		return true
	}
	if hash == d.status.TokenHash && plan.Line != AdvanceLine {
		return !d.tokenEnded(plan)
	}
	carried := d.status.Previous
	if plan.Line == AdvanceLine || plan.Line == RetireSuperseded {
		carried = plan.Previous
	}
	return slices.ContainsFunc(d.unexpired(carried), func(t v1alpha1.SupersededToken) bool { return t.TokenHash == hash })
}

// next returns the earliest time at which a check could decide differently.
func (d *decision) next(plan *Plan) time.Time {
	earliest := plan.Next
	consider := func(t time.Time) {
		// Decisions use whole seconds: round up, so that a time within a second has passed.
		t = t.Add(time.Second - 1).Truncate(time.Second)
		if t.After(d.now) && (earliest.IsZero() || t.Before(earliest)) {
			earliest = t
		}
	}
	consider(d.values.end)
	if d.Secret.State == SecretLeftOver {
		consider(d.leftOverUntil())
	}
	if end, ends := d.idleEnd(); ends {
		consider(end)
	}
	if d.issued && d.status.RevokedAt == nil {
		if d.status.ExpiresAt != nil {
			consider(d.status.ExpiresAt.Time)
		}
		for _, t := range d.retirements() {
			consider(t)
		}
	}
	// No token is renewed while an obstacle exists.
	if d.alive && (plan.Verdict.Ready || plan.KeepStatus) {
		consider(d.renewal(d.Held.IssuedAt, d.Held.ExpiresAt))
		consider(d.nextAccess())
	}
	if len(d.Others) > 0 {
		consider(d.Secret.CreatedAt.Add(d.values.quiet))
	}
	return earliest
}

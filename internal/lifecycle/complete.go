package lifecycle

import (
	"slices"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// complete adds what follows from any plan: which tokens go, what must not stay in a Secret,
// which other Secrets go, and when to look again.
func (d *decision) complete(plan *Plan) {
	plan.values = d.values
	if plan.Ignore || plan.Discard {
		return
	}
	plan.notices = d.noticed()
	if plan.Line == KeepLine {
		d.takeAway(plan)
	}
	if plan.Secret == KeepSecret && d.holdsToken() && (d.tokenIsDead(plan) || d.usedUp()) {
		plan.Secret = EmptySecret
		if d.Secret.Immutable {
			plan.Secret = DeleteSecret
		}
	}
	if plan.Secret == KeepSecret && d.strayed(plan) {
		plan.Secret = OwnSecret
	}
	plan.Remove = d.removable(plan)
	if plan.Line == KeepLine {
		plan.Next = d.next(plan)
	}
}

// takeAway ends tokens whose time is over, whatever stands in the way of new ones: what the
// plan says of the key stays as it is.
func (d *decision) takeAway(plan *Plan) {
	switch {
	case d.status.RevokedAt != nil:
	case d.endAsked():
		plan.Line, plan.Revocation = RevokeLine, v1alpha1.RevokedRequested
	default:
		if kept, over := d.overdue(); over {
			plan.Line, plan.Previous = RetireSuperseded, kept
		}
	}
}

// endAsked: all tokens of the line are to go, and none can follow now. Of rotate-now that is the
// half that a leak waits for. An end of the key before that of its tokens is asked for too,
// and they must not come back when it is lifted.
func (d *decision) endAsked() bool {
	switch {
	case !d.issued:
		// A first token in the Secret is accepted before it is on record.
		return d.rotateNowAsked() && d.holdsToken()
	case d.rotateNowAsked():
		return true
	default:
		return d.ended() && d.outlived()
	}
}

func (d *decision) ended() bool {
	return !d.values.end.IsZero() && !d.now.Before(d.values.end)
}

// outlived tells whether a token of the line would still be good by its own end. When those of a
// line that is not trusted end, nobody knows.
func (d *decision) outlived() bool {
	return d.Distrust != "" || d.now.Before(d.status.ExpiresAt.Time) || len(d.unexpired(d.status.Previous)) > 0
}

func (d *decision) holdsToken() bool {
	return d.Secret.State == SecretOwn && (d.Secret.TokenHash != "" || d.Secret.HoldsAccess)
}

// strayed tells whether a Secret without a token has lost its ownerReference. A Secret that must hold a
// token gets the reference back together with the token.
func (d *decision) strayed(plan *Plan) bool {
	s := d.Secret
	ours := s.State == SecretOwn || (s.State == SecretLeftOver && d.issued && !d.now.Before(d.leftOverUntil()))
	return ours && s.OwnerDiffers && !s.Immutable && (d.tokenIsDead(plan) || d.enrolled())
}

// tokenIsDead tells a token that is over (revoked, at its end) from one that only cannot
// be exchanged for now, such as while its issuer is away.
func (d *decision) tokenIsDead(plan *Plan) bool {
	return d.lineIsOver(plan) || (d.issued && d.status.ExpiresAt != nil && !d.now.Before(d.status.ExpiresAt.Time))
}

func (d *decision) lineIsOver(plan *Plan) bool {
	return plan.Line == RevokeLine || d.status.RevokedAt != nil || d.ended()
}

// removable names the Secrets under earlier names that nobody should need any more: after
// a rename the old one stays for the time a client may take to come back.
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
	if hash == "" || d.lineIsOver(plan) || d.Distrust != "" {
		return false
	}
	if !d.Issuer.Ready || !d.issued {
		// Before the line begins, it may be the first token on its way.
		return true
	}
	if hash == d.status.TokenHash && plan.Line != AdvanceLine {
		return !d.tokenIsDead(plan)
	}
	carried := d.status.Previous
	if plan.Line == AdvanceLine || plan.Line == RetireSuperseded {
		carried = plan.Previous
	}
	return slices.ContainsFunc(d.unexpired(carried), func(t v1alpha1.SupersededToken) bool { return t.TokenHash == hash })
}

// next is the earliest time at which a check could decide otherwise.
func (d *decision) next(plan *Plan) time.Time {
	earliest := plan.Next
	consider := func(t time.Time) {
		// Decisions are made on whole seconds: what is due within one is seen at its end.
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
	// Nothing is renewed while something stands in the way.
	if d.alive && (plan.Verdict.Ready || plan.KeepStatus) {
		consider(d.renewal(d.Held.IssuedAt, d.Held.ExpiresAt))
		consider(d.nextAccess())
	}
	if len(d.Others) > 0 {
		consider(d.Secret.CreatedAt.Add(d.values.quiet))
	}
	return earliest
}

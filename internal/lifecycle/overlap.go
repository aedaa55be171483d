package lifecycle

import (
	"slices"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// retire stands before the next token, so that a retirement makes room for it. Whatever else is
// decided, complete sees to the same.
func (d *decision) retire() *Plan {
	kept, over := d.overdue()
	if !d.alive || !over {
		return nil
	}
	// This does not apply to a Secret that is about to be written, or was refused.
	return &Plan{Line: RetireSuperseded, Previous: kept, Verdict: d.readyVerdict(), KeepConditions: d.secretDiffers()}
}

// overdue tells whether superseded tokens are past their time, and which ones are left.
func (d *decision) overdue() (left []v1alpha1.SupersededToken, over bool) {
	if !d.mayRetire() {
		return nil, false
	}
	left = d.standing()
	return left, len(left) < len(d.status.Previous)
}

// mayRetire: a superseded token goes only once the current one has been seen in the Secret, or
// where there is nothing to be seen: without a Secret, and past the current one's end.
func (d *decision) mayRetire() bool {
	if !d.issued || d.Distrust != "" || d.status.RevokedAt != nil {
		return false
	}
	return d.Secret.State == NoSecret || d.Secret.TokenHash == d.status.TokenHash || !d.now.Before(d.status.ExpiresAt.Time)
}

// standing are the superseded tokens that are still good.
func (d *decision) standing() []v1alpha1.SupersededToken {
	ends := d.retirements()
	left := make([]v1alpha1.SupersededToken, 0, len(ends))
	for i, token := range d.status.Previous {
		if d.now.Before(ends[i]) {
			left = append(left, token)
		}
	}
	return left
}

// retirements are the times at which the superseded tokens retire, in their order: when the
// use on record lets them go, at overlap.max after the next token was made, and at their own
// end at the latest. One that can still be read in the Secret is good to its own end: it is
// taken out of there first. So is one that was used once: overlap is for those who were not
// there yet, and its holder may have to ask again for an answer that was lost.
func (d *decision) retirements() []time.Time {
	ends := make([]time.Time, len(d.status.Previous))
	for i, token := range d.status.Previous {
		ends[i] = token.ExpiresAt.Time
		inSecret := d.Secret.State == SecretOwn && d.Secret.TokenHash == token.TokenHash
		if inSecret || !d.mayRetire() || d.usedOnce(token) {
			continue
		}
		supersededAt := d.status.CreatedAt.Time
		if i+1 < len(d.status.Previous) {
			supersededAt = d.status.Previous[i+1].CreatedAt.Time
		}
		if end, evidence := d.quietEnd(supersededAt); evidence && end.Before(ends[i]) {
			ends[i] = end
		}
		if end := supersededAt.Add(d.values.overlapMax); d.values.overlapMax >= 0 && end.Before(ends[i]) {
			ends[i] = end
		}
	}
	return ends
}

func (d *decision) unexpired(tokens []v1alpha1.SupersededToken) []v1alpha1.SupersededToken {
	return slices.DeleteFunc(slices.Clone(tokens), func(t v1alpha1.SupersededToken) bool {
		return !d.now.Before(t.ExpiresAt.Time)
	})
}

// tokenLost: the Secret lacks the current token, and it cannot be made again.
func (d *decision) tokenLost() bool {
	return d.alive && d.Held.KeyGone && d.Secret.TokenHash != d.status.TokenHash && d.secretDiffers()
}

// heldRefused tells whether the token service refuses the current token for what it says. The
// policy of an earlier issuer is not looked at here, and gets the benefit of the doubt.
func (d *decision) heldRefused() bool {
	if d.Held.Terms.Issuer != d.Issuer.URL {
		return d.Held.KeyGone
	}
	request := d.values.request(d.Observed, &d.Held.Terms, d.Held.ExpiresAt.Sub(d.Held.IssuedAt))
	return d.Issuer.Policy.Check(request) != nil
}

// OverlapEnd returns the latest time at which the oldest superseded token of a key is refused, as its status
// shows; zero if there is none.
func OverlapEnd(status *v1alpha1.JWTRefreshKeyStatus) time.Time {
	if len(status.Previous) == 0 {
		return time.Time{}
	}
	return SupersededEnd(status, status.Previous[0].JTI)
}

// SupersededEnd returns the latest time at which a superseded token of a key is refused, as its status shows; zero
// if the token is not a superseded one of the key.
func SupersededEnd(status *v1alpha1.JWTRefreshKeyStatus, jti string) time.Time {
	i := slices.IndexFunc(status.Previous, func(t v1alpha1.SupersededToken) bool { return t.JTI == jti })
	if i < 0 || status.CreatedAt == nil {
		return time.Time{}
	}
	end, supersededAt := status.Previous[i].ExpiresAt.Time, status.CreatedAt.Time
	if i+1 < len(status.Previous) {
		supersededAt = status.Previous[i+1].CreatedAt.Time
	}
	if effective := status.Effective; effective != nil && effective.Overlap != nil && effective.Overlap.Max != nil {
		if most := supersededAt.Add(effective.Overlap.Max.Duration); most.Before(end) {
			end = most
		}
	}
	return end
}

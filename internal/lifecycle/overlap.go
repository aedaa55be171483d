package lifecycle

import (
	"slices"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// retire drops superseded tokens that are due. The check runs before that of the next token, for which a retirement can
// make room. For plans of other checks, complete does the same.
func (d *decision) retire() *Plan {
	kept, over := d.overdue()
	if !d.alive || !over {
		return nil
	}
	// If the Secret differs, the conditions stay: its write follows, or was refused.
	return &Plan{Line: RetireSuperseded, Previous: kept, Verdict: d.readyVerdict(), KeepConditions: d.secretDiffers()}
}

// overdue reports whether superseded tokens are due to retire, and returns those that are left.
func (d *decision) overdue() (left []v1alpha1.SupersededToken, over bool) {
	if !d.mayRetire() {
		return nil, false
	}
	left = d.unretired()
	return left, len(left) < len(d.status.Previous)
}

// mayRetire reports whether superseded tokens may retire before their own end: the Secret holds the current token, the
// key has no Secret, or the current token has expired.
func (d *decision) mayRetire() bool {
	if !d.issued || d.Distrust != "" || d.status.RevokedAt != nil {
		return false
	}
	return d.Secret.State == NoSecret || d.Secret.TokenHash == d.status.TokenHash || !d.now.Before(d.status.ExpiresAt.Time)
}

// unretired returns the superseded tokens that are not due to retire.
func (d *decision) unretired() []v1alpha1.SupersededToken {
	ends := d.retirements()
	left := make([]v1alpha1.SupersededToken, 0, len(ends))
	for i, token := range d.status.Previous {
		if d.now.Before(ends[i]) {
			left = append(left, token)
		}
	}
	return left
}

// retirements returns the times at which the superseded tokens retire, in their order: when the recorded use allows it,
// at overlap.max after the next token was created, and at their own end at the latest. Two kinds of tokens retire only
// at their own end. One is a token that the Secret still holds. The other is a used one-time token: the answer to its
// use may be lost, and the client repeats the request.
func (d *decision) retirements() []time.Time {
	ends := make([]time.Time, len(d.status.Previous))
	for i, token := range d.status.Previous {
		ends[i] = token.ExpiresAt.Time
		inSecret := d.Secret.State == SecretOwn && d.Secret.TokenHash == token.TokenHash
		if inSecret || !d.mayRetire() || d.usedOnce(token) {
			continue
		}
		times := supersededTimes(d.status, i, overlap{quiet: d.values.quiet, max: d.values.overlapMax})
		if ends[i] = times.End; !times.Quiet.IsZero() {
			ends[i] = times.Quiet
		}
	}
	return ends
}

func (d *decision) unexpired(tokens []v1alpha1.SupersededToken) []v1alpha1.SupersededToken {
	return slices.DeleteFunc(slices.Clone(tokens), func(t v1alpha1.SupersededToken) bool {
		return !d.now.Before(t.ExpiresAt.Time)
	})
}

// tokenLost reports whether the Secret lacks the current token, and the token cannot be signed again.
func (d *decision) tokenLost() bool {
	return d.alive && d.Held.KeyGone && d.Secret.TokenHash != d.status.TokenHash && d.secretDiffers()
}

// heldRefused reports whether the token service refuses the current token for its terms. The policy of an earlier issuer
// is not observed, and counts as granting.
func (d *decision) heldRefused() bool {
	if d.Held.Terms.Issuer != d.Issuer.URL {
		return d.Held.KeyGone
	}
	request := d.values.request(d.Observed, &d.Held.Terms, d.Held.ExpiresAt.Sub(d.Held.IssuedAt))
	return d.Issuer.Policy.Check(request) != nil
}

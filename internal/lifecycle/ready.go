package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// readyVerdict returns the conditions of a key with a usable token.
func (d *decision) readyVerdict() Verdict {
	verdict := d.baseVerdict()
	if cause, previous := d.following(); cause != "" && len(previous) > maxPrevious {
		verdict.Reconciling = v1alpha1.ReasonOverlapPending
		verdict.Waiting = d.waitsForRetirement(cause)
		return verdict
	}
	access := NoAccess
	if d.Secret.HoldsAccess {
		access = KeepAccess
	}
	return d.withAccess(verdict, access)
}

// baseVerdict returns the condition Ready. The message is about a token in the Secret, not about the current one. So it
// is true before and after the write of the Secret that follows a rotation, and needs no write of its own. The Secret of
// a one-time key is emptied after its first use.
func (d *decision) baseVerdict() Verdict {
	switch {
	case d.Secret.State == NoSecret:
		return ready("The current token is recorded in status.")
	case d.values.mode == v1alpha1.RotationOneTimeUse:
		return ready("The token service accepts the current token.")
	default:
		return ready(fmt.Sprintf("Secret %q holds a token that the token service accepts.", d.Secret.Name))
	}
}

// withAccess adds the wait for an access token that the Secret must hold and does not hold yet.
func (d *decision) withAccess(verdict Verdict, access AccessStep) Verdict {
	if !WantsAccessToken(d.Key) || !d.Issuer.AccessPending || access != NoAccess || verdict.Reconciling != "" {
		return verdict
	}
	verdict.Reconciling = v1alpha1.ReasonKeyPending
	verdict.Waiting = fmt.Sprintf("Secret %q has no access token until the access ring of JWTIssuer %q has a key that may sign", d.Secret.Name, d.Issuer.Name)
	if !d.Issuer.AccessFrom.IsZero() {
		verdict.Waiting += ": from " + stamp(d.Issuer.AccessFrom)
	}
	verdict.Waiting += "."
	return verdict
}

// issuing returns the conditions between the record of a token and the write of its Secret, if the Secret holds
// no accepted token in between.
func (d *decision) issuing(revision int64) Verdict {
	return waiting(v1alpha1.ReasonIssuing,
		fmt.Sprintf("Revision %d is recorded, and Secret %q does not hold it yet.", revision, d.Secret.Name),
		fmt.Sprintf("The operator writes revision %d to Secret %q, and retries at least every %s until it succeeds.", revision, d.Secret.Name, RetryInterval))
}

// staysReady reports whether Ready, which was True, stays True between the record of the next token and the write of
// its Secret. Then the Secret holds the token that was current, and that token stays accepted. An advance
// never turns Ready True.
func (d *decision) staysReady(previous []v1alpha1.SupersededToken) bool {
	if d.Secret.State == NoSecret {
		return true
	}
	held := d.status.TokenHash
	return meta.IsStatusConditionTrue(d.status.Conditions, v1alpha1.ConditionReady) &&
		d.alive && d.Secret.State == SecretOwn && d.Secret.TokenHash == held && !d.enrolled() && !d.heldRefused() &&
		slices.ContainsFunc(previous, func(t v1alpha1.SupersededToken) bool { return t.TokenHash == held })
}

// waitsForRetirement returns the message that says until when the next token waits. Use of the tokens can end the wait
// earlier; the message has the latest time, which does not change.
func (d *decision) waitsForRetirement(cause Cause) string {
	var first *v1alpha1.SupersededToken
	var end time.Time
	for i := range d.status.Previous {
		token := &d.status.Previous[i]
		latest := d.latestRetirement(i)
		if d.now.Before(latest) && !d.usedOnce(*token) && (first == nil || latest.Before(end)) {
			first, end = token, latest
		}
	}
	if first == nil {
		return fmt.Sprintf("The next token is due (%s) and waits until a superseded token retires.", cause)
	}
	return fmt.Sprintf("The next token is due (%s) and waits until revision %d, which is superseded, retires: at %s at the latest.",
		cause, first.Revision, stamp(end))
}

// latestRetirement returns when a superseded token retires at the latest, independent of the use of tokens.
func (d *decision) latestRetirement(i int) time.Time {
	end, supersededAt := d.status.Previous[i].ExpiresAt.Time, d.status.CreatedAt.Time
	if i+1 < len(d.status.Previous) {
		supersededAt = d.status.Previous[i+1].CreatedAt.Time
	}
	if most := supersededAt.Add(d.values.overlapMax); d.values.overlapMax >= 0 && most.Before(end) {
		return most
	}
	return end
}

// stamp formats a time for a message.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

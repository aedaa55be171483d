package lifecycle

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// maxPrevious is how many superseded tokens are accepted in addition to the current one.
const maxPrevious = 2

// urgentAdvance mints a new token at once if the earlier ones must not be accepted any more.
func (d *decision) urgentAdvance() *Plan {
	switch {
	case !d.issued:
		return nil
	case d.Distrust != "":
		return d.advanceFor(CauseDistrusted, nil)
	case d.rotateNowAsked():
		return d.advanceFor(CauseRotateNow, nil)
	case d.status.RevokedAt != nil || d.Issuer.KnowsHeldKey || !d.now.Before(d.status.ExpiresAt.Time):
		// A signing key also leaves the ring when all its tokens have ended.
		return nil
	case d.values.mode == v1alpha1.RotationOneTimeUse:
		return d.revokedFor(v1alpha1.RevokedKeyWithdrawn)
	default:
		plan := d.advanceFor(CauseKeyWithdrawn, nil)
		plan.Paced = true
		return plan
	}
}

// advance mints the next token, and keeps the current one for the overlap.
func (d *decision) advance() *Plan {
	cause, previous := d.following()
	switch {
	case cause == "":
		return nil
	case len(previous) <= maxPrevious:
		return d.advanceFor(cause, previous)
	case d.secretDiffers():
		// The check restore updates the Secret.
		return nil
	default:
		return &Plan{Verdict: d.readyVerdict()}
	}
}

// following returns why the next token is due, and which tokens it would supersede. If there are more than
// maxPrevious, the next token waits.
func (d *decision) following() (cause Cause, previous []v1alpha1.SupersededToken) {
	cause = d.rotationCause()
	if cause == "" {
		return "", nil
	}
	previous = d.unretired()
	// An enrolment resets the record of used tokens: a used token that is kept would count as unused.
	previous = slices.DeleteFunc(previous, d.usedOnce)
	if d.alive && !d.tokenLost() {
		previous = append(previous, Superseded(&d.status.TokenLine))
	}
	if d.withdraws(cause) {
		previous = nil
	}
	if len(previous) > maxPrevious && d.heldRefused() {
		// No client needs an overlap with a token that is refused.
		previous = previous[:maxPrevious]
	}
	return cause, previous
}

func (d *decision) advanceFor(cause Cause, previous []v1alpha1.SupersededToken) *Plan {
	plan := &Plan{
		Line:      AdvanceLine,
		Cause:     cause,
		Mint:      d.nextMint(d.lastRevision()),
		Previous:  previous,
		Withdraws: d.withdraws(cause),
		Secret:    d.write(),
		Access:    d.accessStep(true),
		Verdict:   d.baseVerdict(),
	}
	if cause == CauseSpecChanged {
		plan.Detail = strings.Join(d.specChanges(), ", ")
	}
	if blocked := d.blockedBy(true); blocked != nil {
		plan.Secret, plan.Access, plan.Verdict = KeepSecret, NoAccess, *blocked
		return plan
	}
	after := d.withAccess(plan.Verdict, plan.Access)
	plan.After = &after
	if !d.staysReady(previous) {
		plan.Verdict = d.issuing(plan.Mint.Revision)
	}
	return plan
}

func (d *decision) nextMint(last int64) *Mint {
	mint := d.values.mint(last+1, d.now)
	return &mint
}

// rotationCause returns why the next token is due; empty if it is not. The operator supersedes a one-time token only on
// request: its use makes the next one.
func (d *decision) rotationCause() Cause {
	oneTime := d.values.mode == v1alpha1.RotationOneTimeUse
	switch {
	case !d.issued || d.Distrust != "":
		return ""
	case d.rotateAsked() || d.rotateNowAsked():
		return CauseRotate
	case d.status.RevokedAt != nil:
		return CauseReinstated
	case d.tokenLost():
		return CauseTokenLost
	case oneTime:
		return ""
	case len(d.specChanges()) > 0:
		return CauseSpecChanged
	case d.values.mode == v1alpha1.RotationScheduled && d.renewalDue():
		return CauseRenewalDue
	default:
		return ""
	}
}

func (d *decision) renewalDue() bool {
	if !d.now.Before(d.Held.ExpiresAt) {
		return true
	}
	due := d.renewal(d.Held.IssuedAt, d.Held.ExpiresAt)
	return !due.IsZero() && !d.now.Before(due)
}

// specChanges returns the fields of spec that the current token does not reflect.
func (d *decision) specChanges() []string {
	changed := d.values.terms.changedFrom(d.Held.Terms)
	if d.lifetimeChanged() {
		changed = append(changed, "lifetime")
	}
	return changed
}

// lifetimeChanged reports whether the lifetime of the current token differs from spec. A token that spec.expiresAt
// shortened is too short only if a token of the same age would now be longer.
func (d *decision) lifetimeChanged() bool {
	full := d.Held.IssuedAt.Add(d.values.lifetime)
	return d.Held.ExpiresAt.After(full) || d.Held.ExpiresAt.Before(d.values.tokenEnd(d.Held.IssuedAt))
}

// renewal returns when the next token is due; zero if the mode has no scheduled renewal or the token lasts to the
// absolute end.
func (d *decision) renewal(issuedAt, expiresAt time.Time) time.Time {
	return d.values.renewal(string(d.Key.UID), issuedAt, expiresAt)
}

func (e *effective) renewal(uid string, issuedAt, expiresAt time.Time) time.Time {
	if e.mode != v1alpha1.RotationScheduled || (!e.end.IsZero() && !expiresAt.Before(e.end)) {
		return time.Time{}
	}
	due := expiresAt.Add(-e.renewBefore)
	due = due.Add(-jitter(uid, due.Sub(issuedAt)/10))
	// With renewBefore close to the lifetime, a key would be renewed continuously.
	if floor := issuedAt.Add(min(e.lifetime/10, shortestRenewal).Truncate(time.Second)); due.Before(floor) {
		return floor
	}
	return due
}

// shortestRenewal is the shortest time between scheduled renewals, for lifetimes of at least ten times as long.
const shortestRenewal = 30 * time.Second

// jitter returns a part of window that depends only on the UID. Keys that were created at the same time renew at
// different times, and a restarted manager computes the same time. A key without a UID is not stored yet.
func jitter(uid string, window time.Duration) time.Duration {
	if uid == "" || window < time.Second {
		return 0
	}
	sum := sha256.Sum256([]byte(uid))
	share := binary.BigEndian.Uint32(sum[:4])
	return (time.Duration(float64(window) * float64(share) / (1 << 32))).Truncate(time.Second)
}

// nowPrefix precedes the value of rotate-now in status.lastHandledRotate, which records the handled values of both
// rotation annotations. The operator handles each value once.
const nowPrefix = "now:"

// rotateAsked reports whether the rotate annotation has a new value. It is false for sessions, which have no Secret for
// another token.
func (d *decision) rotateAsked() bool {
	return !d.session && d.asks("", v1alpha1.AnnotationRotate)
}

func (d *decision) rotateNowAsked() bool {
	return d.asks(nowPrefix, v1alpha1.AnnotationRotateNow)
}

func (d *decision) asks(prefix, annotation string) bool {
	value := d.Key.Annotations[annotation]
	return value != "" && !slices.Contains(strings.Fields(d.status.LastHandledRotate), prefix+remembered(value))
}

// HandledRotate returns the value of status.lastHandledRotate after the rotation annotations of a key are handled.
func HandledRotate(key *v1alpha1.JWTRefreshKey) string {
	var handled []string
	if value := key.Annotations[v1alpha1.AnnotationRotate]; value != "" {
		handled = append(handled, remembered(value))
	}
	if value := key.Annotations[v1alpha1.AnnotationRotateNow]; value != "" {
		handled = append(handled, nowPrefix+remembered(value))
	}
	return strings.Join(handled, " ")
}

// PendingRotations returns the values of the rotation annotations that the operator has not handled, as
// status.lastHandledRotate will record them.
func PendingRotations(key *v1alpha1.JWTRefreshKey) []string {
	handled := strings.Fields(key.Status.LastHandledRotate)
	return slices.DeleteFunc(strings.Fields(HandledRotate(key)), func(asked string) bool { return slices.Contains(handled, asked) })
}

// remembered returns the value, or a hash of a value that is too long for status or that looks like a value of the
// other annotation.
func remembered(value string) string {
	if len(value) <= 64 && !strings.HasPrefix(value, nowPrefix) && !strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return value
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(value)))[:39]
}

// Mode returns the rotation mode of a key, which is Scheduled if spec does not set one.
func Mode(key *v1alpha1.JWTRefreshKey) v1alpha1.RotationMode {
	if r := key.Spec.Rotation; r != nil && r.Mode != "" {
		return r.Mode
	}
	return v1alpha1.RotationScheduled
}

// OneTime reports whether a key has rotation mode OneTimeUse.
func OneTime(key *v1alpha1.JWTRefreshKey) bool { return Mode(key) == v1alpha1.RotationOneTimeUse }

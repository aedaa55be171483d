package lifecycle

import (
	"fmt"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// conflictRetry is how often a conflict about the name of a Secret is checked again. The other Secret need not have the
// operator's label, so its deletion may cause no event.
const conflictRetry = 30 * time.Second

// leftOverGrace is how long the operator waits for the garbage collector to delete the Secret of an earlier key of the
// same name, from the creation of the key.
const leftOverGrace = 30 * time.Second

// checks run in this order; the first that returns a plan decides. Checks that end rights come before checks that grant
// them. Checks with fewer preconditions come before those with more. Steps that end tokens without preconditions apply
// to every plan: complete adds them.
var checks = []struct {
	name   string
	decide func(*decision) *Plan
}{
	{"key is being deleted", (*decision).beingDeleted},
	{"session has not begun", (*decision).sessionNotBegun},
	{"session is over", (*decision).sessionOver},
	{"revocation is asked for", (*decision).revocationAsked},
	{"namespace is terminating", (*decision).namespaceTerminating},
	{"key stays revoked", (*decision).staysRevoked},
	{"key is idle", (*decision).idle},
	{"spec is invalid", (*decision).invalidSpec},
	{"absolute end is reached", (*decision).absoluteEnd},
	{"issuer is missing", (*decision).issuerMissing},
	{"issuer is not ready", (*decision).issuerNotReady},
	{"policy does not grant", (*decision).policyDenies},
	{"session has lost its token", (*decision).sessionLost},
	{"tokens must end at once", (*decision).urgentAdvance},
	{"token reached its end", (*decision).expired},
	{"secret cannot be written", (*decision).secretBlocked},
	{"no token yet", (*decision).firstIssue},
	{"superseded token must retire", (*decision).retire},
	{"next token is due", (*decision).advance},
	{"secret differs from the wanted one", (*decision).restore},
	{"at rest", (*decision).atRest},
}

// Decide returns the plan for a key: the steps to take, and the conditions of its status.
func Decide(o Observed, now time.Time) Plan {
	d := newDecision(&o, now)
	for _, check := range checks {
		if plan := check.decide(d); plan != nil {
			plan.Check = check.name
			d.complete(plan)
			return *plan
		}
	}
	panic("lifecycle: the last check always decides")
}

// decision is one run of Decide.
type decision struct {
	*Observed
	now     time.Time
	status  *v1alpha1.JWTRefreshKeyStatus
	values  effective
	invalid error
	// session is true if a login created the key.
	session bool
	// issued is true if status records a line. Its current token may have ended.
	issued bool
	// alive is true if the current token is trusted, not revoked, not expired, and its signing key is not withdrawn.
	alive bool
}

func newDecision(o *Observed, now time.Time) *decision {
	d := &decision{Observed: o, now: now.UTC().Truncate(time.Second), status: &o.Key.Status}
	d.values, d.invalid = effectiveOf(o)
	d.session = IsSession(o.Key)
	d.issued = d.status.Revision > 0
	if d.issued && d.Distrust == "" && (d.Held == nil || d.status.JTI == "" || d.status.CreatedAt == nil || d.status.ExpiresAt == nil) {
		d.Distrust = "the line in status is incomplete"
	}
	if d.issued && d.Distrust == "" && d.status.FirstRevision > d.status.Revision {
		d.Distrust = "status.firstRevision is above the current revision"
	}
	d.alive = d.issued && d.Distrust == "" && d.status.RevokedAt == nil && d.Issuer.KnowsHeldKey &&
		d.now.Before(d.status.ExpiresAt.Time)
	return d
}

func (d *decision) beingDeleted() *Plan {
	if d.Key.DeletionTimestamp != nil {
		return &Plan{Ignore: true}
	}
	return nil
}

func (d *decision) namespaceTerminating() *Plan {
	if d.Namespace.Terminating {
		return &Plan{Ignore: true}
	}
	return nil
}

func (d *decision) revocationAsked() *Plan {
	if !d.Key.Spec.Revoked {
		return nil
	}
	return d.revoked(v1alpha1.RevokedRequested, "spec.revoked is true; set it to false for a new token.")
}

// staysRevoked keeps a key revoked whose revocation was not requested in spec, until an annotation asks for a new token.
func (d *decision) staysRevoked() *Plan {
	reason := d.status.RevocationReason
	if d.status.RevokedAt == nil || reason == v1alpha1.RevokedRequested || d.rotateAsked() || d.rotateNowAsked() {
		return nil
	}
	return d.revokedFor(reason)
}

// revokedFor returns the plan for a key that is or becomes revoked for a reason. The message depends on the reason alone: a
// revocation writes status once.
func (d *decision) revokedFor(reason v1alpha1.RevocationReason) *Plan {
	idle := reason == v1alpha1.RevokedIdleTimeout
	message := "The key was revoked; annotate it with " + v1alpha1.AnnotationRotate + " for a new token."
	switch {
	case d.session && idle:
		message = "The session was not used for spec.idleTimeout; sign in again."
	case d.session:
		message = "The session is over; sign in again."
	case idle:
		message = "The key was not used for spec.idleTimeout; annotate it with " + v1alpha1.AnnotationRotate + " for a new token."
	case reason == v1alpha1.RevokedKeyWithdrawn:
		message = "The signing key of the token was withdrawn; annotate the key with " + v1alpha1.AnnotationRotate + " to enrol again."
	}
	return d.revoked(reason, message)
}

func (d *decision) revoked(reason v1alpha1.RevocationReason, message string) *Plan {
	plan := &Plan{Verdict: stalled(v1alpha1.ReasonRevoked, string(reason)+": "+message)}
	if d.status.RevokedAt == nil || d.status.RevocationReason != reason || len(d.status.Previous) > 0 {
		plan.Line, plan.Revocation = RevokeLine, reason
	}
	return plan
}

func (d *decision) invalidSpec() *Plan {
	if err := d.validate(); err != nil {
		return &Plan{Verdict: stalled(v1alpha1.ReasonInvalidSpec, err.Error())}
	}
	return nil
}

func (d *decision) absoluteEnd() *Plan {
	if !d.ended() {
		return nil
	}
	return &Plan{Verdict: stalled(v1alpha1.ReasonExpired, "spec.expiresAt has passed; set a later time for a new token.")}
}

func (d *decision) issuerMissing() *Plan {
	if d.Issuer.Found {
		return nil
	}
	return &Plan{Verdict: waiting(v1alpha1.ReasonIssuerNotFound,
		fmt.Sprintf("JWTIssuer %q does not exist; create it, or name another in spec.issuerRef.", d.Issuer.Name),
		fmt.Sprintf("The key waits until JWTIssuer %q exists.", d.Issuer.Name))}
}

func (d *decision) issuerNotReady() *Plan {
	if d.Issuer.Ready {
		return nil
	}
	return &Plan{Verdict: waiting(v1alpha1.ReasonIssuerNotReady,
		fmt.Sprintf("JWTIssuer %q is not ready: %s", d.Issuer.Name, d.Issuer.Message),
		fmt.Sprintf("The key waits until JWTIssuer %q can sign: %s", d.Issuer.Name, d.Issuer.Message))}
}

func (d *decision) policyDenies() *Plan {
	if err := d.Issuer.Policy.Check(d.values.request(d.Observed, &d.values.terms, d.values.lifetime)); err != nil {
		return &Plan{Verdict: stalled(v1alpha1.ReasonPolicyDenied, fmt.Sprintf("JWTIssuer %q does not grant it: %s", d.Issuer.Name, err))}
	}
	return nil
}

// secretBlocked mints no token while an obstacle prevents the write of its Secret.
func (d *decision) secretBlocked() *Plan {
	blocked := d.blockedBy(d.wantsWrite())
	if blocked == nil {
		return nil
	}
	return &Plan{Verdict: *blocked, Next: d.now.Add(conflictRetry)}
}

func (d *decision) blockedBy(wantsWrite bool) *Verdict {
	s := d.Secret
	var v Verdict
	switch {
	case s.State == SecretForeign:
		v = stalled(v1alpha1.ReasonSecretConflict, fmt.Sprintf("Secret %q exists and does not belong to this key; remove it, or choose another spec.secret.name.", s.Name))
	case s.State == SecretLeftOver && d.now.Before(d.leftOverUntil()):
		v = waiting(v1alpha1.ReasonWaitingForSecret,
			fmt.Sprintf("Secret %q of an earlier key of this name still exists.", s.Name),
			fmt.Sprintf("The key waits until the garbage collector has deleted Secret %q of an earlier key of this name, and until %s at the latest: then the operator replaces it.",
				s.Name, stamp(d.leftOverUntil())))
	case (s.State == SecretOwn || s.State == SecretLeftOver) && s.Immutable && wantsWrite:
		v = stalled(v1alpha1.ReasonSecretImmutable, fmt.Sprintf("Secret %q is immutable and out of date; delete it, and the operator creates it again.", s.Name))
	default:
		return nil
	}
	return &v
}

func (d *decision) leftOverUntil() time.Time {
	return d.Key.CreationTimestamp.Add(leftOverGrace)
}

func (d *decision) wantsWrite() bool {
	if !d.issued {
		return !d.adopts()
	}
	return d.rotationCause() != "" || (d.secretDiffers() && !d.onlyMarksDiffer())
}

// onlyMarksDiffer reports whether only labels, annotations or the ownerReference of a Secret differ from the wanted ones.
func (d *decision) onlyMarksDiffer() bool {
	s := d.Secret
	return s.State == SecretOwn && s.DataAsWanted && s.TokenHash == d.status.TokenHash && !d.accessDiffers()
}

func (d *decision) firstIssue() *Plan {
	if d.issued {
		return nil
	}
	if cause := d.restartCause(); cause != "" {
		return d.advanceFor(cause, nil)
	}
	if d.adopts() {
		return &Plan{Line: AdoptFound, Verdict: d.readyVerdict()}
	}
	access := d.accessStep(true)
	return &Plan{Line: IssueFirst, Mint: d.nextMint(0), Secret: d.write(), Access: access, Verdict: d.withAccess(d.baseVerdict(), access)}
}

// adopts reports whether an unrecorded token in the Secret becomes the first one. It does not if all earlier tokens must end.
func (d *decision) adopts() bool {
	a := d.Secret.Adoptable
	return a != nil && d.restartCause() == "" && d.now.Before(a.ExpiresAt)
}

// expired stalls a key whose token has expired and has no cause for a next one, in a mode without scheduled renewal.
func (d *decision) expired() *Plan {
	if !d.issued || d.now.Before(d.status.ExpiresAt.Time) || d.rotationCause() != "" {
		return nil
	}
	return &Plan{Verdict: stalled(v1alpha1.ReasonExpired, "The token has expired; annotate the key with "+v1alpha1.AnnotationRotate+" for a new one.")}
}

// restore writes the Secret again from status: it was edited, deleted, renamed, or not written before the manager
// stopped, its access token is due, or an earlier version wrote it.
func (d *decision) restore() *Plan {
	if !d.secretDiffers() {
		return nil
	}
	// The conditions stay until the Secret is written. A lost Secret does not cost two more writes of status, and a key
	// is not Ready before the first write of its Secret.
	access, after := d.accessStep(false), d.readyVerdict()
	after = d.withAccess(after, access)
	paced := d.onlyEntriesLack() || (d.Secret.AccessWithdrawn && access != KeepAccess)
	return &Plan{Secret: WriteSecret, Access: access, After: &after, KeepStatus: true, Paced: paced}
}

// onlyEntriesLack reports whether the Secret only lacks entries that this version of the operator adds. An upgrade finds all
// Secrets so, and clients continue to work without the entries.
func (d *decision) onlyEntriesLack() bool {
	s := d.Secret
	return s.State == SecretOwn && s.LacksEntries && s.TokenHash == d.status.TokenHash && !d.accessDiffers()
}

func (d *decision) atRest() *Plan {
	return &Plan{Verdict: d.readyVerdict()}
}

func (d *decision) write() SecretStep {
	if d.Secret.State == NoSecret {
		return KeepSecret
	}
	return WriteSecret
}

// secretDiffers reports whether the Secret must be written to match status.
func (d *decision) secretDiffers() bool {
	s := d.Secret
	if s.State == NoSecret || !d.issued || d.enrolled() {
		return false
	}
	return s.State != SecretOwn || s.TokenHash != d.status.TokenHash || !s.AsWanted || d.accessDiffers()
}

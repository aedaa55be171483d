package lifecycle

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// LineStep is the step of a plan for the line.
type LineStep int

// Steps for the line.
const (
	// KeepLine leaves the line unchanged.
	KeepLine LineStep = iota
	// IssueFirst mints the first token, which is written to the Secret first and then recorded,
	// so that Ready is never true without a Secret.
	IssueFirst
	// AdoptFound records a first token that the Secret already holds, after a crash in between.
	AdoptFound
	// AdvanceLine mints the next token, which is recorded first and then written to the Secret, so
	// that no reader finds a token that is not accepted yet.
	AdvanceLine
	// RetireSuperseded drops superseded tokens that are due to retire.
	RetireSuperseded
	// RevokeLine revokes the key, with all tokens of its line.
	RevokeLine
)

// SecretStep is the step of a plan for the Secret.
type SecretStep int

// Steps for the Secret.
const (
	// KeepSecret leaves the Secret unchanged.
	KeepSecret SecretStep = iota
	// WriteSecret writes the wanted state of the Secret, with the line's current token.
	WriteSecret
	// EmptySecret removes the tokens from the Secret.
	EmptySecret
	// OwnSecret restores the lost ownerReference of a Secret that holds no token and must hold none.
	OwnSecret
	// DeleteSecret deletes the key's Secret if it cannot be emptied, since it is immutable.
	DeleteSecret
)

// AccessStep is the step for the access token in a Secret that is written.
type AccessStep int

// Steps for the access token.
const (
	// NoAccess writes no access token.
	NoAccess AccessStep = iota
	// KeepAccess keeps the one in the Secret.
	KeepAccess
	// RenewAccess mints a new one.
	RenewAccess
)

// Cause is why a line is advanced.
type Cause string

// Causes of an advance.
const (
	CauseKeyWithdrawn Cause = "KeyWithdrawn"
	CauseDistrusted   Cause = "StatusDistrusted"
	CauseRotateNow    Cause = "RotateNowRequested"
	CauseRotate       Cause = "RotateRequested"
	CauseReinstated   Cause = "Reinstated"
	CauseTokenLost    Cause = "TokenLost"
	CauseSpecChanged  Cause = "SpecChanged"
	CauseRenewalDue   Cause = "RenewalDue"
)

// Plan is the result of Decide: the steps to carry out, and the conditions.
type Plan struct {
	// Check is the name of the check that decided.
	Check string
	// Ignore means that neither the Secret nor the status changes.
	Ignore bool
	// Discard means that the key itself is deleted, and nothing else is done.
	Discard bool
	// KeepStatus leaves the status unchanged; only the Secret is written.
	KeepStatus bool
	// KeepConditions changes only the line in status.
	KeepConditions bool

	Line  LineStep
	Cause Cause
	// Detail is added to the event of an advance: the fields that changed.
	Detail string
	// Mint is set with IssueFirst and AdvanceLine.
	Mint *Mint
	// Previous is what remains of the superseded tokens after AdvanceLine or RetireSuperseded.
	Previous []v1alpha1.SupersededToken
	// Revocation is the reason that goes with RevokeLine.
	Revocation v1alpha1.RevocationReason
	// Withdraws means that every token of the key that was issued before the one to be made stays refused.
	Withdraws bool
	// Paced plans wait for their turn of the pacer.
	Paced bool

	Secret SecretStep
	// Access is set with WriteSecret.
	Access AccessStep
	// Remove names Secrets of this key that are no longer needed.
	Remove []string

	Verdict Verdict
	// After are the conditions once the Secret is written; nil if Verdict applies then too.
	After *Verdict
	// Next is when to decide again without an event; zero for never.
	Next time.Time

	values  effective
	notices []notice
	failure *Failure
	// written is true if the Secret of the key holds the current token now.
	written bool
}

// Mint is the content of the next token.
type Mint struct {
	Terms     Terms
	Revision  int64
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Verdict is the content of the conditions.
type Verdict struct {
	Ready   bool
	Reason  string
	Message string
	// Reconciling is the reason of the condition of that name; empty while it is not true.
	Reconciling string
	// Waiting is the message of that condition: what the key waits for, and until when.
	Waiting string
	// Stalled is true if a user has to act.
	Stalled bool
}

func ready(message string) Verdict {
	return Verdict{Ready: true, Reason: v1alpha1.ReasonIssued, Message: message}
}

// waiting returns the conditions of a key that becomes ready without a user: message says why it is not ready, until says what it waits for.
func waiting(reason, message, until string) Verdict {
	return Verdict{Reason: reason, Message: message, Reconciling: reason, Waiting: until}
}

// stalled returns the conditions of a key on which a user has to act.
func stalled(reason, message string) Verdict {
	return Verdict{Reason: reason, Message: message, Stalled: true}
}

// StatusFirst reports whether the status is written before the Secret. A change of the line is recorded first, except
// for a first token, and Ready turns False before a token is removed. Otherwise the status is written last, and reports
// the state of the Secret.
func (p *Plan) StatusFirst(o *Observed) bool {
	switch p.Line {
	case IssueFirst:
		return false
	case KeepLine:
		return !p.Verdict.Ready && meta.IsStatusConditionTrue(o.Key.Status.Conditions, v1alpha1.ConditionReady)
	default:
		return true
	}
}

// AccessLifetime returns the longest lifetime of an access token of the key.
func (p *Plan) AccessLifetime() time.Duration { return p.values.accessLifetime }

// Terms returns the terms of the tokens of the key.
func (p *Plan) Terms() Terms { return p.values.terms }

// Written returns the plan that reports, after this one, that its Secret is written; nil if there is nothing to report.
func (p *Plan) Written() *Plan {
	if p.Secret != WriteSecret || p.After == nil {
		return nil
	}
	return &Plan{Check: p.Check, Verdict: *p.After, values: p.values, notices: p.notices, written: true}
}

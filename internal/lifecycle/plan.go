package lifecycle

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// LineStep is what becomes of the line.
type LineStep int

// What can become of the line.
const (
	// KeepLine leaves the line alone.
	KeepLine LineStep = iota
	// IssueFirst makes the very first token: written to the Secret first and then recorded,
	// so that Ready is never true without a Secret.
	IssueFirst
	// AdoptFound records a first token that is in the Secret already, after a crash in between.
	AdoptFound
	// AdvanceLine makes the next token: recorded first, and then written to the Secret, so
	// that no reader finds a token that is not accepted yet.
	AdvanceLine
	// RetireSuperseded drops superseded tokens whose time is over.
	RetireSuperseded
	// RevokeLine revokes the key, with all tokens of its line.
	RevokeLine
)

// SecretStep is what becomes of the Secret.
type SecretStep int

// What can become of the Secret.
const (
	// KeepSecret leaves the Secret alone.
	KeepSecret SecretStep = iota
	// WriteSecret makes the Secret what it should be, with the line's current token.
	WriteSecret
	// EmptySecret takes the tokens out of the Secret.
	EmptySecret
	// OwnSecret restores the lost ownerReference of a Secret that holds no token and must hold none.
	OwnSecret
	// DeleteSecret deletes a Secret of ours that cannot be emptied, since it is immutable.
	DeleteSecret
)

// AccessStep is what becomes of the access token in a Secret that is written.
type AccessStep int

// What can stand beside the refresh token.
const (
	// NoAccess leaves none.
	NoAccess AccessStep = iota
	// KeepAccess leaves the one that is there.
	KeepAccess
	// RenewAccess makes a new one.
	RenewAccess
)

// Cause says why a line is advanced.
type Cause string

// Why a line is advanced.
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

// Plan is what is to be done, as a value.
type Plan struct {
	// Check is the name of the check that decided.
	Check string
	// Ignore means that neither the Secret nor the status is to be touched.
	Ignore bool
	// Discard means that the key itself is to go, and nothing else is done.
	Discard bool
	// KeepStatus leaves the status as it is; the Secret is what matters.
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
	// Paced advances wait for their turn among many.
	Paced bool

	Secret SecretStep
	// Access goes with WriteSecret.
	Access AccessStep
	// Remove names Secrets of this key that are no longer needed.
	Remove []string

	Verdict Verdict
	// After are the conditions once the Secret is written; nil if Verdict applies then too.
	After *Verdict
	// Next is when to look again if nothing happens before; zero for never.
	Next time.Time

	values  effective
	notices []notice
	failure *Failure
	// written is true if the Secret of the key holds the current token now.
	written bool
}

// Mint is what the next token is to say.
type Mint struct {
	Terms     Terms
	Revision  int64
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Verdict is what the conditions say.
type Verdict struct {
	Ready   bool
	Reason  string
	Message string
	// Reconciling is the reason of the condition of that name; empty while it is not true.
	Reconciling string
	// Waiting is the message of that condition: what the key waits for, and until when.
	Waiting string
	// Stalled: nothing more happens until a user acts.
	Stalled bool
}

func ready(message string) Verdict {
	return Verdict{Ready: true, Reason: v1alpha1.ReasonIssued, Message: message}
}

// waiting returns the conditions of a key that becomes ready without a user: message says why it is not ready, until says what it waits for.
func waiting(reason, message, until string) Verdict {
	return Verdict{Reason: reason, Message: message, Reconciling: reason, Waiting: until}
}

// stalled is for what a user has to clear.
func stalled(reason, message string) Verdict {
	return Verdict{Reason: reason, Message: message, Stalled: true}
}

// StatusFirst tells in which order the plan is written: what becomes of the line is on record
// before the Secret follows it, but for a first token, and Ready is taken back before a token
// is taken away. Otherwise the status comes last, and says what became of the Secret.
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

// AccessLifetime is how long an access token of this key lives at the most.
func (p *Plan) AccessLifetime() time.Duration { return p.values.accessLifetime }

// Terms are what the tokens of this key are to say.
func (p *Plan) Terms() Terms { return p.values.terms }

// Written returns the plan that reports, after this one, that its Secret is written; nil if there is nothing to report.
func (p *Plan) Written() *Plan {
	if p.Secret != WriteSecret || p.After == nil {
		return nil
	}
	return &Plan{Check: p.Check, Verdict: *p.After, values: p.values, notices: p.notices, written: true}
}

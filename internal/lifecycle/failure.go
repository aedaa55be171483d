package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// RetryInterval is the longest time between two tries of a failing write.
const RetryInterval = 30 * time.Second

// Failure is a failed write or deletion of a Secret.
type Failure struct {
	// Name is the name of the Secret.
	Name string
	// Answer is the API server's answer, without any part of a token.
	Answer string
	// Refused is true if a user has to act. Otherwise the write may succeed the next time.
	Refused bool
}

// Failed returns the plan that reports, after this one, that a write of a Secret failed. If a token could
// not be removed from a Secret, the reason of the key's condition stays.
func (p *Plan) Failed(f Failure) *Plan {
	report := &Plan{Check: p.Check, Verdict: p.Verdict, values: p.values, notices: p.notices, failure: &f}
	switch {
	case slices.Contains(p.Remove, f.Name):
		// By then, the Secret of the current name is written.
		if p.After != nil {
			report.Verdict = *p.After
		}
		report.written = p.Secret == WriteSecret
		report.Verdict.Message += fmt.Sprintf(" Secret %q, which the key no longer names, could not be deleted: %s", f.Name, f.Answer)
	case p.Secret == OwnSecret:
		report.Verdict.Message += fmt.Sprintf(" Secret %q has lost its ownerReference, which could not be restored: %s", f.Name, f.Answer)
	case p.Secret == EmptySecret, p.Secret == DeleteSecret:
		report.Verdict.Message += fmt.Sprintf(" Secret %q still holds a token: %s", f.Name, f.Answer)
	default:
		report.Verdict = Unwritten(f)
	}
	return report
}

// Failure returns the failed write that the plan reports; nil if it reports none.
func (p *Plan) Failure() *Failure { return p.failure }

// Unwritten returns the conditions for a Secret that could not be written.
func Unwritten(f Failure) Verdict {
	if f.Refused {
		return stalled(v1alpha1.ReasonSecretRefused, fmt.Sprintf(
			"The API server refuses Secret %q: %s. Look for quotas, admission webhooks and policies that concern Secrets of its namespace.", f.Name, f.Answer))
	}
	return waiting(v1alpha1.ReasonIssuing,
		fmt.Sprintf("Secret %q could not be written: %s", f.Name, f.Answer),
		fmt.Sprintf("The operator retries the write of Secret %q at least every %s until it succeeds.", f.Name, RetryInterval))
}

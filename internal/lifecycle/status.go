package lifecycle

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// Status is what the key's status is once the plan is carried out. It is computed from what
// was observed and never from earlier conditions; token is what was minted or found, and
// is looked at only where the plan makes or adopts one.
func (p *Plan) Status(o *Observed, token *Token, now time.Time) v1alpha1.JWTRefreshKeyStatus {
	status := *o.Key.Status.DeepCopy()
	if p.Ignore || p.Discard || p.KeepStatus {
		return status
	}
	status.ObservedGeneration = o.Key.Generation
	status.Issuer = o.Issuer.Name
	status.Effective = p.values.shown()
	if p.Secret == WriteSecret || (o.Secret.State != SecretForeign && o.Secret.State != SecretLeftOver) {
		// Whose a Secret is depends on this name: it stays the last one that the operator has written.
		status.SecretName = o.Secret.Name
	}
	p.advanceLine(&status, token, now)
	// A token that was found was made before somebody asked, for all that is known.
	if p.Line == IssueFirst || p.Line == AdvanceLine {
		status.LastHandledRotate = HandledRotate(o.Key)
	}
	if p.Line == AdvanceLine && p.values.mode == v1alpha1.RotationOneTimeUse {
		// An enrolment has not been used, and tokens of the one before do not end it.
		status.LastUsedRevision = 0
	}
	status.RenewalTime = p.renewalTime(o, &status)
	p.setConditions(&status, o.Key.Generation, now)
	return status
}

func (p *Plan) advanceLine(status *v1alpha1.JWTRefreshKeyStatus, token *Token, now time.Time) {
	switch p.Line {
	case IssueFirst, AdoptFound, AdvanceLine:
		status.TokenLine = token.Line(p.Previous)
		status.RevokedAt, status.RevocationReason = nil, ""
	case RetireSuperseded:
		status.Previous = p.Previous
	case RevokeLine:
		status.Previous = nil
		if status.RevokedAt == nil {
			status.RevokedAt = &metav1.Time{Time: now.UTC().Truncate(time.Second)}
		}
		status.RevocationReason = p.Revocation
	case KeepLine:
	}
	if len(status.Previous) == 0 {
		status.Previous = nil
	}
}

func (p *Plan) renewalTime(o *Observed, status *v1alpha1.JWTRefreshKeyStatus) *metav1.Time {
	if status.RevokedAt != nil || status.CreatedAt == nil || status.ExpiresAt == nil {
		return nil
	}
	due := p.values.renewal(string(o.Key.UID), status.CreatedAt.Time, status.ExpiresAt.Time)
	if due.IsZero() {
		return nil
	}
	return &metav1.Time{Time: due.UTC()}
}

func (p *Plan) setConditions(status *v1alpha1.JWTRefreshKeyStatus, generation int64, now time.Time) {
	set := func(kind string, value bool, reason string) {
		condition := metav1.Condition{
			Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: p.Verdict.Message,
			ObservedGeneration: generation, LastTransitionTime: metav1.Time{Time: now.UTC().Truncate(time.Second)},
		}
		if value {
			condition.Status = metav1.ConditionTrue
		}
		meta.SetStatusCondition(&status.Conditions, condition)
	}
	setOrRemove := func(kind string, present bool, reason string) {
		if present {
			set(kind, true, reason)
		} else {
			meta.RemoveStatusCondition(&status.Conditions, kind)
		}
	}
	set(v1alpha1.ConditionReady, p.Verdict.Ready, p.Verdict.Reason)
	setOrRemove(v1alpha1.ConditionReconciling, p.Verdict.Reconciling != "", p.Verdict.Reconciling)
	setOrRemove(v1alpha1.ConditionStalled, p.Verdict.Stalled, p.Verdict.Reason)
}

func (e *effective) shown() *v1alpha1.EffectiveValues {
	wholeSeconds := func(d time.Duration) *metav1.Duration {
		return &metav1.Duration{Duration: d.Truncate(time.Second)}
	}
	shown := &v1alpha1.EffectiveValues{
		Lifetime:            wholeSeconds(e.lifetime),
		AccessTokenLifetime: wholeSeconds(e.accessLifetime),
		Subject:             e.terms.Subject,
	}
	if e.mode == v1alpha1.RotationScheduled {
		shown.RenewBefore = wholeSeconds(e.renewBefore)
		shown.Overlap = &v1alpha1.EffectiveOverlap{Quiet: wholeSeconds(e.quiet)}
		if e.overlapMax >= 0 {
			shown.Overlap.Max = wholeSeconds(e.overlapMax)
		}
	}
	return shown
}

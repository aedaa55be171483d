package lifecycle

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// Status returns the key's status after the plan is carried out. It depends on the observed state and never on earlier
// conditions. token is the minted or adopted one; it is used only if the plan mints or adopts a token.
func (p *Plan) Status(o *Observed, token *Token, now time.Time) v1alpha1.JWTRefreshKeyStatus {
	status := *o.Key.Status.DeepCopy()
	if p.Ignore || p.Discard || p.KeepStatus {
		return status
	}
	p.advanceLine(&status, token, now)
	if p.KeepConditions {
		return status
	}
	status.ObservedGeneration = o.Key.Generation
	status.Issuer = o.Issuer.Name
	status.Effective = p.values.shown()
	status.SecretName = p.secretName(o)
	// An adopted token may be older than the rotation request.
	if p.Line == IssueFirst || p.Line == AdvanceLine {
		status.LastHandledRotate = HandledRotate(o.Key)
	}
	if p.Line == AdvanceLine && p.values.mode == v1alpha1.RotationOneTimeUse {
		// A new enrolment is unused, and the use of earlier tokens does not end it.
		status.LastUsedRevision = 0
	}
	status.RenewalTime = p.renewalTime(o, &status)
	p.SetConditions(&status, o.Key.Generation, now)
	return status
}

// secretName returns status.secretName. It changes only when the Secret of the new name exists.
func (p *Plan) secretName(o *Observed) string {
	switch {
	case o.Secret.State == NoSecret:
		return ""
	case o.Secret.State == SecretOwn, p.Line == IssueFirst, p.written:
		return o.Secret.Name
	default:
		return o.Key.Status.SecretName
	}
}

func (p *Plan) advanceLine(status *v1alpha1.JWTRefreshKeyStatus, token *Token, now time.Time) {
	switch p.Line {
	case IssueFirst, AdoptFound, AdvanceLine:
		status.TokenLine = token.Line(p.Previous)
		status.RevokedAt, status.RevocationReason = nil, ""
		if p.Withdraws {
			status.FirstRevision = token.Revision
		}
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

// SetConditions sets the conditions of the plan, and removes all others.
func (p *Plan) SetConditions(status *v1alpha1.JWTRefreshKeyStatus, generation int64, now time.Time) {
	set := func(kind string, value bool, reason, message string) {
		condition := metav1.Condition{
			Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message,
			ObservedGeneration: generation, LastTransitionTime: metav1.Time{Time: now.UTC().Truncate(time.Second)},
		}
		if value {
			condition.Status = metav1.ConditionTrue
		}
		meta.SetStatusCondition(&status.Conditions, condition)
	}
	setOrRemove := func(kind string, present bool, reason, message string) {
		if present {
			set(kind, true, reason, message)
		} else {
			meta.RemoveStatusCondition(&status.Conditions, kind)
		}
	}
	v := &p.Verdict
	set(v1alpha1.ConditionReady, v.Ready, v.Reason, v.Message)
	setOrRemove(v1alpha1.ConditionReconciling, v.Reconciling != "", v.Reconciling, cmp.Or(v.Waiting, v.Message))
	setOrRemove(v1alpha1.ConditionStalled, v.Stalled, v.Reason, v.Message)
	for _, kind := range v1alpha1.NoticeConditions {
		n := noticeOf(p.notices, kind)
		setOrRemove(kind, n.kind != "", n.reason, n.message)
	}
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

package lifecycle

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// ReportInterval is the time within which the token service records a use that a decision waits for.
const ReportInterval = time.Minute

// Times are the ends and times of a refresh key, as its spec and status record them. A zero time stands for none. Times
// does not say whether the key is revoked or deleted, which ends all of its tokens at once.
type Times struct {
	// TokenEnd is the end of the current token (status.expiresAt), in whole seconds.
	TokenEnd time.Time
	// Renewal is when the operator issues the next token (status.renewalTime). It is zero in modes without a schedule, and
	// for a token that lasts to End.
	Renewal time.Time
	// Superseded has the times of each token of status.previous, in that order: the oldest first.
	Superseded []SupersededTimes
	// Idle is when the operator revokes the key if it is not used before: spec.idleTimeout and two ReportInterval after the
	// last use, or after the key became Ready. It is zero while the key is not Ready. After a start of the operator, it can
	// be up to two ReportInterval later.
	Idle time.Time
	// End is the absolute end of the key (spec.expiresAt). Tokens end at LastSecond at the latest.
	End time.Time
	// Grace is the end of rotation.retryGrace since the current token was issued. Until then, the use of the current token
	// of a one-time key makes no next one. It is zero without a grace, and in other modes without effect.
	Grace time.Time

	idleTimeout *metav1.Duration
}

// SupersededTimes are the times of one superseded token.
type SupersededTimes struct {
	// JTI is that of the token.
	JTI string
	// At is when the next token superseded it; zero if that is not on record. Of a token that is not the last one, a zero
	// At counts as long ago, for End and Quiet.
	At time.Time
	// End is the latest time at which the token is refused: its own end, or overlap.max after At if that is earlier.
	End time.Time
	// Quiet is when the recorded use lets the token retire, which is never after End: overlap.quiet after At, or after the
	// last use of a superseded token. It is zero while no use of the current token is on record.
	Quiet time.Time
}

// Timeline returns the ends and times of a key. It uses the overlap in force that status.effective shows; decisions of
// this package use the one of spec.
func Timeline(key *v1alpha1.JWTRefreshKey) Times {
	status := &key.Status
	times := Times{
		TokenEnd: timeOf(status.ExpiresAt), Renewal: timeOf(status.RenewalTime), Idle: idleEnd(key), End: timeOf(key.Spec.ExpiresAt),
		Grace: graceEnd(key, timeOf(status.CreatedAt)), idleTimeout: key.Spec.IdleTimeout,
	}
	overlap := overlapShown(status)
	for i := range status.Previous {
		times.Superseded = append(times.Superseded, supersededTimes(status, i, overlap))
	}
	return times
}

// LastSecond returns the whole second at which every token of the key has ended (spec.expiresAt); zero if the key has no
// End. Tokens end at whole seconds.
func (t Times) LastSecond() time.Time { return t.End.Truncate(time.Second) }

// SupersededEnd returns the latest time at which a superseded token is refused; zero if the key has no such token.
func (t Times) SupersededEnd(jti string) time.Time {
	i := slices.IndexFunc(t.Superseded, func(s SupersededTimes) bool { return s.JTI == jti })
	if i < 0 {
		return time.Time{}
	}
	return t.Superseded[i].End
}

// OverlapEnd returns the latest time at which the oldest superseded token is refused; zero if there is none.
func (t Times) OverlapEnd() time.Time {
	if len(t.Superseded) == 0 {
		return time.Time{}
	}
	return t.Superseded[0].End
}

// IdleAfter returns until when the key can stay unused after a use; zero if spec.idleTimeout is not set. The operator
// revokes the key two ReportInterval later, since it may not know of a later use yet.
func (t Times) IdleAfter(use time.Time) time.Time {
	if t.idleTimeout == nil {
		return time.Time{}
	}
	return use.Add(t.idleTimeout.Duration)
}

// Later returns the later of two times.
func Later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func timeOf(at *metav1.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.Time
}

// overlap is how long superseded tokens are accepted: quiet after the last use, and max at the longest. Negative values
// stand for a value that is not known, and for no maximum.
type overlap struct{ quiet, max time.Duration }

// overlapShown returns the overlap in status.effective.
func overlapShown(status *v1alpha1.JWTRefreshKeyStatus) overlap {
	shown := overlap{quiet: -1, max: -1}
	if status.Effective == nil || status.Effective.Overlap == nil {
		return shown
	}
	if quiet := status.Effective.Overlap.Quiet; quiet != nil {
		shown.quiet = quiet.Duration
	}
	if longest := status.Effective.Overlap.Max; longest != nil {
		shown.max = longest.Duration
	}
	return shown
}

// supersededTimes returns the times of the token status.previous[i] in an overlap.
func supersededTimes(status *v1alpha1.JWTRefreshKeyStatus, i int, o overlap) SupersededTimes {
	token := &status.Previous[i]
	times := SupersededTimes{JTI: token.JTI, At: timeOf(status.CreatedAt), End: token.ExpiresAt.Time}
	switch {
	case i+1 < len(status.Previous):
		// In a damaged status that time can be zero: it counts as long ago, so that the token retires at once.
		times.At = status.Previous[i+1].CreatedAt.Time
	case status.CreatedAt == nil:
		return times
	}
	if end := times.At.Add(o.max); o.max >= 0 && end.Before(times.End) {
		times.End = end
	}
	if o.quiet < 0 || status.LastUsed == nil || status.LastUsedRevision < status.Revision {
		return times
	}
	since := Later(times.At, timeOf(status.SupersededLastUsed))
	if times.Quiet = since.Add(o.quiet); times.End.Before(times.Quiet) {
		times.Quiet = times.End
	}
	return times
}

// idleEnd returns when a key without a later use is revoked; zero if spec.idleTimeout is not set or the key is not
// ready. The time counts from the last use, or from when the key became ready: a key that waits for its issuer cannot be
// used, and a reinstated key begins again. It is two report intervals longer, since recent uses may not be recorded yet.
func idleEnd(key *v1alpha1.JWTRefreshKey) time.Time {
	status := &key.Status
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	if key.Spec.IdleTimeout == nil || status.Revision == 0 || status.RevokedAt != nil || ready == nil || ready.Status != metav1.ConditionTrue {
		return time.Time{}
	}
	since := Later(ready.LastTransitionTime.Time, Later(timeOf(status.LastUsed), timeOf(status.SupersededLastUsed)))
	return since.Add(key.Spec.IdleTimeout.Duration + 2*ReportInterval)
}

// graceEnd returns when the grace that begins at a time ends; zero without a grace, or if that time is not on record. It
// begins for the current token when it is issued, and for a superseded one when the next token supersedes it.
func graceEnd(key *v1alpha1.JWTRefreshKey, from time.Time) time.Time {
	grace := RetryGrace(key)
	if grace == 0 || from.IsZero() {
		return time.Time{}
	}
	return from.Add(grace)
}

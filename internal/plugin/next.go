package plugin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// next is an event that is due for a key.
type next struct {
	// at is zero if there is no fixed time.
	at   time.Time
	what string
}

// upcoming returns what happens next to a key, according to its spec and status: first the events without
// a fixed time, then the others by time.
func upcoming(key *v1alpha1.JWTRefreshKey, now time.Time) []next {
	if over := restartHint(key); over != "" {
		return []next{{what: over}}
	}
	var waiting, timed []next
	for _, one := range slices.Concat(requested(key), renewal(key, now), retirements(key, now), idleness(key), ends(key)) {
		if one.at.IsZero() {
			waiting = append(waiting, one)
		} else {
			timed = append(timed, one)
		}
	}
	slices.SortStableFunc(timed, func(a, b next) int { return a.at.Compare(b.at) })
	return append(waiting, timed...)
}

// restartHint returns, for a key that changes only after an action of a user, what that action is; empty for other keys.
func restartHint(key *v1alpha1.JWTRefreshKey) string {
	again := "`kubectl refreshkey rotate " + key.Name + "` issues a new token"
	stalled := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionStalled)
	switch {
	case key.DeletionTimestamp != nil:
		return "the key is being deleted; its tokens are already refused"
	case key.Spec.Revoked && key.Status.RevokedAt == nil:
		return "every token is already refused; the operator records the revocation"
	case key.Spec.Revoked:
		return "nothing, until spec.revoked is set to false: then a new token is issued"
	case key.Status.RevokedAt != nil && key.Status.Session != nil:
		return "the session is over; the operator removes it a day later. Sign in again to start a new one"
	case key.Status.RevokedAt != nil && len(pending(key)) == 0 && key.Status.RevocationReason != v1alpha1.RevokedRequested:
		return "nothing by itself; " + again
	case readyReason(key) == v1alpha1.ReasonExpired && key.Status.Session != nil:
		return "the session is over; the operator removes it a day later. Sign in again to start a new one"
	case readyReason(key) == v1alpha1.ReasonExpired && modeOf(key) == v1alpha1.RotationNever && key.Spec.ExpiresAt == nil:
		return "nothing by itself; " + again
	case readyReason(key) == v1alpha1.ReasonExpired:
		return "nothing, until spec.expiresAt is set to a later time or removed"
	case stalled != nil && stalled.Status == metav1.ConditionTrue:
		return "nothing, until the cause is fixed: " + stalled.Message
	}
	return ""
}

// pending returns the rotations that an annotation requests and that the operator has not handled.
func pending(key *v1alpha1.JWTRefreshKey) []string {
	handled := strings.Fields(key.Status.LastHandledRotate)
	return slices.DeleteFunc(strings.Fields(lifecycle.HandledRotate(key)), func(requested string) bool { return slices.Contains(handled, requested) })
}

func requested(key *v1alpha1.JWTRefreshKey) []next {
	var waiting []next
	waits := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReconciling)
	switch {
	case waits != nil && waits.Reason == v1alpha1.ReasonOverlapPending:
		waiting = append(waiting, next{what: waits.Message + " `kubectl refreshkey rotate " + key.Name + " --now` does not wait"})
	case waits != nil:
		waiting = append(waiting, next{what: waits.Message})
	case key.Status.Revision == 0:
		waiting = append(waiting, next{what: "the first token is issued"})
	case len(pending(key)) > 0 && key.Status.Session == nil:
		waiting = append(waiting, next{what: "the operator carries out the requested rotation"})
	case key.Status.RevokedAt != nil:
		waiting = append(waiting, next{what: "the key is no longer revoked, and a new token is issued"})
	}
	return waiting
}

func renewal(key *v1alpha1.JWTRefreshKey, now time.Time) []next {
	switch at := key.Status.RenewalTime; {
	case key.Status.RevokedAt != nil:
		return nil
	case modeOf(key) == v1alpha1.RotationOneTimeUse && key.Status.Revision > 0:
		return []next{{what: "each use returns the next token; a token that is used again after retryGrace revokes the key"}}
	case at != nil && at.Time.Before(now):
		return []next{{at: at.Time, what: "the next token is overdue: is the manager running?"}}
	case at != nil:
		return []next{{at: at.Time, what: "the next token is issued; the current one stays valid for the overlap"}}
	}
	return nil
}

// retirements returns when the superseded tokens end. It follows internal/lifecycle as far as the status allows.
func retirements(key *v1alpha1.JWTRefreshKey, now time.Time) []next {
	status := &key.Status
	var all []next
	for i, token := range status.Previous {
		supersededAt := status.CreatedAt
		if i+1 < len(status.Previous) {
			supersededAt = &status.Previous[i+1].CreatedAt
		}
		name := fmt.Sprintf("revision %d", token.Revision)
		latest := token.ExpiresAt.Time
		var overlap v1alpha1.EffectiveOverlap
		if status.Effective != nil && status.Effective.Overlap != nil {
			overlap = *status.Effective.Overlap
		}
		if overlap.Max != nil && supersededAt != nil {
			latest = earlier(latest, supersededAt.Add(overlap.Max.Duration))
		}
		switch {
		case overlap.Quiet == nil || supersededAt == nil:
			all = append(all, next{at: latest, what: name + " ends"})
		case status.LastUsed == nil || status.LastUsedRevision < status.Revision:
			all = append(all,
				next{what: fmt.Sprintf("%s retires once revision %d has been used and %s has been unused for %s", name, status.Revision, name, short(overlap.Quiet.Duration))},
				next{at: latest, what: name + " is refused from then on, even if it is still in use"})
		default:
			quiet := supersededAt.Time
			if used := status.SupersededLastUsed; used != nil && used.After(quiet) {
				quiet = used.Time
			}
			end := earlier(latest, quiet.Add(overlap.Quiet.Duration))
			if !end.After(now) {
				all = append(all, next{what: name + " retires when the operator next reconciles the key"})
				continue
			}
			all = append(all, next{at: end, what: name + " retires, unless it is used before then"})
		}
	}
	return all
}

// idleness returns when an unused key is revoked: two lifecycle.ReportInterval after its idle timeout.
func idleness(key *v1alpha1.JWTRefreshKey) []next {
	ready := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReady)
	if key.Spec.IdleTimeout == nil || ready == nil || ready.Status != metav1.ConditionTrue {
		return nil
	}
	since := ready.LastTransitionTime.Time
	for _, used := range []*metav1.Time{key.Status.LastUsed, key.Status.SupersededLastUsed} {
		if used != nil && used.After(since) {
			since = used.Time
		}
	}
	return []next{{at: since.Add(key.Spec.IdleTimeout.Duration + 2*lifecycle.ReportInterval), what: "the key is revoked, unless it is used before then"}}
}

func ends(key *v1alpha1.JWTRefreshKey) []next {
	var all []next
	end := key.Status.ExpiresAt
	last := key.Spec.ExpiresAt
	if end != nil && key.Status.RevokedAt == nil && (last == nil || end.Time.Before(last.Time)) {
		all = append(all, next{at: end.Time, what: fmt.Sprintf("revision %d, the current token, ends", key.Status.Revision)})
	}
	if last != nil {
		all = append(all, next{at: last.Time, what: "the key ends permanently (spec.expiresAt)"})
	}
	return all
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// short formats a duration without units that are zero at its end: 720h, 20m, 1h30m.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

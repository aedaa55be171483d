// Package outlook says what happens next to a refresh key, and when, for people: `kubectl refreshkey describe` prints it, with
// its own words for the actions.
//
// It is pure: it takes a refresh key and the time, and returns values. What happens is decided in internal/lifecycle; the
// outlook follows it as far as the spec and the status of a key allow.
package outlook

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/span"
)

// What is the kind of an event, for programs.
type What int

// The kinds of events.
const (
	// Blocked: nothing happens by itself. The sentence says what a user can do, if anything.
	Blocked What = iota
	// Waiting: the operator acts soon, or waits for what the sentence says.
	Waiting
	// Renewal: the operator issues the next token.
	Renewal
	// Use: the next token comes with the next use, of a one-time key.
	Use
	// Retirement: a superseded token ends, since the current one is used instead.
	Retirement
	// SupersededEnd: a superseded token ends, even if it is still in use.
	SupersededEnd
	// IdleEnd: the operator revokes the key, which was not used for spec.idleTimeout.
	IdleEnd
	// TokenEnd: the current token ends.
	TokenEnd
	// KeyEnd: the key ends, with all of its tokens.
	KeyEnd
)

// Action is what a user can do with a tool about an event. The tool words it, after the sentence of the event.
type Action int

// The actions.
const (
	// NoAction: there is none, or the sentence says it.
	NoAction Action = iota
	// Rotate: the annotation rotate asks for a new token, which no other cause makes.
	Rotate
	// RotateNow: the annotation rotate-now asks for the next token without waiting, and ends all earlier ones.
	RotateNow
)

// Event is something that happens next to a key.
type Event struct {
	// What is the kind of the event.
	What What
	// At is when it happens; zero if there is no fixed time.
	At time.Time
	// Sentence says to people what happens. It names no time, and no command of a tool.
	Sentence string
	// Action is what a user can do about the event.
	Action Action
}

// Of returns what happens next to a key, according to its spec and status: first the events without a fixed time, then
// the others by time.
func Of(key *v1alpha1.JWTRefreshKey, now time.Time) []Event {
	if over, action := restartHint(key); over != "" {
		return []Event{{What: Blocked, Sentence: over, Action: action}}
	}
	times := lifecycle.Timeline(key)
	var waiting, timed []Event
	for _, one := range slices.Concat(requested(key), renewal(key, &times, now), retirements(key, &times, now), idleness(&times), ends(key, &times)) {
		if one.At.IsZero() {
			waiting = append(waiting, one)
		} else {
			timed = append(timed, one)
		}
	}
	slices.SortStableFunc(timed, func(a, b Event) int { return a.At.Compare(b.At) })
	return append(waiting, timed...)
}

// restartHint returns, for a key that changes only after an action of a user, what happens and the action if a tool can make
// it; empty for other keys.
func restartHint(key *v1alpha1.JWTRefreshKey) (sentence string, action Action) {
	stalled := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionStalled)
	switch {
	case key.DeletionTimestamp != nil:
		return "the key is being deleted; its tokens are already refused", NoAction
	case key.Spec.Revoked && key.Status.RevokedAt == nil:
		return "every token is already refused; the operator records the revocation", NoAction
	case key.Spec.Revoked:
		return "nothing, until spec.revoked is set to false: then a new token is issued", NoAction
	case key.Status.RevokedAt != nil && key.Status.Session != nil:
		return "the session is over; the operator removes it a day later. Sign in again to start a new one", NoAction
	case key.Status.RevokedAt != nil && len(lifecycle.PendingRotations(key)) == 0 && key.Status.RevocationReason != v1alpha1.RevokedRequested:
		return "nothing by itself", Rotate
	case ReadyReason(key) == v1alpha1.ReasonExpired && key.Status.Session != nil:
		return "the session is over; the operator removes it a day later. Sign in again to start a new one", NoAction
	case ReadyReason(key) == v1alpha1.ReasonExpired && lifecycle.Mode(key) == v1alpha1.RotationNever && key.Spec.ExpiresAt == nil:
		return "nothing by itself", Rotate
	case ReadyReason(key) == v1alpha1.ReasonExpired:
		return "nothing, until spec.expiresAt is set to a later time or removed", NoAction
	case stalled != nil && stalled.Status == metav1.ConditionTrue:
		return "nothing, until the cause is fixed: " + stalled.Message, NoAction
	}
	return "", NoAction
}

func requested(key *v1alpha1.JWTRefreshKey) []Event {
	waits := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReconciling)
	switch {
	case waits != nil && waits.Reason == v1alpha1.ReasonOverlapPending:
		return []Event{{What: Waiting, Sentence: waits.Message, Action: RotateNow}}
	case waits != nil:
		return []Event{{What: Waiting, Sentence: waits.Message}}
	case key.Status.Revision == 0:
		return []Event{{What: Waiting, Sentence: "the first token is issued"}}
	case len(lifecycle.PendingRotations(key)) > 0 && key.Status.Session == nil:
		return []Event{{What: Waiting, Sentence: "the operator carries out the requested rotation"}}
	case key.Status.RevokedAt != nil:
		return []Event{{What: Waiting, Sentence: "the key is no longer revoked, and a new token is issued"}}
	}
	return nil
}

func renewal(key *v1alpha1.JWTRefreshKey, times *lifecycle.Times, now time.Time) []Event {
	switch {
	case key.Status.RevokedAt != nil:
		return nil
	case lifecycle.OneTime(key) && key.Status.Revision > 0:
		return []Event{{What: Use, Sentence: "each use returns the next token; a token that is used again after retryGrace revokes the key"}}
	case times.Renewal.IsZero():
		return nil
	case times.Renewal.Before(now):
		return []Event{{What: Renewal, At: times.Renewal, Sentence: "the next token is overdue: is the manager running?"}}
	default:
		return []Event{{What: Renewal, At: times.Renewal, Sentence: "the next token is issued; the current one stays valid for the overlap"}}
	}
}

// retirements returns when the superseded tokens end.
func retirements(key *v1alpha1.JWTRefreshKey, times *lifecycle.Times, now time.Time) []Event {
	status := &key.Status
	var quiet *metav1.Duration
	if status.Effective != nil && status.Effective.Overlap != nil {
		quiet = status.Effective.Overlap.Quiet
	}
	var all []Event
	for i, token := range times.Superseded {
		name := fmt.Sprintf("revision %d", status.Previous[i].Revision)
		switch {
		case quiet == nil || token.At.IsZero():
			all = append(all, Event{What: SupersededEnd, At: token.End, Sentence: name + " ends"})
		case token.Quiet.IsZero():
			all = append(all,
				Event{What: Retirement, Sentence: fmt.Sprintf("%s retires once revision %d has been used and %s has been unused for %s", name, status.Revision, name, span.Short(quiet.Duration))},
				Event{What: SupersededEnd, At: token.End, Sentence: name + " is refused from then on, even if it is still in use"})
		case !token.Quiet.After(now):
			all = append(all, Event{What: Retirement, Sentence: name + " retires when the operator next reconciles the key"})
		default:
			all = append(all, Event{What: Retirement, At: token.Quiet, Sentence: name + " retires, unless it is used before then"})
		}
	}
	return all
}

// idleness returns when an unused key is revoked.
func idleness(times *lifecycle.Times) []Event {
	if times.Idle.IsZero() {
		return nil
	}
	return []Event{{What: IdleEnd, At: times.Idle, Sentence: "the key is revoked, unless it is used before then"}}
}

func ends(key *v1alpha1.JWTRefreshKey, times *lifecycle.Times) []Event {
	var all []Event
	if !times.TokenEnd.IsZero() && key.Status.RevokedAt == nil && (times.End.IsZero() || times.TokenEnd.Before(times.End)) {
		all = append(all, Event{What: TokenEnd, At: times.TokenEnd, Sentence: fmt.Sprintf("revision %d, the current token, ends", key.Status.Revision)})
	}
	if !times.End.IsZero() {
		all = append(all, Event{What: KeyEnd, At: times.End, Sentence: "the key ends permanently (spec.expiresAt)"})
	}
	return all
}

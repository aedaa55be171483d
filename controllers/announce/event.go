// Package announce sends the events about an object, and selects those that a change of its conditions needs.
package announce

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// Event is an event about an object. The recorder sends it asynchronously.
type Event struct {
	// Kind is Normal or Warning, Reason and Action are names, and Note is a sentence.
	Kind, Reason, Action, Note string
	// Related is another object that the event is about; nil for none. The recorder aggregates events that differ only in the note.
	Related runtime.Object
}

// Send sends the event about an object. It shortens a note that is too long for the API server.
func (a *Event) Send(recorder events.EventRecorder, object runtime.Object) {
	note := a.Note
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote-len(more)], "") + more
	}
	recorder.Eventf(object, a.Related, a.Kind, a.Reason, a.Action, "%s", note)
}

// maxNote is the longest note of an event, in bytes, that the API server accepts.
const (
	maxNote = 1024
	more    = " ..."
)

// SecretAltered returns the event for a Secret that admission changes when the operator writes it.
func SecretAltered(secret, differences string) *Event {
	return &Event{Kind: corev1.EventTypeWarning, Reason: "SecretAltered", Action: "WriteSecret",
		Note: fmt.Sprintf("An admission webhook or policy changes Secret %q when the operator writes it: %s. The operator does not change it back. Exclude the Secrets that a JWTRefreshKey owns from the webhook or policy.", secret, differences)}
}

// Condition returns the event for a condition that has another reason than before.
func Condition(kind string, condition *metav1.Condition) *Event {
	return &Event{Kind: kind, Reason: condition.Reason, Action: "Reconcile", Note: condition.Message}
}

// Newly returns a condition that is new or has a new reason; nil otherwise.
func Newly(before, after []metav1.Condition, kind string) *metav1.Condition {
	now, earlier := meta.FindStatusCondition(after, kind), meta.FindStatusCondition(before, kind)
	if now == nil || (earlier != nil && earlier.Reason == now.Reason) {
		return nil
	}
	return now
}

// Turned returns the events for a condition Ready that became False for another reason, and for a wait that began. A
// wait that prevents Ready has one event, which says what the object waits for.
func Turned(before, after []metav1.Condition) (events []*Event) {
	ready, waits := Newly(before, after, v1alpha1.ConditionReady), Newly(before, after, v1alpha1.ConditionReconciling)
	unready := ready != nil && ready.Status != metav1.ConditionTrue
	switch {
	case waits != nil && unready && waits.Reason == ready.Reason && waits.Reason != v1alpha1.ReasonIssuing:
		return []*Event{Condition(corev1.EventTypeWarning, waits)}
	case waits != nil:
		events = append(events, Condition(corev1.EventTypeNormal, waits))
	}
	if unready && (waits == nil || waits.Reason != ready.Reason) {
		events = append(events, Condition(corev1.EventTypeWarning, ready))
	}
	return events
}

package controllers

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// announcement is an event about an object. The recorder sends it asynchronously.
type announcement struct {
	kind, reason, action, note string
	// related is another object that the event is about; nil for none. The recorder aggregates events that differ only in the note.
	related runtime.Object
}

func (a *announcement) send(recorder events.EventRecorder, object runtime.Object) {
	note := a.note
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote-len(more)], "") + more
	}
	recorder.Eventf(object, a.related, a.kind, a.reason, a.action, "%s", note)
}

// maxNote is the longest note of an event, in bytes, that the API server accepts.
const (
	maxNote = 1024
	more    = " ..."
)

func issuedEvent(key *v1alpha1.JWTRefreshKey) *announcement {
	return &announcement{corev1.EventTypeNormal, v1alpha1.ReasonIssued, "Issue",
		fmt.Sprintf("Issued revision %d for %s.", key.Status.Revision, key.Spec.Audience), nil}
}

func adoptedEvent(key *v1alpha1.JWTRefreshKey) *announcement {
	return &announcement{corev1.EventTypeNormal, v1alpha1.ReasonIssued, "Adopt",
		fmt.Sprintf("Recorded revision %d, which the Secret already held.", key.Status.Revision), nil}
}

func rotatedEvent(key *v1alpha1.JWTRefreshKey, plan *lifecycle.Plan) *announcement {
	note := fmt.Sprintf("Issued revision %d: %s.", key.Status.Revision, plan.Cause)
	if plan.Detail != "" {
		note = fmt.Sprintf("Issued revision %d: %s (%s).", key.Status.Revision, plan.Cause, plan.Detail)
	}
	return &announcement{corev1.EventTypeNormal, "Rotated", "Rotate", note, nil}
}

func retiredEvent(retired int) *announcement {
	return &announcement{corev1.EventTypeNormal, "Retired", "Retire", fmt.Sprintf("Retired %d superseded token(s).", retired), nil}
}

func revokedEvent(key *v1alpha1.JWTRefreshKey) *announcement {
	return &announcement{corev1.EventTypeNormal, v1alpha1.ReasonRevoked, "Revoke",
		fmt.Sprintf("Revoked, with every token up to revision %d: %s.", key.Status.Revision, key.Status.RevocationReason), nil}
}

func alteredEvent(secret, differences string) *announcement {
	return &announcement{corev1.EventTypeWarning, "SecretAltered", "WriteSecret",
		fmt.Sprintf("An admission webhook or policy changes Secret %q when the operator writes it: %s. The operator does not change it back. Exclude the Secrets that a JWTRefreshKey owns from the webhook or policy.", secret, differences), nil}
}

func restartedEvent(key *v1alpha1.JWTRefreshKey, reference v1alpha1.WorkloadReference) *announcement {
	return &announcement{corev1.EventTypeNormal, "Restarted", "Restart",
		fmt.Sprintf("Restarted %s %s for revision %d.", reference.Kind, reference.Name, key.Status.Revision), workloadOf(key, reference)}
}

func restartFailedEvent(key *v1alpha1.JWTRefreshKey, reference v1alpha1.WorkloadReference, why string) *announcement {
	return &announcement{corev1.EventTypeWarning, "RestartFailed", "Restart",
		fmt.Sprintf("Could not restart %s %s for revision %d: %s", reference.Kind, reference.Name, key.Status.Revision, why), workloadOf(key, reference)}
}

func workloadOf(key *v1alpha1.JWTRefreshKey, reference v1alpha1.WorkloadReference) runtime.Object {
	workload := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: reference.Name}}
	workload.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(reference.Kind))
	return workload
}

// secretEvent returns the event for a Secret that could not be written, emptied or deleted, with the message of Ready.
func secretEvent(conditions []metav1.Condition) *announcement {
	return &announcement{corev1.EventTypeWarning, v1alpha1.ReasonSecretRefused, "WriteSecret",
		meta.FindStatusCondition(conditions, v1alpha1.ConditionReady).Message, nil}
}

// conditionEvent returns the event for a condition that has another reason than before.
func conditionEvent(kind string, condition *metav1.Condition) *announcement {
	return &announcement{kind, condition.Reason, "Reconcile", condition.Message, nil}
}

// newly returns a condition that is new or has a new reason; nil otherwise.
func newly(before, after []metav1.Condition, kind string) *metav1.Condition {
	now, earlier := meta.FindStatusCondition(after, kind), meta.FindStatusCondition(before, kind)
	if now == nil || (earlier != nil && earlier.Reason == now.Reason) {
		return nil
	}
	return now
}

// turned returns the events for a condition Ready that became False for another reason, and for a wait that began. A
// wait that prevents Ready has one event, which says what the object waits for.
func turned(before, after []metav1.Condition) (events []*announcement) {
	ready, waits := newly(before, after, v1alpha1.ConditionReady), newly(before, after, v1alpha1.ConditionReconciling)
	unready := ready != nil && ready.Status != metav1.ConditionTrue
	switch {
	case waits != nil && unready && waits.Reason == ready.Reason && waits.Reason != v1alpha1.ReasonIssuing:
		return []*announcement{conditionEvent(corev1.EventTypeWarning, waits)}
	case waits != nil:
		events = append(events, conditionEvent(corev1.EventTypeNormal, waits))
	}
	if unready && (waits == nil || waits.Reason != ready.Reason) {
		events = append(events, conditionEvent(corev1.EventTypeWarning, ready))
	}
	return events
}

// announce sends events for the changes between two statuses of a key.
func (r *RefreshKeyReconciler) announce(key *v1alpha1.JWTRefreshKey, before *v1alpha1.JWTRefreshKeyStatus, plan *lifecycle.Plan) {
	for _, kind := range v1alpha1.NoticeConditions {
		if notice := newly(before.Conditions, key.Status.Conditions, kind); notice != nil {
			conditionEvent(corev1.EventTypeWarning, notice).send(r.Events, key)
		}
	}
	if plan.Failure() != nil {
		if !readyUnchanged(key.Status.Conditions, before.Conditions) {
			secretEvent(key.Status.Conditions).send(r.Events, key)
		}
		return
	}
	switch plan.Line {
	case lifecycle.IssueFirst:
		issuedEvent(key).send(r.Events, key)
	case lifecycle.AdoptFound:
		adoptedEvent(key).send(r.Events, key)
	case lifecycle.AdvanceLine:
		rotatedEvent(key, plan).send(r.Events, key)
	case lifecycle.RetireSuperseded:
		retiredEvent(len(before.Previous)-len(key.Status.Previous)).send(r.Events, key)
	case lifecycle.RevokeLine:
		revokedEvent(key).send(r.Events, key)
		if plan.Verdict.Reason == v1alpha1.ReasonRevoked {
			return
		}
	case lifecycle.KeepLine:
	}
	for _, event := range turned(before.Conditions, key.Status.Conditions) {
		event.send(r.Events, key)
	}
}

// readyUnchanged reports whether reason and message of Ready are unchanged.
func readyUnchanged(after, before []metav1.Condition) bool {
	now, earlier := meta.FindStatusCondition(after, v1alpha1.ConditionReady), meta.FindStatusCondition(before, v1alpha1.ConditionReady)
	return now != nil && earlier != nil && now.Reason == earlier.Reason && now.Message == earlier.Message
}

package controllers

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// announcement is something worth telling of an object. It is sent only when something changed,
// and never waited for.
type announcement struct {
	kind, reason, action, note string
}

func (a *announcement) send(recorder events.EventRecorder, object runtime.Object) {
	note := a.note
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote-len(more)], "") + more
	}
	recorder.Eventf(object, nil, a.kind, a.reason, a.action, "%s", note)
}

// maxNote is the longest note, in bytes, that the API server takes of an event.
const (
	maxNote = 1024
	more    = " ..."
)

func issuedEvent(key *v1alpha1.JWTRefreshKey) *announcement {
	return &announcement{corev1.EventTypeNormal, v1alpha1.ReasonIssued, "Issue",
		fmt.Sprintf("Issued revision %d for %s.", key.Status.Revision, key.Spec.Audience)}
}

func adoptedEvent(key *v1alpha1.JWTRefreshKey) *announcement {
	return &announcement{corev1.EventTypeNormal, v1alpha1.ReasonIssued, "Adopt",
		fmt.Sprintf("Recorded revision %d, which was in the Secret already.", key.Status.Revision)}
}

func rotatedEvent(key *v1alpha1.JWTRefreshKey, plan *lifecycle.Plan) *announcement {
	note := fmt.Sprintf("Issued revision %d: %s.", key.Status.Revision, plan.Cause)
	if plan.Detail != "" {
		note = fmt.Sprintf("Issued revision %d: %s (%s).", key.Status.Revision, plan.Cause, plan.Detail)
	}
	return &announcement{corev1.EventTypeNormal, "Rotated", "Rotate", note}
}

func retiredEvent(retired int) *announcement {
	return &announcement{corev1.EventTypeNormal, "Retired", "Retire", fmt.Sprintf("Retired %d superseded token(s).", retired)}
}

func revokedEvent(key *v1alpha1.JWTRefreshKey) *announcement {
	return &announcement{corev1.EventTypeNormal, v1alpha1.ReasonRevoked, "Revoke",
		fmt.Sprintf("Revoked, with every token up to revision %d: %s.", key.Status.Revision, key.Status.RevocationReason)}
}

func alteredEvent(secret, differences string) *announcement {
	return &announcement{corev1.EventTypeWarning, "SecretAltered", "WriteSecret",
		fmt.Sprintf("An admission webhook or policy changes Secret %q when the operator writes it: %s. The operator leaves this as it is. Exclude the Secrets that a JWTRefreshKey owns from it.", secret, differences)}
}

func restartedEvent(key *v1alpha1.JWTRefreshKey, reference v1alpha1.WorkloadReference) *announcement {
	return &announcement{corev1.EventTypeNormal, "Restarted", "Restart",
		fmt.Sprintf("Restarted %s %s for revision %d.", reference.Kind, reference.Name, key.Status.Revision)}
}

// conditionEvent tells of a condition Ready that turned to another reason.
func conditionEvent(ready *metav1.Condition) *announcement {
	kind := corev1.EventTypeNormal
	if ready.Status != metav1.ConditionTrue {
		kind = corev1.EventTypeWarning
	}
	return &announcement{kind, ready.Reason, "Reconcile", ready.Message}
}

// announce sends what changed between two statuses of a key.
func (r *RefreshKeyReconciler) announce(key *v1alpha1.JWTRefreshKey, before *v1alpha1.JWTRefreshKeyStatus, plan *lifecycle.Plan) {
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
	ready := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReady)
	earlier := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionReady)
	if ready != nil && ready.Status != metav1.ConditionTrue && (earlier == nil || earlier.Reason != ready.Reason) {
		conditionEvent(ready).send(r.Events, key)
	}
}

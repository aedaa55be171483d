package refreshkey

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/announce"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// announce sends events for the changes between two statuses of a key.
func (r *Reconciler) announce(key *v1alpha1.JWTRefreshKey, before *v1alpha1.JWTRefreshKeyStatus, plan *lifecycle.Plan) {
	for _, kind := range v1alpha1.NoticeConditions {
		if notice := announce.Newly(before.Conditions, key.Status.Conditions, kind); notice != nil {
			announce.Condition(corev1.EventTypeWarning, notice).Send(r.events, key)
		}
	}
	if plan.Failure() != nil {
		if !readyUnchanged(key.Status.Conditions, before.Conditions) {
			secretEvent(key.Status.Conditions).Send(r.events, key)
		}
		return
	}
	switch plan.Line {
	case lifecycle.IssueFirst:
		issuedEvent(key).Send(r.events, key)
	case lifecycle.AdoptFound:
		adoptedEvent(key).Send(r.events, key)
	case lifecycle.AdvanceLine:
		rotatedEvent(key, plan).Send(r.events, key)
	case lifecycle.RetireSuperseded:
		retiredEvent(len(before.Previous)-len(key.Status.Previous)).Send(r.events, key)
	case lifecycle.RevokeLine:
		revokedEvent(key).Send(r.events, key)
		if plan.Verdict.Reason == v1alpha1.ReasonRevoked {
			return
		}
	case lifecycle.KeepLine:
	}
	for _, event := range announce.Turned(before.Conditions, key.Status.Conditions) {
		event.Send(r.events, key)
	}
}

// readyUnchanged reports whether reason and message of Ready are unchanged.
func readyUnchanged(after, before []metav1.Condition) bool {
	now, earlier := meta.FindStatusCondition(after, v1alpha1.ConditionReady), meta.FindStatusCondition(before, v1alpha1.ConditionReady)
	return now != nil && earlier != nil && now.Reason == earlier.Reason && now.Message == earlier.Message
}

func issuedEvent(key *v1alpha1.JWTRefreshKey) *announce.Event {
	return &announce.Event{Kind: corev1.EventTypeNormal, Reason: v1alpha1.ReasonIssued, Action: "Issue",
		Note: fmt.Sprintf("Issued revision %d for %s.", key.Status.Revision, key.Spec.Audience)}
}

func adoptedEvent(key *v1alpha1.JWTRefreshKey) *announce.Event {
	return &announce.Event{Kind: corev1.EventTypeNormal, Reason: v1alpha1.ReasonIssued, Action: "Adopt",
		Note: fmt.Sprintf("Recorded revision %d, which the Secret already held.", key.Status.Revision)}
}

func rotatedEvent(key *v1alpha1.JWTRefreshKey, plan *lifecycle.Plan) *announce.Event {
	note := fmt.Sprintf("Issued revision %d: %s.", key.Status.Revision, plan.Cause)
	if plan.Detail != "" {
		note = fmt.Sprintf("Issued revision %d: %s (%s).", key.Status.Revision, plan.Cause, plan.Detail)
	}
	return &announce.Event{Kind: corev1.EventTypeNormal, Reason: "Rotated", Action: "Rotate", Note: note}
}

func retiredEvent(retired int) *announce.Event {
	return &announce.Event{Kind: corev1.EventTypeNormal, Reason: "Retired", Action: "Retire",
		Note: fmt.Sprintf("Retired %d superseded token(s).", retired)}
}

func revokedEvent(key *v1alpha1.JWTRefreshKey) *announce.Event {
	return &announce.Event{Kind: corev1.EventTypeNormal, Reason: v1alpha1.ReasonRevoked, Action: "Revoke",
		Note: fmt.Sprintf("Revoked, with every token up to revision %d: %s.", key.Status.Revision, key.Status.RevocationReason)}
}

// secretEvent returns the event for a Secret that could not be written, emptied or deleted, with the message of Ready.
func secretEvent(conditions []metav1.Condition) *announce.Event {
	return &announce.Event{Kind: corev1.EventTypeWarning, Reason: v1alpha1.ReasonSecretRefused, Action: "WriteSecret",
		Note: meta.FindStatusCondition(conditions, v1alpha1.ConditionReady).Message}
}

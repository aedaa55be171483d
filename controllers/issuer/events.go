package issuer

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/announce"
)

// announce sends events for the changes between two statuses of an issuer.
func (r *Reconciler) announce(issuer *v1alpha1.JWTIssuer, before *v1alpha1.JWTIssuerStatus) {
	if ready := announce.Newly(before.Conditions, issuer.Status.Conditions, v1alpha1.ConditionReady); ready != nil && ready.Status == metav1.ConditionTrue {
		announce.Condition(corev1.EventTypeNormal, ready).Send(r.events, issuer)
	}
	for _, event := range announce.Turned(before.Conditions, issuer.Status.Conditions) {
		event.Send(r.events, issuer)
	}
	r.announceTrust(issuer, before)
	states := map[string]v1alpha1.KeyState{}
	for _, key := range before.Keys {
		states[key.KID] = key.State
	}
	for _, key := range issuer.Status.Keys {
		if states[key.KID] != key.State {
			keyEvent(&key).Send(r.events, issuer)
		}
		delete(states, key.KID)
	}
	for kid := range states {
		keyRemovedEvent(kid).Send(r.events, issuer)
	}
}

// announceTrust sends an event when a finding begins or changes.
func (r *Reconciler) announceTrust(issuer *v1alpha1.JWTIssuer, before *v1alpha1.JWTIssuerStatus) {
	if found := announce.Newly(before.Conditions, issuer.Status.Conditions, v1alpha1.ConditionTrustBundle); found != nil {
		announce.Condition(corev1.EventTypeWarning, found).Send(r.events, issuer)
	}
}

func keyEvent(key *v1alpha1.SigningKeyStatus) *announce.Event {
	return &announce.Event{Kind: corev1.EventTypeNormal, Reason: "Key" + string(key.State), Action: "RotateKeys",
		Note: fmt.Sprintf("Signing key %s of the %s ring is %s.", key.KID, key.Use, key.State)}
}

func keyRemovedEvent(kid string) *announce.Event {
	return &announce.Event{Kind: corev1.EventTypeNormal, Reason: "KeyRemoved", Action: "RotateKeys",
		Note: fmt.Sprintf("Signing key %s was removed from its ring.", kid)}
}

package controllers

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// apply writes the keys first and then says so: what status shows is always there.
func (r *IssuerReconciler) apply(ctx context.Context, o *issuerObservation, plan *issuerPlan) error {
	if plan.rings != nil {
		if err := r.writeKeys(ctx, o, plan.rings); err != nil {
			return r.reportRefusal(ctx, o, err)
		}
	}
	return r.writeStatus(ctx, o, plan)
}

// reportRefusal puts a refused Secret into the status; the write is tried again with back-off.
func (r *IssuerReconciler) reportRefusal(ctx context.Context, o *issuerObservation, err error) error {
	var refused *refusedError
	if !errors.As(err, &refused) {
		return err
	}
	report := &issuerPlan{keys: o.issuer.Status.Keys, verdict: stalledIssuer(v1alpha1.ReasonSecretRefused, refused.Error())}
	return errors.Join(err, r.writeStatus(ctx, o, report))
}

// writeKeys creates the Secret, or updates it under the resourceVersion that was read: of
// two managers that start together, one makes the keys and the other finds them.
func (r *IssuerReconciler) writeKeys(ctx context.Context, o *issuerObservation, rings *keyring.Rings) error {
	data, err := keyring.Encode(rings)
	if err != nil {
		return err
	}
	name := signingKeysName(o.issuer.Name)
	if o.secret == nil {
		return secretWriteError(name, r.Client.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: name, Labels: signingKeysLabels(o.issuer.Name)},
			Type:       corev1.SecretTypeOpaque,
			Data:       data,
		}))
	}
	secret := o.secret.DeepCopy()
	secret.Data = data
	for label, value := range signingKeysLabels(o.issuer.Name) {
		metav1.SetMetaDataLabel(&secret.ObjectMeta, label, value)
	}
	return secretWriteError(name, r.Client.Update(ctx, secret))
}

func signingKeysLabels(issuer string) map[string]string {
	return map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelSigningKeysOf: issuer}
}

// writeStatus is the one place that writes the status of an issuer, under the
// resourceVersion that was decided on and only when something changed.
func (r *IssuerReconciler) writeStatus(ctx context.Context, o *issuerObservation, plan *issuerPlan) error {
	status := o.issuer.Status.DeepCopy()
	status.ObservedGeneration = o.issuer.Generation
	status.Keys = plan.keys
	status.TokenEndpoint = tokenEndpoint(o.issuer)
	status.JWKSURI = jwksURI(o.issuer)
	r.setConditions(status, o.issuer.Generation, plan.verdict)
	r.setTrust(status, o.issuer.Generation, o.trust)
	if equality.Semantic.DeepEqual(&o.issuer.Status, status) {
		return nil
	}
	updated := o.issuer.DeepCopy()
	updated.Status = *status
	if err := r.Client.Status().Update(ctx, updated); err != nil {
		return err
	}
	r.announce(updated, &o.issuer.Status)
	return nil
}

func (r *IssuerReconciler) setConditions(status *v1alpha1.JWTIssuerStatus, generation int64, verdict issuerVerdict) {
	now := metav1.Time{Time: r.Clock.Now().UTC()}
	set := func(kind string, value metav1.ConditionStatus) {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: kind, Status: value, Reason: verdict.reason, Message: verdict.message,
			ObservedGeneration: generation, LastTransitionTime: now,
		})
	}
	for kind, present := range map[string]bool{v1alpha1.ConditionReconciling: verdict.reconciling, v1alpha1.ConditionStalled: verdict.stalled} {
		if present {
			set(kind, metav1.ConditionTrue)
		} else {
			meta.RemoveStatusCondition(&status.Conditions, kind)
		}
	}
	if verdict.ready {
		set(v1alpha1.ConditionReady, metav1.ConditionTrue)
	} else {
		set(v1alpha1.ConditionReady, metav1.ConditionFalse)
	}
}

// announce sends what changed between two statuses of an issuer.
func (r *IssuerReconciler) announce(issuer *v1alpha1.JWTIssuer, before *v1alpha1.JWTIssuerStatus) {
	ready := meta.FindStatusCondition(issuer.Status.Conditions, v1alpha1.ConditionReady)
	earlier := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionReady)
	if earlier == nil || earlier.Reason != ready.Reason {
		conditionEvent(ready).send(r.Events, issuer)
	}
	r.announceTrust(issuer, before)
	states := map[string]v1alpha1.KeyState{}
	for _, key := range before.Keys {
		states[key.KID] = key.State
	}
	for _, key := range issuer.Status.Keys {
		if states[key.KID] != key.State {
			keyEvent(&key).send(r.Events, issuer)
		}
		delete(states, key.KID)
	}
	for kid := range states {
		keyRemovedEvent(kid).send(r.Events, issuer)
	}
}

func keyEvent(key *v1alpha1.SigningKeyStatus) *announcement {
	return &announcement{corev1.EventTypeNormal, "Key" + string(key.State), "RotateKeys",
		fmt.Sprintf("Key %s of the %s ring is %s.", key.KID, key.Use, key.State)}
}

func keyRemovedEvent(kid string) *announcement {
	return &announcement{corev1.EventTypeNormal, "KeyRemoved", "RotateKeys", fmt.Sprintf("Key %s is gone from its ring.", kid)}
}

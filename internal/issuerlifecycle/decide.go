package issuerlifecycle

import (
	"fmt"
	"strings"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/policy"
)

// Decide returns the plan for an issuer at now. It is a pure function except for generate, which returns the private keys of new
// signing keys, and does not change its arguments. Errors: generate failed, or now is out of bounds.
func Decide(o *Observed, now time.Time, generate Generator) (*Plan, error) {
	if verdict := o.obstacle(now); verdict != nil {
		return &Plan{Keys: o.Issuer.Status.Keys, Verdict: *verdict, Next: now.Add(obstacleRetry)}, nil
	}
	compiled, err := policy.Compile(&o.Issuer.Spec)
	if err != nil {
		return &Plan{Keys: o.Issuer.Status.Keys, Verdict: stalled(v1alpha1.ReasonInvalidSpec, err.Error())}, nil
	}
	schedule := scheduleOf(o.Issuer, compiled)
	inUse := func(use keyring.Use, kid string) time.Time {
		if use == keyring.Refresh {
			return o.Use.last(o.Issuer, kid)
		}
		return time.Time{}
	}
	rings := o.Rings
	if rings == nil && o.hadKeys() {
		rings = keyring.GivenUp()
	}
	rings, err = keyring.Advance(rings, schedule, withdrawn(o.Issuer), inUse, now, generate)
	if err != nil {
		return nil, fmt.Errorf("advance the signing keys: %w", err)
	}
	plan := &Plan{Keys: shown(rings), Next: rings.NextChange(schedule, now), Verdict: verdictOf(rings)}
	if plan.Verdict.Ready && compiled.GrantsNothing() {
		plan.Verdict.Message += grantsNothing
	}
	if !rings.Equal(o.Rings) || o.Mislabelled {
		plan.Rings = rings
	}
	return plan, nil
}

// verdictOf returns the conditions of an issuer whose Secret holds the rings.
func verdictOf(rings *keyring.Rings) Verdict {
	for _, use := range []keyring.Use{keyring.Access, keyring.Refresh} {
		if _, err := rings.Signer(use); err != nil {
			return Verdict{Reason: v1alpha1.ReasonKeyPending, Reconciling: true,
				Message: fmt.Sprintf("The %s ring has no key that may sign; the next one is published.", use),
				Waiting: fmt.Sprintf("The issuer waits until the next key of the %s ring may sign, once it has been published for signing.prepublish: %s.", use, SignsFrom(rings, use))}
		}
	}
	return Verdict{Ready: true, Reason: v1alpha1.ReasonKeysReady, Message: "Both rings have a key that signs, and the next one is published."}
}

// SignsFrom returns the text that says from when the next key of a ring may sign.
func SignsFrom(rings *keyring.Rings, use keyring.Use) string {
	at := PendingFrom(rings, use)
	if at.IsZero() {
		return "the time is not known yet"
	}
	return "from " + at.UTC().Format(time.RFC3339)
}

// PendingFrom returns the time from which the next key of a ring may sign; zero if there is none.
func PendingFrom(rings *keyring.Rings, use keyring.Use) time.Time {
	for _, key := range rings.Keys() {
		if key.Use == use && key.State == keyring.Pending {
			return key.ActiveAt
		}
	}
	return time.Time{}
}

// grantsNothing is appended to the message of a ready issuer if its policy has no rules.
const grantsNothing = " The issuer grants no tokens, since spec.policy has no rules: add a rule, or remove policy for the default."

// obstacleRetry is how often an issuer with an obstacle is reconciled, since an obstacle can end without an event.
const obstacleRetry = 30 * time.Second

// obstacle returns the conditions if the signing keys must not be changed; nil otherwise. Signing keys that tokens
// depend on are never replaced silently: that would end every one of these tokens.
func (o *Observed) obstacle(now time.Time) *Verdict {
	name := SecretName(o.Issuer.Name)
	lost := o.lostKeys(now)
	giveUp := fmt.Sprintf("restore the Secret from a backup, or withdraw the signing keys, which ends every token they signed, with the annotation %s=%s.",
		v1alpha1.AnnotationWithdrawKey, strings.Join(lost, ","))
	var verdict Verdict
	switch {
	case o.Conflict != nil:
		verdict = stalled(o.Conflict.Reason, o.Conflict.Message)
	case o.Foreign:
		verdict = stalled(v1alpha1.ReasonKeysForeign, fmt.Sprintf("Secret %q in the operator's namespace does not hold signing keys of this issuer; remove it.", name))
	case o.Damage != nil:
		verdict = stalled(v1alpha1.ReasonKeysDamaged, fmt.Sprintf("Secret %q in the operator's namespace is damaged: %v; restore it from a backup, or delete it and follow the next message of this condition.", name, o.Damage))
	case len(lost) > 0 && !o.SecretFound:
		verdict = stalled(v1alpha1.ReasonKeysLost, fmt.Sprintf("Secret %q in the operator's namespace does not exist; %s", name, giveUp))
	case len(lost) > 0:
		verdict = stalled(v1alpha1.ReasonKeysDamaged, fmt.Sprintf("Secret %q in the operator's namespace lacks signing keys; %s", name, giveUp))
	default:
		return nil
	}
	return &verdict
}

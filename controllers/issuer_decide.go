package controllers

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/policy"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// longestAccessLifetime is the longest access token lifetime that an issuer can allow. Access tokens are not recorded,
// so a retiring access key stays published for this time.
const longestAccessLifetime = 24 * time.Hour

// issuerPlan is the result of the decision about an issuer.
type issuerPlan struct {
	// rings are what the Secret must hold; nil leaves it unchanged.
	rings *keyring.Rings
	// keys are the signing keys for status.
	keys    []v1alpha1.SigningKeyStatus
	verdict issuerVerdict
	next    time.Time
}

type issuerVerdict struct {
	ready       bool
	reason      string
	message     string
	reconciling bool
	// waiting is the message of the condition Reconciling; if it is empty, message is used.
	waiting string
	stalled bool
}

func stalledIssuer(reason, message string) issuerVerdict {
	return issuerVerdict{reason: reason, message: message, stalled: true}
}

// decide returns the plan for an issuer's signing keys. Except for the generation of private keys, it is a pure
// function of the observed state.
func (r *IssuerReconciler) decide(o *issuerObservation) (*issuerPlan, error) {
	if verdict := o.obstacle(r.Clock.Now()); verdict != nil {
		return &issuerPlan{keys: o.issuer.Status.Keys, verdict: *verdict, next: r.Clock.Now().Add(conflictRetry)}, nil
	}
	compiled, err := policy.Compile(&o.issuer.Spec)
	if err != nil {
		return &issuerPlan{keys: o.issuer.Status.Keys, verdict: stalledIssuer(v1alpha1.ReasonInvalidSpec, err.Error())}, nil
	}
	schedule := scheduleOf(o.issuer, compiled)
	now := r.Clock.Now()
	inUse := func(use keyring.Use, kid string) time.Time {
		if use == keyring.Refresh {
			return o.lastUse(kid)
		}
		return time.Time{}
	}
	rings := o.rings
	if rings == nil && o.hadKeys() {
		rings = keyring.GivenUp()
	}
	rings, err = keyring.Advance(rings, schedule, v1alpha1.WithdrawnKIDs(o.issuer), inUse, now, r.Generate)
	if err != nil {
		return nil, fmt.Errorf("advance the signing keys: %w", err)
	}
	plan := &issuerPlan{keys: keyStatus(rings), next: rings.NextChange(schedule, now), verdict: verdictOf(rings)}
	if plan.verdict.ready && compiled.GrantsNothing() {
		plan.verdict.message += grantsNothing
	}
	if !rings.Equal(o.rings) || o.mislabelled {
		plan.rings = rings
	}
	return plan, nil
}

// verdictOf returns the conditions of an issuer whose Secret holds the rings.
func verdictOf(rings *keyring.Rings) issuerVerdict {
	for _, use := range []keyring.Use{keyring.Access, keyring.Refresh} {
		if _, err := rings.Signer(use); err != nil {
			return issuerVerdict{reason: v1alpha1.ReasonKeyPending, reconciling: true,
				message: fmt.Sprintf("The %s ring has no key that may sign; the next one is published.", use),
				waiting: fmt.Sprintf("The issuer waits until the next key of the %s ring may sign, once it has been published for signing.prepublish: %s.", use, signsFrom(rings, use))}
		}
	}
	return issuerVerdict{ready: true, reason: v1alpha1.ReasonKeysReady, message: "Both rings have a key that signs, and the next one is published."}
}

// signsFrom returns the text that says from when the next key of a ring may sign.
func signsFrom(rings *keyring.Rings, use keyring.Use) string {
	at := pendingFrom(rings, use)
	if at.IsZero() {
		return "the time is not known yet"
	}
	return "from " + at.UTC().Format(time.RFC3339)
}

// pendingFrom returns the time from which the next key of a ring may sign; zero if there is none.
func pendingFrom(rings *keyring.Rings, use keyring.Use) time.Time {
	for _, key := range rings.Keys() {
		if key.Use == use && key.State == keyring.Pending {
			return key.ActiveAt
		}
	}
	return time.Time{}
}

// grantsNothing is appended to the message of a ready issuer if its policy has no rules.
const grantsNothing = " The issuer grants no tokens, since spec.policy has no rules: add a rule, or remove policy for the default."

// conflictRetry is how often an issuer with an obstacle is reconciled, since an obstacle can end without an event.
const conflictRetry = 30 * time.Second

// obstacle returns the conditions if the signing keys must not be changed; nil otherwise. Signing keys that tokens
// depend on are never replaced silently: that would end every one of these tokens.
func (o *issuerObservation) obstacle(now time.Time) *issuerVerdict {
	name := signingKeysName(o.issuer.Name)
	lost := o.lostKeys(now)
	giveUp := fmt.Sprintf("restore the Secret from a backup, or withdraw the signing keys, which ends every token they signed, with the annotation %s=%s.",
		v1alpha1.AnnotationWithdrawKey, strings.Join(lost, ","))
	var verdict issuerVerdict
	switch {
	case o.conflict != nil:
		verdict = stalledIssuer(o.conflict.Reason, o.conflict.Message)
	case o.foreign:
		verdict = stalledIssuer(v1alpha1.ReasonKeysForeign, fmt.Sprintf("Secret %q in the operator's namespace does not hold signing keys of this issuer; remove it.", name))
	case o.damage != nil:
		verdict = stalledIssuer(v1alpha1.ReasonKeysDamaged, fmt.Sprintf("Secret %q in the operator's namespace is damaged: %v; restore it from a backup, or delete it and follow the next message of this condition.", name, o.damage))
	case len(lost) > 0 && o.secret == nil:
		verdict = stalledIssuer(v1alpha1.ReasonKeysLost, fmt.Sprintf("Secret %q in the operator's namespace does not exist; %s", name, giveUp))
	case len(lost) > 0:
		verdict = stalledIssuer(v1alpha1.ReasonKeysDamaged, fmt.Sprintf("Secret %q in the operator's namespace lacks signing keys; %s", name, giveUp))
	default:
		return nil
	}
	return &verdict
}

// lostKeys returns the kids in status that are missing from the Secret although they are neither withdrawn nor
// retired, if tokens that they signed may still be valid.
func (o *issuerObservation) lostKeys(now time.Time) (lost []string) {
	needed := false
	for _, key := range o.issuer.Status.Keys {
		if _, there := o.rings.Lookup(keyring.Use(key.Use), key.KID); there || !belongs(o.issuer, &key, now) || o.neverSigned(&key, now) {
			continue
		}
		lost = append(lost, key.KID)
		needed = needed || o.lastUse(key.KID).After(now) || o.rings != nil
	}
	if !needed {
		lost = nil
	}
	return append(lost, o.unrecorded(now)...)
}

// hadKeys reports whether an issuer without a Secret had signing keys before, which verifiers may have cached: status,
// valid tokens or the withdraw annotation name them.
func (o *issuerObservation) hadKeys() bool {
	return len(o.issuer.Status.Keys) > 0 || len(o.ownUntil) > 0 || len(v1alpha1.WithdrawnKIDs(o.issuer)) > 0
}

// unrecorded returns the kids that signed valid tokens and that are missing from an issuer without a record, which is
// the case after the issuer was deleted and created again.
func (o *issuerObservation) unrecorded(now time.Time) (lost []string) {
	if len(o.issuer.Status.Keys) > 0 {
		return nil
	}
	for _, kid := range slices.Sorted(maps.Keys(o.ownUntil)) {
		_, there := o.rings.Lookup(keyring.Refresh, kid)
		if !there && !isWithdrawn(o.issuer, kid) && o.ownUntil[kid].After(now) {
			lost = append(lost, kid)
		}
	}
	return lost
}

// belongs reports whether a signing key in status must still be in its ring: it is neither withdrawn nor retired.
func belongs(issuer *v1alpha1.JWTIssuer, key *v1alpha1.SigningKeyStatus, now time.Time) bool {
	retired := key.State == v1alpha1.KeyState(keyring.Retiring) && key.RetireAt != nil && !now.Before(key.RetireAt.Time)
	return !retired && !isWithdrawn(issuer, key.KID)
}

// neverSigned reports whether a key in status is pending and signed no token. A change of the algorithm replaces a
// pending key, and after a crash status may still show the earlier one; its loss ends no token.
func (o *issuerObservation) neverSigned(key *v1alpha1.SigningKeyStatus, now time.Time) bool {
	return key.State == v1alpha1.KeyState(keyring.Pending) && !o.signedUntil[key.KID].After(now)
}

func scheduleOf(issuer *v1alpha1.JWTIssuer, compiled *policy.Policy) keyring.Schedule {
	schedule := keyring.Schedule{
		Algorithm:   keyring.ES256,
		RotateAfter: keyring.DefaultRotateAfter,
		Prepublish:  keyring.DefaultPrepublish,
		RefreshKeep: compiled.LongestLifetime() + 2*token.Skew,
		AccessKeep:  longestAccessLifetime + 2*token.Skew,
		Asked:       rotationAsked(issuer),
	}
	if signing := issuer.Spec.Signing; signing != nil {
		if signing.Algorithm != "" {
			schedule.Algorithm = keyring.Algorithm(signing.Algorithm)
		}
		if signing.RotateAfter != nil {
			schedule.RotateAfter = signing.RotateAfter.Duration
		}
		if signing.Prepublish != nil {
			schedule.Prepublish = signing.Prepublish.Duration
		}
	}
	return schedule
}

// rotationAsked returns the time in the rotate-keys annotation; zero without the annotation, and for an invalid time,
// which admission refuses.
func rotationAsked(issuer *v1alpha1.JWTIssuer) time.Time {
	value := issuer.Annotations[v1alpha1.AnnotationRotateKeys]
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Unix(seconds, 0)
	}
	asked, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}
	}
	return asked
}

func keyStatus(rings *keyring.Rings) []v1alpha1.SigningKeyStatus {
	keys := rings.Keys()
	shown := make([]v1alpha1.SigningKeyStatus, 0, len(keys))
	timeOrNil := func(t time.Time) *metav1.Time {
		if t.IsZero() {
			return nil
		}
		return &metav1.Time{Time: t}
	}
	for _, key := range keys {
		shown = append(shown, v1alpha1.SigningKeyStatus{
			KID:       key.ID,
			Use:       v1alpha1.KeyUse(key.Use),
			Algorithm: v1alpha1.SigningAlgorithm(key.Algorithm),
			State:     v1alpha1.KeyState(key.State),
			CreatedAt: metav1.Time{Time: key.CreatedAt},
			ActiveAt:  timeOrNil(key.ActiveAt),
			RetireAt:  timeOrNil(key.RetireAt),
		})
	}
	return shown
}

package issuerlifecycle

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// Plan is the result of the decision about an issuer. Its Secret is written before its status, so that the Secret always holds
// the signing keys that status shows.
type Plan struct {
	// Rings are what the Secret must hold; nil leaves it unchanged.
	Rings *keyring.Rings
	// Keys are the signing keys for status.
	Keys    []v1alpha1.SigningKeyStatus
	Verdict Verdict
	// Next is when to decide again; zero for after the next event.
	Next time.Time
}

// Verdict is what the conditions of an issuer say.
type Verdict struct {
	Ready       bool
	Reason      string
	Message     string
	Reconciling bool
	// Waiting is the message of the condition Reconciling; if it is empty, Message is used.
	Waiting string
	Stalled bool
}

func stalled(reason, message string) Verdict {
	return Verdict{Reason: reason, Message: message, Stalled: true}
}

// Failed returns the plan that reports that the Secret could not be written. Signing keys that it already holds continue to sign.
func Failed(o *Observed, f lifecycle.Failure) *Plan {
	return &Plan{Keys: o.Issuer.Status.Keys, Verdict: unwritten(o, f)}
}

func unwritten(o *Observed, f lifecycle.Failure) Verdict {
	failed := lifecycle.Unwritten(f)
	if f.Refused {
		return stalled(v1alpha1.ReasonSecretRefused, failed.Message)
	}
	verdict := Verdict{Reason: v1alpha1.ReasonSecretRefused, Message: failed.Message, Reconciling: true, Waiting: failed.Message + " " + failed.Waiting}
	if o.Rings != nil {
		if held := verdictOf(o.Rings); held.Ready {
			verdict.Ready, verdict.Reason, verdict.Message = true, held.Reason, held.Message
		}
	}
	return verdict
}

// Status returns the issuer's status after the plan is carried out.
func (p *Plan) Status(o *Observed, now time.Time) *v1alpha1.JWTIssuerStatus {
	status := o.Issuer.Status.DeepCopy()
	status.ObservedGeneration = o.Issuer.Generation
	status.Keys = p.Keys
	status.TokenEndpoint = endpoint.TokenOf(o.Issuer)
	status.PublicTokenEndpoint = endpoint.TokenURL(o.Issuer.Spec.URL)
	status.JWKSURI = endpoint.JWKSOf(o.Issuer)
	c := conditions{&status.Conditions, o.Issuer.Generation, metav1.Time{Time: now.UTC()}}
	c.ready(&p.Verdict)
	c.trust(o.Trust)
	return status
}

// conditions changes the conditions of a status.
type conditions struct {
	all        *[]metav1.Condition
	generation int64
	now        metav1.Time
}

func (c *conditions) set(kind string, value metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(c.all, metav1.Condition{
		Type: kind, Status: value, Reason: reason, Message: message, ObservedGeneration: c.generation, LastTransitionTime: c.now,
	})
}

func (c *conditions) setOrRemove(kind string, present bool, reason, message string) {
	if present {
		c.set(kind, metav1.ConditionTrue, reason, message)
	} else {
		meta.RemoveStatusCondition(c.all, kind)
	}
}

func (c *conditions) ready(verdict *Verdict) {
	waits := verdict.Reason
	if verdict.Ready {
		waits = v1alpha1.ReasonSecretRefused
	}
	c.setOrRemove(v1alpha1.ConditionReconciling, verdict.Reconciling, waits, cmp.Or(verdict.Waiting, verdict.Message))
	c.setOrRemove(v1alpha1.ConditionStalled, verdict.Stalled, verdict.Reason, verdict.Message)
	if verdict.Ready {
		c.set(v1alpha1.ConditionReady, metav1.ConditionTrue, verdict.Reason, verdict.Message)
	} else {
		c.set(v1alpha1.ConditionReady, metav1.ConditionFalse, verdict.Reason, verdict.Message)
	}
}

// trust reports the fault of the CA bundle. Ready stays, since tokens work. A fault that is not known changes nothing.
func (c *conditions) trust(fault *TrustFault) {
	switch {
	case fault == nil:
	case fault.Reason == "":
		meta.RemoveStatusCondition(c.all, v1alpha1.ConditionTrustBundle)
	default:
		c.set(v1alpha1.ConditionTrustBundle, metav1.ConditionFalse, fault.Reason, fault.Message)
	}
}

// shown returns the signing keys for status.
func shown(rings *keyring.Rings) []v1alpha1.SigningKeyStatus {
	keys := rings.Keys()
	listed := make([]v1alpha1.SigningKeyStatus, 0, len(keys))
	timeOrNil := func(t time.Time) *metav1.Time {
		if t.IsZero() {
			return nil
		}
		return &metav1.Time{Time: t}
	}
	for _, key := range keys {
		listed = append(listed, v1alpha1.SigningKeyStatus{
			KID:       key.ID,
			Use:       v1alpha1.KeyUse(key.Use),
			Algorithm: v1alpha1.SigningAlgorithm(key.Algorithm),
			State:     v1alpha1.KeyState(key.State),
			CreatedAt: metav1.Time{Time: key.CreatedAt},
			ActiveAt:  timeOrNil(key.ActiveAt),
			RetireAt:  timeOrNil(key.RetireAt),
		})
	}
	return listed
}

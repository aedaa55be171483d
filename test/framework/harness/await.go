package harness

import (
	"errors"
	"fmt"

	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// Await waits until look returns nil. If it never does, the test fails with the last error, which states what look
// observed.
func (h *Harness) Await(what string, look func() error) {
	h.T.Helper()
	h.Eventually(look).Should(gomega.Succeed(), what)
}

// AwaitState waits until look returns true. If it never does, the test fails with the last state that look returned.
func (h *Harness) AwaitState(what string, look func() (done bool, state string)) {
	h.T.Helper()
	h.Await(what, func() error {
		if done, state := look(); !done {
			return fmt.Errorf("the last state is %q", state)
		}
		return nil
	})
}

// AwaitRevision waits until a refresh key has a revision and its Secret holds the current token. It returns the token.
func (h *Harness) AwaitRevision(key *v1alpha1.JWTRefreshKey, revision int64) (held string) {
	h.T.Helper()
	h.Await(fmt.Sprintf("revision %d of %s/%s", revision, key.Namespace, key.Name), func() error {
		if err := h.Reload(key); err != nil {
			return err
		}
		status := &key.Status
		state := fmt.Sprintf("revision %d of %s is on record, %s", status.Revision, key.Name, Ready(status.Conditions))
		secret, err := h.Secret(key.Namespace, status.SecretName)
		if err != nil {
			return fmt.Errorf("%s: %w", state, err)
		}
		held = string(secret.Data[v1alpha1.SecretToken])
		if status.Revision != revision || token.Hash(held) != status.TokenHash {
			return fmt.Errorf("%s, and Secret %s does not hold revision %d", state, secret.Name, revision)
		}
		return nil
	})
	return held
}

// AwaitReason waits until the condition Ready of a refresh key or an issuer has a reason for the present generation, and
// returns its message.
func (h *Harness) AwaitReason(object client.Object, reason string) (message string) {
	h.T.Helper()
	h.Await(object.GetName()+" has reason "+reason, func() error {
		if err := h.Reload(object); err != nil {
			return err
		}
		conditions := ConditionsOf(object)
		ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
		if ready == nil || ready.Reason != reason || ready.ObservedGeneration != object.GetGeneration() {
			return fmt.Errorf("generation %d: %s", object.GetGeneration(), Ready(conditions))
		}
		message = ready.Message
		return nil
	})
	return message
}

// ConditionsOf returns the conditions of a refresh key or an issuer, and none of another object.
func ConditionsOf(object client.Object) []metav1.Condition {
	switch object := object.(type) {
	case *v1alpha1.JWTRefreshKey:
		return object.Status.Conditions
	case *v1alpha1.JWTIssuer:
		return object.Status.Conditions
	default:
		return nil
	}
}

// Ready returns the reason, the generation and the message of the condition Ready, for messages of tests.
func Ready(conditions []metav1.Condition) string {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return "no condition Ready"
	}
	return fmt.Sprintf("%s at generation %d: %s", ready.Reason, ready.ObservedGeneration, ready.Message)
}

// AwaitIssuer waits until an issuer is Ready.
func (h *Harness) AwaitIssuer(name string) {
	h.T.Helper()
	issuer := NewIssuer(name)
	h.Await("issuer "+name+" is Ready", func() error {
		if err := h.Reload(issuer); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(issuer.Status.Conditions, v1alpha1.ConditionReady) {
			return errors.New(Ready(issuer.Status.Conditions))
		}
		return nil
	})
}

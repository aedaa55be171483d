package faults

import (
	"errors"
	"fmt"
	"strings"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/ownership"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// userTransitions are transitions that users request. The clock does not advance.
var userTransitions = []*transition{
	{name: "first issue", writes: 2, keyless: true, apply: createKey, want: outcome{advanced: 1}},
	{
		name: "adoption", writes: 1, keyless: true, apply: createKey, earlierCrash: crash{1, after},
		want: outcome{advanced: 1, also: sameTokenAsAfterCrash},
	},
	{
		name: "first issue into a retained Secret", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){retained}, setup: []step{keyDeleted},
		apply: createKeyWith(retained), want: outcome{advanced: 1, also: ownedByAnnotation},
	},
	{
		name: "first issue into a retained Secret with deletionPolicy Delete", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){retained},
		setup: []step{keyDeleted}, apply: createKey, want: outcome{advanced: 1, also: ownedByReference},
	},
	{
		name: "wait for the deletion of an orphaned Secret", writes: 1, setup: []step{keyDeleted}, needsOrphan: true,
		apply: createKey, want: outcome{reason: v1alpha1.ReasonWaitingForSecret, untouched: true},
	},
	{name: "changed audience", writes: 2, apply: changeAudience, want: outcome{advanced: 1, superseded: 1, also: hasNewAudience}},
	{name: "rotate", writes: 2, apply: rotate, want: outcome{advanced: 1, superseded: 1, also: keepsFirstRevision}},
	{name: "rotate-now", writes: 3, apply: rotateNow, want: outcome{advanced: 1, also: setsFirstRevision}, refusesOld: true},
	{
		name: "rotate without overlap", writes: 3, key: []func(*v1alpha1.JWTRefreshKey){overlapMax(0)}, apply: rotate,
		want: outcome{advanced: 1}, refusesOld: true, refusesLate: true,
	},
	{name: "revoke", writes: 2, apply: revoke(true), want: revoked, refusesOld: true},
	{
		name: "un-revoke", writes: 3, setup: []step{{do: revoke(true), want: revokedFirst, refusesOld: true}}, apply: revoke(false),
		want: outcome{advanced: 1, also: setsFirstRevision},
	},
	{
		name: "un-revoke of a key that was never issued", writes: 3, key: []func(*v1alpha1.JWTRefreshKey){revokedFromTheStart},
		created: &outcome{reason: v1alpha1.ReasonRevoked, secretless: true}, apply: revoke(false),
		// Revision 1 may have been written to the Secret before status recorded it.
		want: outcome{advanced: 2, also: setsFirstRevision},
	},
	{name: "renamed Secret", writes: 2, apply: setSecretSpec(withSecretRenamed), want: outcome{also: bothHoldTheToken}},
	{name: "deleted Secret", writes: 1, apply: deleteSecret, want: outcome{also: sameToken}, removesToken: true},
	{name: "lost ownerReference", writes: 1, apply: loseOwnerReference, want: outcome{also: sameTokenOwnedByReference}},
	{name: "edited Secret", writes: 1, apply: editSecret, want: outcome{also: sameToken}, removesToken: true},
	{name: "mode Write to None", writes: 2, apply: setSecretSpec(withoutSecret), want: outcome{secretless: true, also: keepsLineWithoutSecretName}, removesToken: true},
	{
		name: "mode None to Write", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){withoutSecret},
		created: &outcome{advanced: 1, secretless: true, also: hasNoSecretName}, apply: setSecretSpec(), want: outcome{also: sameLine},
	},
}

var (
	revoked      = outcome{reason: v1alpha1.ReasonRevoked, tokenless: true, also: isRevoked}
	revokedFirst = outcome{reason: v1alpha1.ReasonRevoked, tokenless: true, advanced: 1}
	// keyDeleted leaves a Secret with a token that is refused.
	keyDeleted = step{do: deleteKey, want: outcome{keyless: true, also: keyGone}, refusesOld: true}
)

// setsFirstRevision checks that no token from before the present revision is valid.
func setsFirstRevision(_ *crashCase, s *clusterState) error {
	if status := &s.key.Status; status.FirstRevision != status.Revision {
		return fmt.Errorf("first revision: got %d, want %d", status.FirstRevision, status.Revision)
	}
	return nil
}

// keepsFirstRevision checks that status.firstRevision is not set.
func keepsFirstRevision(_ *crashCase, s *clusterState) error {
	if first := s.key.Status.FirstRevision; first != 0 {
		return fmt.Errorf("first revision: got %d, want 0", first)
	}
	return nil
}

func revokedFromTheStart(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true }

func deleteSecret(c *crashCase) {
	secret := secretNamed(c.name, keyName)
	c.Expect(c.Admin.Delete(c.Ctx, secret)).To(gomega.Succeed())
}

func loseOwnerReference(c *crashCase) {
	c.editSecret(func(s *corev1.Secret) { s.OwnerReferences = nil })
}

func sameTokenOwnedByReference(c *crashCase, s *clusterState) error {
	return errors.Join(sameToken(c, s), ownedByReference(c, s))
}

func editSecret(c *crashCase) {
	const planted = "not a token"
	c.watcher.expectRefusal(token.Hash(planted))
	c.editSecret(func(s *corev1.Secret) { s.Data[v1alpha1.SecretToken] = []byte(planted) })
}

func sameTokenAsAfterCrash(c *crashCase, s *clusterState) error {
	if found := string(secretOf(c.afterCrash, keyName).Data[v1alpha1.SecretToken]); found == "" || found != s.token() {
		return errors.New("status does not record the token that was in the Secret after the crash")
	}
	return nil
}

func ownedByAnnotation(_ *crashCase, s *clusterState) error {
	secret := secretOf(s, keyName)
	if owner := secret.Annotations[v1alpha1.AnnotationOwner]; owner != ownership.MarkFor(s.key) || len(secret.OwnerReferences) > 0 {
		return fmt.Errorf("retained Secret: got owner annotation %q and owner references %v, want the annotation only", owner, secret.OwnerReferences)
	}
	return nil
}

func ownedByReference(_ *crashCase, s *clusterState) error {
	secret := secretOf(s, keyName)
	if !metav1.IsControlledBy(secret, s.key) || secret.Annotations[v1alpha1.AnnotationOwner] != "" {
		return fmt.Errorf("the Secret is not owned by its key by reference only: references %v, annotations %v", secret.OwnerReferences, secret.Annotations)
	}
	return nil
}

func hasNewAudience(_ *crashCase, s *clusterState) error {
	if content := string(s.line().Content.Raw); !strings.Contains(content, anotherAudience) {
		return fmt.Errorf("the token lacks the new audience: %s", content)
	}
	return nil
}

func isRevoked(_ *crashCase, s *clusterState) error {
	if status := &s.key.Status; status.RevokedAt == nil || status.RevocationReason != v1alpha1.RevokedRequested {
		return fmt.Errorf("got revokedAt %v for reason %q, want a time for %q", status.RevokedAt, status.RevocationReason, v1alpha1.RevokedRequested)
	}
	return nil
}

func bothHoldTheToken(_ *crashCase, s *clusterState) error {
	for _, name := range []string{keyName, renamed} {
		if held := string(secretOf(s, name).Data[v1alpha1.SecretToken]); token.Hash(held) != s.line().TokenHash {
			return fmt.Errorf("Secret %s does not hold the current token", name)
		}
	}
	return nil
}

func keepsLineWithoutSecretName(c *crashCase, s *clusterState) error {
	return errors.Join(hasNoSecretName(c, s), sameLine(c, s))
}

func hasNoSecretName(_ *crashCase, s *clusterState) error {
	if name := s.key.Status.SecretName; name != "" {
		return fmt.Errorf("status.secretName in mode None: got %q, want none", name)
	}
	return nil
}

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

// byUsers are the transitions that somebody asks for. The clock stands still.
var byUsers = []*transition{
	{name: "first issue", writes: 2, keyless: true, happens: createTheKey, want: outcome{advanced: 1}},
	{
		name: "adoption", writes: 1, keyless: true, happens: createTheKey, earlier: crash{1, after},
		want: outcome{advanced: 1, also: sameTokenAsInTheWreck},
	},
	{
		name: "first issue into a retained Secret", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){retained}, first: []step{keyDeleted},
		happens: createKeyWith(retained), want: outcome{advanced: 1, also: ownedByAnnotation},
	},
	{
		name: "first issue into a retained Secret that is to be kept no longer", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){retained},
		first: []step{keyDeleted}, happens: createTheKey, want: outcome{advanced: 1, also: ownedByReference},
	},
	{
		name: "a left-over Secret is waited for", writes: 1, first: []step{keyDeleted}, orphans: true,
		happens: createTheKey, want: outcome{reason: v1alpha1.ReasonWaitingForSecret, untouched: true},
	},
	{name: "changed audience", writes: 2, happens: changeAudience, want: outcome{advanced: 1, superseded: 1, also: saysAudience}},
	{name: "rotate", writes: 2, happens: rotate, want: outcome{advanced: 1, superseded: 1, also: keepsItsFirst}},
	{name: "rotate-now", writes: 3, happens: rotateNow, want: outcome{advanced: 1, also: beginsAnew}, kills: true},
	{
		name: "rotate without overlap", writes: 3, key: []func(*v1alpha1.JWTRefreshKey){overlapMax(0)}, happens: rotate,
		want: outcome{advanced: 1}, kills: true, late: true,
	},
	{name: "revoke", writes: 2, happens: revoke(true), want: revoked, kills: true},
	{
		name: "un-revoke", writes: 3, first: []step{{do: revoke(true), want: revokedFirst, kills: true}}, happens: revoke(false),
		want: outcome{advanced: 1, also: beginsAnew},
	},
	{
		name: "un-revoke of a key that was never issued", writes: 3, key: []func(*v1alpha1.JWTRefreshKey){revokedFromTheStart},
		made: &outcome{reason: v1alpha1.ReasonRevoked, secretless: true}, happens: revoke(false),
		// The first revision may have been in the Secret before it was on record.
		want: outcome{advanced: 2, also: beginsAnew},
	},
	{name: "renamed Secret", writes: 2, happens: secretLike(underAnotherName), want: outcome{also: bothHoldTheToken}},
	{name: "deleted Secret", writes: 1, happens: deleteSecret, want: outcome{also: sameToken}, plunders: true},
	{name: "lost ownerReference", writes: 1, happens: loseOwnerReference, want: outcome{also: sameTokenOwnedByReference}},
	{name: "edited Secret", writes: 1, happens: editSecret, want: outcome{also: sameToken}, plunders: true},
	{name: "mode Write to None", writes: 2, happens: secretLike(withoutSecret), want: outcome{secretless: true, also: namesNoSecret}, plunders: true},
	{
		name: "mode None to Write", writes: 2, key: []func(*v1alpha1.JWTRefreshKey){withoutSecret},
		made: &outcome{advanced: 1, secretless: true, also: namesNoSecretYet}, happens: secretLike(), want: outcome{also: sameLine},
	},
}

var (
	revoked      = outcome{reason: v1alpha1.ReasonRevoked, tokenless: true, also: saysRevoked}
	revokedFirst = outcome{reason: v1alpha1.ReasonRevoked, tokenless: true, advanced: 1}
	// keyDeleted leaves a Secret with a token that is dead.
	keyDeleted = step{do: deleteTheKey, want: outcome{keyless: true, also: keyGone}, kills: true}
)

// beginsAnew: nothing counts that was issued before the present line.
func beginsAnew(_ *trial, f *findings) error {
	if status := &f.key.Status; status.FirstRevision != status.Revision {
		return fmt.Errorf("the first revision is %d, and the line was ended before revision %d", status.FirstRevision, status.Revision)
	}
	return nil
}

// keepsItsFirst: the line was never ended.
func keepsItsFirst(_ *trial, f *findings) error {
	if first := f.key.Status.FirstRevision; first != 0 {
		return fmt.Errorf("the first revision is %d, and the line was never ended", first)
	}
	return nil
}

func revokedFromTheStart(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true }

func deleteSecret(r *trial) {
	secret := secretNamed(r.name, keyName)
	r.Expect(r.admin.Delete(r.ctx, secret)).To(gomega.Succeed())
}

func loseOwnerReference(r *trial) { r.editSecret(func(s *corev1.Secret) { s.OwnerReferences = nil }) }

func sameTokenOwnedByReference(r *trial, f *findings) error {
	return errors.Join(sameToken(r, f), ownedByReference(r, f))
}

func editSecret(r *trial) {
	const planted = "not a token"
	r.witness.kill(token.Hash(planted))
	r.editSecret(func(s *corev1.Secret) { s.Data[v1alpha1.SecretToken] = []byte(planted) })
}

func sameTokenAsInTheWreck(r *trial, f *findings) error {
	if found := string(secretOf(r.wreck, keyName).Data[v1alpha1.SecretToken]); found == "" || found != f.token() {
		return errors.New("the token that the crash left in the Secret is not the one that was recorded")
	}
	return nil
}

func ownedByAnnotation(_ *trial, f *findings) error {
	secret := secretOf(f, keyName)
	if owner := secret.Annotations[v1alpha1.AnnotationOwner]; owner != ownership.MarkFor(f.key) || len(secret.OwnerReferences) > 0 {
		return fmt.Errorf("the retained Secret names %q as its owner, and has owner references: %v", owner, secret.OwnerReferences)
	}
	return nil
}

func ownedByReference(_ *trial, f *findings) error {
	secret := secretOf(f, keyName)
	if !metav1.IsControlledBy(secret, f.key) || secret.Annotations[v1alpha1.AnnotationOwner] != "" {
		return fmt.Errorf("the Secret is not owned by its key alone: references %v, annotations %v", secret.OwnerReferences, secret.Annotations)
	}
	return nil
}

func saysAudience(_ *trial, f *findings) error {
	if content := string(f.line().Content.Raw); !strings.Contains(content, anotherAudience) {
		return fmt.Errorf("the new audience is not in the token: %s", content)
	}
	return nil
}

func saysRevoked(_ *trial, f *findings) error {
	if status := &f.key.Status; status.RevokedAt == nil || status.RevocationReason != v1alpha1.RevokedRequested {
		return fmt.Errorf("revokedAt is %v, for %q", status.RevokedAt, status.RevocationReason)
	}
	return nil
}

func bothHoldTheToken(_ *trial, f *findings) error {
	for _, name := range []string{keyName, renamed} {
		if held := string(secretOf(f, name).Data[v1alpha1.SecretToken]); token.Hash(held) != f.line().TokenHash {
			return fmt.Errorf("Secret %s does not hold the current token", name)
		}
	}
	return nil
}

func namesNoSecret(r *trial, f *findings) error {
	return errors.Join(namesNoSecretYet(r, f), sameLine(r, f))
}

func namesNoSecretYet(_ *trial, f *findings) error {
	if name := f.key.Status.SecretName; name != "" {
		return fmt.Errorf("status names Secret %q in mode None", name)
	}
	return nil
}

package controllers_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/guide"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// restoredKinds are the keys of the restore, in equal parts.
var restoredKinds = []struct {
	name string
	spec func(*v1alpha1.JWTRefreshKey)
	// reason of Ready before and after; atOnce is true if the key does not wait for the grace.
	reason string
	atOnce bool
}{
	{"default", func(*v1alpha1.JWTRefreshKey) {}, v1alpha1.ReasonIssued, false},
	{"retain", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Secret = &v1alpha1.SecretSpec{DeletionPolicy: v1alpha1.DeletionRetain}
	}, v1alpha1.ReasonIssued, true},
	{"revoked", func(*v1alpha1.JWTRefreshKey) {}, v1alpha1.ReasonRevoked, true},
	{"enrolled", oneTimeUse, v1alpha1.ReasonIssued, false},
	{"unused", oneTimeUse, v1alpha1.ReasonIssued, false},
	{"access", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Secret = &v1alpha1.SecretSpec{AccessToken: true} }, v1alpha1.ReasonIssued, false},
	{"mixed", func(*v1alpha1.JWTRefreshKey) {}, v1alpha1.ReasonIssued, false},
	{"retain-too", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Secret = &v1alpha1.SecretSpec{DeletionPolicy: v1alpha1.DeletionRetain, AccessToken: true}
	}, v1alpha1.ReasonIssued, true},
}

func oneTimeUse(k *v1alpha1.JWTRefreshKey) {
	k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse}
}

// within bounds the time for 200 keys: a slow machine needs two seconds.
const within = 40 * time.Second

// restoredKeys returns the number of keys of the restore.
func restoredKeys() int {
	if testing.Short() {
		return 80
	}
	return 200
}

// TestARestoreOfTwoHundredKeys runs the commands of docs/operations.md with the rights of the manager: first with Secrets
// that lost their owners under existing keys, and then with keys with an old status and new UIDs, and Secrets without owners.
// Its short form has fewer keys.
func TestARestoreOfTwoHundredKeys(t *testing.T) {
	w := newFixture(t)
	blocks := restoreBlocks(t, w.Name)
	w.Issuer()
	foreignSecrets := w.foreignSecrets()
	keys := w.restorable()
	written, stop := w.startCounting()
	w.allStand(keys, nil)
	w.use(keys)
	w.allStand(keys, nil)
	tokens, before := w.held(), w.secretsByName()
	dir := t.TempDir()
	w.shell(dir, blocks[0]+blocks[1])
	w.settles(written)

	started, base := time.Now(), written.total.Load()
	owned := int64(0)
	for name, secret := range before {
		if strings.HasPrefix(name, "key-") && len(secret.OwnerReferences) > 0 {
			w.Edit(&secret, func() { secret.OwnerReferences = nil })
			owned++
		}
	}
	w.allStand(keys, nil)
	w.allOwned(keys)
	w.settles(written)
	t.Logf("%d Secrets without ownerReference under living keys: %v, %d writes", owned, time.Since(started).Round(time.Millisecond), written.total.Load()-base)
	w.Expect(written.total.Load()-base).To(gomega.BeEquivalentTo(owned), "one write of each Secret, and no write of a key")
	w.Expect(w.held()).To(gomega.Equal(tokens), "every token survives")

	w.loseEverything(keys)
	started = time.Now()
	w.shell(dir, blocks[2])
	w.allStand(keys, func(kind int) string {
		if !restoredKinds[kind].atOnce {
			return v1alpha1.ReasonWaitingForSecret
		}
		return restoredKinds[kind].reason
	})
	stop()
	w.clock.SetTime(keys[len(keys)-1].CreationTimestamp.Add(31 * time.Second))
	written, _ = w.startCounting()
	w.allStand(keys, nil)
	w.allOwned(keys)
	t.Logf("%d keys with new UIDs beside Secrets without owners: %v beside the grace of 30s", len(keys), time.Since(started).Round(time.Millisecond))
	w.allIssuedAgain(keys, tokens)
	after := w.secretsByName()
	for name, foreign := range foreignSecrets {
		w.Expect(content(after[name])).To(gomega.Equal(content(foreign)), "%s is not the operator's", name)
		w.Expect(written.to("/secrets/"+name)).To(gomega.BeZero(), "%s is not the operator's", name)
	}
	w.rests(written)
}

// restoreBlocks returns the commands of the page, for one namespace.
func restoreBlocks(t *testing.T, namespace string) (blocks []string) {
	t.Helper()
	page, err := guide.Read(filepath.Join(server.Root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range page.Of(t.Name()) {
		blocks = append(blocks, strings.ReplaceAll(step.Commands, "--all-namespaces", "--namespace "+namespace))
	}
	if len(blocks) != 3 {
		t.Fatalf("the page has %d blocks for this test, want two of the backup and the restore", len(blocks))
	}
	return blocks
}

func (w *fixture) shell(dir, script string) {
	w.T.Helper()
	if _, err := server.Shell(w.Ctx, dir, script); err != nil {
		w.T.Fatal(err)
	}
}

func restoredName(i int) string { return fmt.Sprintf("key-%03d", i) }

// restorable creates the keys.
func (w *fixture) restorable() []*v1alpha1.JWTRefreshKey {
	w.T.Helper()
	keys := make([]*v1alpha1.JWTRefreshKey, restoredKeys())
	for i := range keys {
		keys[i] = w.Key(restoredName(i), restoredKinds[i%len(restoredKinds)].spec)
	}
	return keys
}

// foreignSecrets creates Secrets that the operator did not create, and keys that want their names. It returns them by name.
func (w *fixture) foreignSecrets() map[string]corev1.Secret {
	w.T.Helper()
	all := map[string]corev1.Secret{}
	for name, labels := range map[string]map[string]string{"foreign": nil, "labelled": {v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: name, Labels: labels}, Data: map[string][]byte{"password": []byte("theirs")}}
		w.Create(secret)
		all[name] = *secret
		w.Key(name)
	}
	return all
}

// use revokes keys and uses the tokens of keys, as their kinds say.
func (w *fixture) use(keys []*v1alpha1.JWTRefreshKey) {
	w.T.Helper()
	for i, key := range keys {
		switch restoredKinds[i%len(restoredKinds)].name {
		case "revoked":
			w.Edit(key, func() { key.Spec.Revoked = true })
		case "enrolled":
			w.uses(key)
		}
	}
}

// allStand waits until every key has the state of its kind; before a key is revoked, Issued.
func (w *fixture) allStand(keys []*v1alpha1.JWTRefreshKey, want func(kind int) string) {
	w.T.Helper()
	w.Eventually(func() (wrong []string) {
		var list v1alpha1.JWTRefreshKeyList
		w.Expect(w.Admin.List(w.Ctx, &list, client.InNamespace(w.Name))).To(gomega.Succeed())
		found := map[string]*v1alpha1.JWTRefreshKey{}
		for i := range list.Items {
			found[list.Items[i].Name] = &list.Items[i]
		}
		secrets := w.secretsByName()
		for i := range keys {
			kind := i % len(restoredKinds)
			reason := restoredKinds[kind].reason
			if want != nil {
				reason = want(kind)
			}
			if key := found[restoredName(i)]; !stands(key, secrets, reason) {
				wrong = append(wrong, fmt.Sprintf("%s %s: not %s", restoredName(i), restoredKinds[kind].name, reason))
			} else {
				keys[i] = key
			}
		}
		return wrong[:min(len(wrong), 5)]
	}, within, 100*time.Millisecond).Should(gomega.BeEmpty())
}

// stands reports whether a key has the reason, and its Secret the matching content.
func stands(key *v1alpha1.JWTRefreshKey, secrets map[string]corev1.Secret, reason string) bool {
	if key == nil {
		return false
	}
	if reason == v1alpha1.ReasonRevoked && !key.Spec.Revoked {
		reason = v1alpha1.ReasonIssued
	}
	ready := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReady)
	held := secrets[key.Name].Data[v1alpha1.SecretToken]
	switch {
	case ready == nil || ready.Reason != reason:
		return false
	case reason == v1alpha1.ReasonRevoked, key.Status.LastUsedRevision > 0:
		return len(held) == 0
	case reason == v1alpha1.ReasonIssued:
		return token.Hash(string(held)) == key.Status.TokenHash
	default:
		return true
	}
}

func (w *fixture) secretsByName() map[string]corev1.Secret {
	w.T.Helper()
	var list corev1.SecretList
	w.Expect(w.Admin.List(w.Ctx, &list, client.InNamespace(w.Name))).To(gomega.Succeed())
	all := map[string]corev1.Secret{}
	for _, secret := range list.Items {
		all[secret.Name] = secret
	}
	return all
}

// held returns the tokens in the Secrets of the keys, by name.
func (w *fixture) held() map[string]heldToken {
	w.T.Helper()
	all := map[string]heldToken{}
	for name, secret := range w.secretsByName() {
		all[name] = heldToken{string(secret.Data[v1alpha1.SecretToken])}
	}
	return all
}

// heldToken prints a placeholder in a failing test.
type heldToken struct{ text string }

func (heldToken) String() string   { return "[token]" }
func (heldToken) GoString() string { return "[token]" }

// allOwned waits until the ownerReference of every Secret of a key is as deletionPolicy wants.
func (w *fixture) allOwned(keys []*v1alpha1.JWTRefreshKey) {
	w.T.Helper()
	w.Eventually(func() (wrong []string) {
		secrets := w.secretsByName()
		for _, key := range keys {
			secret := secrets[key.Name]
			retained := key.Spec.Secret != nil && key.Spec.Secret.DeletionPolicy == v1alpha1.DeletionRetain
			// A key that was never issued has no Secret.
			if key.Status.Revision > 0 && metav1.IsControlledBy(&secret, key) == retained {
				wrong = append(wrong, key.Name)
			}
		}
		return wrong
	}, within, 100*time.Millisecond).Should(gomega.BeEmpty(), "their ownerReferences are not as deletionPolicy wants")
}

// loseEverything deletes the keys, and then their Secrets.
func (w *fixture) loseEverything(keys []*v1alpha1.JWTRefreshKey) {
	w.T.Helper()
	w.Expect(w.Admin.DeleteAllOf(w.Ctx, &v1alpha1.JWTRefreshKey{}, client.InNamespace(w.Name))).To(gomega.Succeed())
	for _, key := range keys {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: key.Name}}
		w.Expect(client.IgnoreNotFound(w.Admin.Delete(w.Ctx, secret))).To(gomega.Succeed())
	}
	// The backup includes the foreign Secrets, since they have the operator's label; they were not lost.
	w.Expect(w.Admin.DeleteAllOf(w.Ctx, &corev1.Secret{}, client.InNamespace(w.Name), client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})).To(gomega.Succeed())
}

// allIssuedAgain checks that no earlier token is accepted, and that every new one is.
func (w *fixture) allIssuedAgain(keys []*v1alpha1.JWTRefreshKey, earlier map[string]heldToken) {
	w.T.Helper()
	now := w.held()
	for _, key := range keys {
		if old := earlier[key.Name]; old.text != "" {
			w.refuses(old.text)
		}
		if held := now[key.Name]; held.text != "" {
			w.accepts(held.text, lifecycle.StandingCurrent)
		}
		if key.Status.Revision > 1 {
			w.T.Errorf("%s has revision %d: the API server must not take the status of the manifest", key.Name, key.Status.Revision)
		}
	}
}

// content returns a Secret without the fields that the API server sets.
func content(secret corev1.Secret) corev1.Secret {
	return corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: secret.Name, Labels: secret.Labels, Annotations: secret.Annotations, OwnerReferences: secret.OwnerReferences},
		Type:       secret.Type, Data: secret.Data,
	}
}

// settles waits until nothing was written between two checks.
func (w *fixture) settles(written *writes) {
	w.T.Helper()
	last := int64(-1)
	w.Eventually(func() bool {
		now := written.total.Load()
		same := now == last
		last = now
		return same
	}, within, 500*time.Millisecond).Should(gomega.BeTrue(), "the writes do not end")
}

// rests checks that nothing is written any more.
func (w *fixture) rests(written *writes) {
	w.T.Helper()
	w.settles(written)
	base := written.total.Load()
	w.Consistently(func() int64 { return written.total.Load() - base }, 3*time.Second, 100*time.Millisecond).Should(gomega.BeZero(), "writes while all keys rest")
	for _, name := range []string{"foreign", "labelled"} {
		key := harness.MustGet(w.Harness, harness.NewKey(w.Name, name))
		w.Expect(meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReady)).To(gomega.HaveField("Reason", v1alpha1.ReasonSecretConflict))
	}
}

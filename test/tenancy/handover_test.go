package tenancy

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// handOver is how long the next key may take to have a Secret's name after the garbage collector deleted the Secret.
const handOver = time.Second

// TestASecretsNamePassesToAnotherKey: the name of a Secret becomes free with the key that had it, and
// the key that waits for the name has it soon after.
func TestASecretsNamePassesToAnotherKey(t *testing.T) {
	awaitGarbageCollection(t)
	for _, tt := range []struct {
		name   string
		policy v1alpha1.DeletionPolicy
		// passes brings it about, and returns the key that has the name at the end.
		passes func(t *testing.T, namespace, issuer string) *v1alpha1.JWTRefreshKey
	}{
		{name: "two keys want one name, and the first is deleted", passes: func(t *testing.T, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			first := create(t, newKey(namespace, "first", of(issuer), writingTo("shared")))
			holds(t, first, 1)
			second := create(t, newKey(namespace, "second", of(issuer), writingTo("shared")))
			says(t, second, v1alpha1.ReasonSecretConflict)
			remove(t, first)
			return second
		}},
		{name: "the first is named as the Secret that the second wants", passes: func(t *testing.T, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			first := create(t, newKey(namespace, "shared", of(issuer)))
			holds(t, first, 1)
			second := create(t, newKey(namespace, "second", of(issuer), writingTo("shared")))
			says(t, second, v1alpha1.ReasonSecretConflict)
			remove(t, first)
			return second
		}},
		{name: "a kustomize suffix changes: the old key goes and a new one wants its Secret", passes: func(t *testing.T, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			old := create(t, newKey(namespace, "orders-7f6c9", of(issuer), writingTo("orders")))
			holds(t, old, 1)
			remove(t, old)
			return create(t, newKey(namespace, "orders-b2d4k", of(issuer), writingTo("orders")))
		}},
		{name: "a kustomize suffix changes: the new key comes first and the old one is pruned", passes: func(t *testing.T, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			old := create(t, newKey(namespace, "orders-7f6c9", of(issuer), writingTo("orders")))
			holds(t, old, 1)
			fresh := create(t, newKey(namespace, "orders-b2d4k", of(issuer), writingTo("orders")))
			says(t, fresh, v1alpha1.ReasonSecretConflict)
			remove(t, old)
			return fresh
		}},
		{name: "the first key is renamed to another Secret, and its old one deleted", passes: func(t *testing.T, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			first := create(t, newKey(namespace, "first", of(issuer), writingTo("shared")))
			holds(t, first, 1)
			second := create(t, newKey(namespace, "second", of(issuer), writingTo("shared")))
			says(t, second, v1alpha1.ReasonSecretConflict)
			edit(t, first, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Secret.Name = "other" })
			until(t, "the first key has its other Secret", func() (bool, string) {
				return read(t, first) == nil && first.Status.SecretName == "other" && isReady(first), saidOf(first)
			})
			old, err := secretOf(t, namespace, "shared")
			if err != nil {
				t.Fatal(err)
			}
			if err := clientOf(t, "").Delete(t.Context(), old); err != nil {
				t.Fatal(err)
			}
			return second
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			issuer := newIssuer(t)
			manage(t)
			namespace := newNamespace(t, nil)
			holds(t, create(t, newKey(namespace, "warm", of(issuer.Name))), 1)
			heir := tt.passes(t, namespace, issuer.Name)
			began := time.Now()
			until(t, "the Secret is free for "+heir.Name, func() (bool, string) {
				secret, err := secretOf(t, namespace, heir.Spec.Secret.Name)
				return err != nil || metav1.IsControlledBy(secret, heir), saidOf(heir)
			})
			collected := time.Since(began).Round(time.Millisecond)
			took := since(t, time.Now(), heir, "the name has passed to "+heir.Name, func() bool { return isReady(heir) && inSecret(t, heir) })
			t.Logf("the Secret was deleted after %s, and its name passed %s later", collected, took)
			if took > handOver {
				t.Errorf("the name of the Secret passed after %s, and may take %s", took, handOver)
			}
		})
	}
}

// awaitGarbageCollection waits until the garbage collector knows of JWTRefreshKeys: of a new kind it learns
// within about half a minute.
func awaitGarbageCollection(t *testing.T) {
	t.Helper()
	owner := create(t, newKey(newNamespace(t, nil), "owner", func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone}
	}))
	owned := create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: owner.Namespace, Name: "owned", OwnerReferences: []metav1.OwnerReference{referenceTo(owner)},
	}})
	remove(t, owner)
	began := time.Now()
	for time.Since(began) < 2*patience {
		if _, err := secretOf(t, owned.Namespace, owned.Name); err != nil {
			return
		}
		time.Sleep(pollEvery)
	}
	t.Fatal("the garbage collector does not work")
}

func remove(t *testing.T, key *v1alpha1.JWTRefreshKey) {
	t.Helper()
	if err := clientOf(t, "").Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

package tenancy

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// maxHandover bounds how long the next key may take to get a Secret name after the garbage collector
// deleted the Secret.
const maxHandover = time.Second

// TestASecretsNamePassesToAnotherKey checks that the name of a Secret becomes free when its refresh key is
// deleted, and that the waiting key gets the name soon after.
func TestASecretsNamePassesToAnotherKey(t *testing.T) {
	awaitGarbageCollection(t)
	for _, tt := range []struct {
		name   string
		policy v1alpha1.DeletionPolicy
		// handOver frees the name, and returns the key that has it in the end.
		handOver func(t *testing.T, namespace, issuer string) *v1alpha1.JWTRefreshKey
	}{
		{name: "two keys want one name, and the first is deleted", handOver: func(t *testing.T, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			first := create(t, newKey(namespace, "first", withIssuer(issuer), writeToSecret("shared")))
			awaitRevision(t, first, 1)
			second := create(t, newKey(namespace, "second", withIssuer(issuer), writeToSecret("shared")))
			awaitReason(t, second, v1alpha1.ReasonSecretConflict)
			remove(t, first)
			return second
		}},
		{name: "the first key has the name that the second wants", handOver: func(t *testing.T, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			first := create(t, newKey(namespace, "shared", withIssuer(issuer)))
			awaitRevision(t, first, 1)
			second := create(t, newKey(namespace, "second", withIssuer(issuer), writeToSecret("shared")))
			awaitReason(t, second, v1alpha1.ReasonSecretConflict)
			remove(t, first)
			return second
		}},
		{name: "a kustomize suffix changes: the old key is deleted before the new one is created", handOver: func(t *testing.T, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			old := create(t, newKey(namespace, "orders-7f6c9", withIssuer(issuer), writeToSecret("orders")))
			awaitRevision(t, old, 1)
			remove(t, old)
			return create(t, newKey(namespace, "orders-b2d4k", withIssuer(issuer), writeToSecret("orders")))
		}},
		{name: "a kustomize suffix changes: the new key is created before the old one is pruned", handOver: func(t *testing.T, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			old := create(t, newKey(namespace, "orders-7f6c9", withIssuer(issuer), writeToSecret("orders")))
			awaitRevision(t, old, 1)
			fresh := create(t, newKey(namespace, "orders-b2d4k", withIssuer(issuer), writeToSecret("orders")))
			awaitReason(t, fresh, v1alpha1.ReasonSecretConflict)
			remove(t, old)
			return fresh
		}},
		{name: "the first key changes to another Secret, and its old one is deleted", handOver: func(t *testing.T, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			first := create(t, newKey(namespace, "first", withIssuer(issuer), writeToSecret("shared")))
			awaitRevision(t, first, 1)
			second := create(t, newKey(namespace, "second", withIssuer(issuer), writeToSecret("shared")))
			awaitReason(t, second, v1alpha1.ReasonSecretConflict)
			edit(t, first, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Secret.Name = "other" })
			eventually(t, "the first key has its other Secret", func() (bool, string) {
				return reload(t, first) == nil && first.Status.SecretName == "other" && isReady(first), readyMessage(first)
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
			startManager(t)
			namespace := newNamespace(t, nil)
			awaitRevision(t, create(t, newKey(namespace, "warm", withIssuer(issuer.Name))), 1)
			waiter := tt.handOver(t, namespace, issuer.Name)
			began := time.Now()
			eventually(t, "the Secret name is free for "+waiter.Name, func() (bool, string) {
				secret, err := secretOf(t, namespace, waiter.Spec.Secret.Name)
				return err != nil || metav1.IsControlledBy(secret, waiter), readyMessage(waiter)
			})
			collected := time.Since(began).Round(time.Millisecond)
			took := timeUntil(t, time.Now(), waiter, waiter.Name+" has the Secret name", func() bool { return isReady(waiter) && holdsCurrentToken(t, waiter) })
			t.Logf("the Secret was deleted after %s, and the next key had its name %s later", collected, took)
			if took > maxHandover {
				t.Errorf("time until the next key has the name: got %s, want at most %s", took, maxHandover)
			}
		})
	}
}

// awaitGarbageCollection waits until the garbage collector handles JWTRefreshKeys. It discovers a new kind
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
	for time.Since(began) < 2*waitTimeout {
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

package tenancy

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func keyOf(object client.Object) client.ObjectKey { return client.ObjectKeyFromObject(object) }

// putToken writes a token to the Secret of a refresh key, as the attacker may.
func (h *harness) putToken(t *testing.T, key *v1alpha1.JWTRefreshKey, compact string) {
	t.Helper()
	eventually(t, "the Secret is written", func() (bool, string) {
		secret := h.attackerSecret(t, key.Name)
		secret.Data[v1alpha1.SecretToken] = []byte(compact)
		err := h.attacker.Update(t.Context(), secret)
		return err == nil, ""
	})
}

// foreignTokens puts tokens that must be refused into a Secret. I1 of docs/architecture.md says that every token in a
// Secret is accepted, so the operator must replace them.
func (h *harness) foreignTokens(t *testing.T) {
	key, first := h.issueKey(t)
	edit(t, key, func(key *v1alpha1.JWTRefreshKey) {
		key.Annotations = map[string]string{v1alpha1.AnnotationRotateNow: "leaked"}
	})
	second := awaitRevision(t, key, 2)
	_, ofAnother := h.issueKey(t)
	access := exchange(t, h.replicas[0], h.issuer, second).Text("access_token")
	awaitExchange(t, h.replicas[0], h.issuer, first, "400 invalid_grant")
	for name, compact := range map[string]string{
		"a retired one": first, "another key's": ofAnother, "the victim's": h.victimToken, "an access token": access, "no token": "mine",
	} {
		t.Run(name, func(t *testing.T) {
			h.putToken(t, key, compact)
			if held := awaitRevision(t, key, 2); held != second {
				t.Error("the Secret does not hold the earlier token")
			}
			h.expectOwnTokenOnly(t, key, 2)
		})
	}
	awaitExchange(t, h.replicas[1], h.issuer, first, "400 invalid_grant")
	t.Run("a revoked one", func(t *testing.T) {
		edit(t, key, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true })
		awaitReason(t, key, v1alpha1.ReasonRevoked)
		h.putToken(t, key, second)
		eventually(t, "the token is removed", func() (bool, string) {
			return len(h.attackerSecret(t, key.Name).Data[v1alpha1.SecretToken]) == 0, ""
		})
		for _, r := range h.replicas {
			awaitExchange(t, r, h.issuer, second, "400 invalid_grant")
		}
	})
}

// plantedToken puts a token into a Secret before its key exists. The operator adopts a first token that it
// finds in a Secret, since a manager may have stopped before it recorded the token. It must adopt only a
// token of this key.
func (h *harness) plantedToken(t *testing.T) {
	earlier, ofEarlier := h.issueKey(t)
	if err := h.attacker.Delete(t.Context(), earlier); err != nil {
		t.Fatal(err)
	}
	awaitDeleted(t, earlier)
	_ = h.attacker.Delete(t.Context(), &corev1.Secret{ObjectMeta: newKey(h.namespace, earlier.Name).ObjectMeta})
	for name, c := range map[string]struct{ key, compact string }{
		"the victim's":                          {newName("own"), h.victimToken},
		"that of an earlier key with this name": {earlier.Name, ofEarlier},
	} {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{ObjectMeta: retainedMeta(c.key, c.key), Data: map[string][]byte{v1alpha1.SecretToken: []byte(c.compact)}}
			secret.Namespace = h.namespace
			eventually(t, "the Secret is created", func() (bool, string) {
				err := h.attacker.Create(t.Context(), secret.DeepCopy())
				return err == nil, ""
			})
			key := newKey(h.namespace, c.key, withIssuer(h.issuer.Name))
			h.create(t, key)
			h.expectOwnTokenOnly(t, key, 1)
			if string(h.attackerSecret(t, c.key).Data[v1alpha1.SecretToken]) == c.compact {
				t.Error("the operator adopted the planted token")
			}
		})
	}
	awaitExchange(t, h.replicas[0], h.issuer, ofEarlier, "400 invalid_grant")
}

// awaitDeleted waits until an object no longer exists.
func awaitDeleted(t *testing.T, object client.Object) {
	t.Helper()
	eventually(t, object.GetName()+" is deleted", func() (bool, string) {
		return apierrors.IsNotFound(clientOf(t, "").Get(t.Context(), keyOf(object), object.DeepCopyObject().(client.Object))), ""
	})
}

// recreatedKey restores a refresh key from a backup with its UID and status, so that its former tokens
// would be accepted again.
func (h *harness) recreatedKey(t *testing.T) {
	key, held := h.issueKey(t)
	awaitExchange(t, h.replicas[0], h.issuer, held, "200")
	backup := key.DeepCopy()
	if err := h.attacker.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	awaitDeleted(t, key)
	_ = h.attacker.Delete(t.Context(), &corev1.Secret{ObjectMeta: newKey(h.namespace, key.Name).ObjectMeta})
	for _, r := range h.replicas {
		awaitExchange(t, r, h.issuer, held, "400 invalid_grant")
	}
	backup.ResourceVersion = ""
	h.create(t, backup)
	if backup.UID == key.UID {
		t.Fatal("the API server kept the UID")
	}
	h.expectOwnTokenOnly(t, backup, 1)
	restored := h.guarded || h.forgeStatus(t, backup, func(own *v1alpha1.JWTRefreshKeyStatus) { *own = *key.Status.DeepCopy() })
	if !restored {
		t.Error("the earlier status was not written")
	}
	for _, r := range h.replicas {
		awaitExchange(t, r, h.issuer, held, "400 invalid_grant")
	}
}

// TestANamespaceMadeAgain checks that a token stays refused after its namespace is deleted and recreated,
// with a refresh key of the same name.
func TestANamespaceMadeAgain(t *testing.T) {
	issuer := newIssuer(t)
	startManager(t)
	r := startReplica(t)
	namespace := newNamespace(t, nil)
	held := awaitRevision(t, create(t, newKey(namespace, "orders", withIssuer(issuer.Name))), 1)
	awaitExchange(t, r, issuer, held, "200")
	object := &corev1.Namespace{ObjectMeta: newKey("", namespace).ObjectMeta}
	if err := clientOf(t, "").Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	awaitDeleted(t, object)
	awaitExchange(t, r, issuer, held, "400 invalid_grant")
	create(t, &corev1.Namespace{ObjectMeta: newKey("", namespace).ObjectMeta})
	again := awaitRevision(t, create(t, newKey(namespace, "orders", withIssuer(issuer.Name))), 1)
	awaitExchange(t, r, issuer, again, "200")
	awaitExchange(t, r, issuer, held, "400 invalid_grant")
}

package tenancy

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

func keyOf(object client.Object) client.ObjectKey { return client.ObjectKeyFromObject(object) }

// puts writes a token into the Secret of a key, as its owner may.
func (h *harness) putToken(t *testing.T, key *v1alpha1.JWTRefreshKey, compact string) {
	t.Helper()
	eventually(t, "the Secret is written", func() (bool, string) {
		secret := h.attackerSecret(t, key.Name)
		secret.Data[v1alpha1.SecretToken] = []byte(compact)
		err := h.attacker.Update(t.Context(), secret)
		return err == nil, ""
	})
}

// tokensInTheSecret: whatever stands in the Secret is accepted, says the first invariant; so what is
// not accepted is put there.
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
		"a retired one": first, "another key's": ofAnother, "the victim's": h.victimToken, "an access token": access, "nothing of the kind": "mine",
	} {
		t.Run(name, func(t *testing.T) {
			h.putToken(t, key, compact)
			if held := awaitRevision(t, key, 2); held != second {
				t.Error("the Secret does not hold what it held before")
			}
			h.expectOwnTokenOnly(t, key, 2)
		})
	}
	awaitExchange(t, h.replicas[1], h.issuer, first, "400 invalid_grant")
	t.Run("a revoked one", func(t *testing.T) {
		edit(t, key, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true })
		awaitReason(t, key, v1alpha1.ReasonRevoked)
		h.putToken(t, key, second)
		eventually(t, "the token is taken out", func() (bool, string) {
			return len(h.attackerSecret(t, key.Name).Data[v1alpha1.SecretToken]) == 0, ""
		})
		for _, r := range h.replicas {
			awaitExchange(t, r, h.issuer, second, "400 invalid_grant")
		}
	})
}

// tokenBeforeTheKey: a first token that is found in a Secret is taken up by its key, since the
// manager may have stopped before it was recorded. It must be a token of this very key.
func (h *harness) plantedToken(t *testing.T) {
	earlier, ofEarlier := h.issueKey(t)
	if err := h.attacker.Delete(t.Context(), earlier); err != nil {
		t.Fatal(err)
	}
	awaitDeleted(t, earlier)
	_ = h.attacker.Delete(t.Context(), &corev1.Secret{ObjectMeta: newKey(h.namespace, earlier.Name).ObjectMeta})
	for name, c := range map[string]struct{ key, compact string }{
		"the victim's":                       {newName("own"), h.victimToken},
		"that of an earlier key of the name": {earlier.Name, ofEarlier},
	} {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{ObjectMeta: retainedMeta(c.key, c.key), Data: map[string][]byte{v1alpha1.SecretToken: []byte(c.compact)}}
			secret.Namespace = h.namespace
			eventually(t, "the Secret is there", func() (bool, string) {
				err := h.attacker.Create(t.Context(), secret.DeepCopy())
				return err == nil, ""
			})
			key := newKey(h.namespace, c.key, withIssuer(h.issuer.Name))
			h.create(t, key)
			h.expectOwnTokenOnly(t, key, 1)
			if string(h.attackerSecret(t, c.key).Data[v1alpha1.SecretToken]) == c.compact {
				t.Error("the token was taken up")
			}
		})
	}
	awaitExchange(t, h.replicas[0], h.issuer, ofEarlier, "400 invalid_grant")
}

// gone waits until an object is no more.
func awaitDeleted(t *testing.T, object client.Object) {
	t.Helper()
	eventually(t, object.GetName()+" is gone", func() (bool, string) {
		return apierrors.IsNotFound(clientOf(t, "").Get(t.Context(), keyOf(object), object.DeepCopyObject().(client.Object))), ""
	})
}

// keyMadeAgain: a key that is restored from a backup, with its UID and its status, stands for its
// tokens again where anybody believes that.
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
		t.Fatal("the API server took the UID over")
	}
	h.expectOwnTokenOnly(t, backup, 1)
	restored := h.guarded || h.forgeStatus(t, backup, func(own *v1alpha1.JWTRefreshKeyStatus) { *own = *key.Status.DeepCopy() })
	if !restored {
		t.Error("the status of before was not written")
	}
	for _, r := range h.replicas {
		awaitExchange(t, r, h.issuer, held, "400 invalid_grant")
	}
}

// TestANamespaceMadeAgain: neither does a namespace that was deleted and made again, with a key of
// the same name, bring a token back.
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

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
func (w *world) puts(t *testing.T, key *v1alpha1.JWTRefreshKey, compact string) {
	t.Helper()
	until(t, "the Secret is written", func() (bool, string) {
		secret := w.secretOfOwn(t, key.Name)
		secret.Data[v1alpha1.SecretToken] = []byte(compact)
		err := w.mallory.Update(t.Context(), secret)
		return err == nil, ""
	})
}

// tokensInTheSecret: whatever stands in the Secret is accepted, says I1 of docs/architecture.md; so what is
// not accepted is put there.
func (w *world) tokensInTheSecret(t *testing.T) {
	key, first := w.issued(t)
	edit(t, key, func(key *v1alpha1.JWTRefreshKey) {
		key.Annotations = map[string]string{v1alpha1.AnnotationRotateNow: "leaked"}
	})
	second := holds(t, key, 2)
	_, ofAnother := w.issued(t)
	access := exchange(t, w.replicas[0], w.issuer, second).Text("access_token")
	gets(t, w.replicas[0], w.issuer, first, "400 invalid_grant")
	for name, compact := range map[string]string{
		"a retired one": first, "another key's": ofAnother, "the victim's": w.victimToken, "an access token": access, "nothing of the kind": "mine",
	} {
		t.Run(name, func(t *testing.T) {
			w.puts(t, key, compact)
			if held := holds(t, key, 2); held != second {
				t.Error("the Secret does not hold what it held before")
			}
			w.onlyItself(t, key, 2)
		})
	}
	gets(t, w.replicas[1], w.issuer, first, "400 invalid_grant")
	t.Run("a revoked one", func(t *testing.T) {
		edit(t, key, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true })
		says(t, key, v1alpha1.ReasonRevoked)
		w.puts(t, key, second)
		until(t, "the token is taken out", func() (bool, string) {
			return len(w.secretOfOwn(t, key.Name).Data[v1alpha1.SecretToken]) == 0, ""
		})
		for _, r := range w.replicas {
			gets(t, r, w.issuer, second, "400 invalid_grant")
		}
	})
}

// tokenBeforeTheKey: a first token that is found in a Secret is taken up by its key, since the
// manager may have stopped before it was recorded. It must be a token of this very key.
func (w *world) tokenBeforeTheKey(t *testing.T) {
	earlier, ofEarlier := w.issued(t)
	if err := w.mallory.Delete(t.Context(), earlier); err != nil {
		t.Fatal(err)
	}
	gone(t, earlier)
	_ = w.mallory.Delete(t.Context(), &corev1.Secret{ObjectMeta: newKey(w.namespace, earlier.Name).ObjectMeta})
	for name, c := range map[string]struct{ key, compact string }{
		"the victim's":                       {newName("own"), w.victimToken},
		"that of an earlier key of the name": {earlier.Name, ofEarlier},
	} {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{ObjectMeta: retainedBy(c.key, c.key), Data: map[string][]byte{v1alpha1.SecretToken: []byte(c.compact)}}
			secret.Namespace = w.namespace
			until(t, "the Secret is there", func() (bool, string) {
				err := w.mallory.Create(t.Context(), secret.DeepCopy())
				return err == nil, ""
			})
			key := newKey(w.namespace, c.key, of(w.issuer.Name))
			w.makes(t, key)
			w.onlyItself(t, key, 1)
			if string(w.secretOfOwn(t, c.key).Data[v1alpha1.SecretToken]) == c.compact {
				t.Error("the token was taken up")
			}
		})
	}
	gets(t, w.replicas[0], w.issuer, ofEarlier, "400 invalid_grant")
}

// gone waits until an object is no more.
func gone(t *testing.T, object client.Object) {
	t.Helper()
	until(t, object.GetName()+" is gone", func() (bool, string) {
		return apierrors.IsNotFound(clientOf(t, "").Get(t.Context(), keyOf(object), object.DeepCopyObject().(client.Object))), ""
	})
}

// keyMadeAgain: a key that is restored from a backup, with its UID and its status, stands for its
// tokens again where anybody believes that.
func (w *world) keyMadeAgain(t *testing.T) {
	key, held := w.issued(t)
	gets(t, w.replicas[0], w.issuer, held, "200")
	backup := key.DeepCopy()
	if err := w.mallory.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	gone(t, key)
	_ = w.mallory.Delete(t.Context(), &corev1.Secret{ObjectMeta: newKey(w.namespace, key.Name).ObjectMeta})
	for _, r := range w.replicas {
		gets(t, r, w.issuer, held, "400 invalid_grant")
	}
	backup.ResourceVersion = ""
	w.makes(t, backup)
	if backup.UID == key.UID {
		t.Fatal("the API server took the UID over")
	}
	w.onlyItself(t, backup, 1)
	restored := w.guarded || w.writes(t, backup, func(own *v1alpha1.JWTRefreshKeyStatus) { *own = *key.Status.DeepCopy() })
	if !restored {
		t.Error("the status of before was not written")
	}
	for _, r := range w.replicas {
		gets(t, r, w.issuer, held, "400 invalid_grant")
	}
}

// TestANamespaceMadeAgain: neither does a namespace that was deleted and made again, with a key of
// the same name, bring a token back.
func TestANamespaceMadeAgain(t *testing.T) {
	issuer := newIssuer(t)
	manage(t)
	r := serve(t)
	namespace := newNamespace(t, nil)
	held := holds(t, create(t, newKey(namespace, "orders", of(issuer.Name))), 1)
	gets(t, r, issuer, held, "200")
	object := &corev1.Namespace{ObjectMeta: newKey("", namespace).ObjectMeta}
	if err := clientOf(t, "").Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	gone(t, object)
	gets(t, r, issuer, held, "400 invalid_grant")
	create(t, &corev1.Namespace{ObjectMeta: newKey("", namespace).ObjectMeta})
	again := holds(t, create(t, newKey(namespace, "orders", of(issuer.Name))), 1)
	gets(t, r, issuer, again, "200")
	gets(t, r, issuer, held, "400 invalid_grant")
}

package tenancy

import (
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

func keyOf(object client.Object) client.ObjectKey { return client.ObjectKeyFromObject(object) }

// putToken writes a token to the Secret of a refresh key, as the attacker may.
func (h *fixture) putToken(key *v1alpha1.JWTRefreshKey, compact string) {
	h.T.Helper()
	h.AwaitState("the Secret is written", func() (bool, string) {
		secret := h.attackerSecret(key.Name)
		secret.Data[v1alpha1.SecretToken] = []byte(compact)
		err := h.attacker.Update(h.Ctx, secret)
		return err == nil, ""
	})
}

// foreignTokens puts tokens that must be refused into a Secret. I1 of docs/architecture.md says that every token in a
// Secret is accepted, so the operator must replace them.
func (h *fixture) foreignTokens() {
	key, first := h.issueKey()
	harness.Edit(h.Harness, key, func(key *v1alpha1.JWTRefreshKey) {
		key.Annotations = map[string]string{v1alpha1.AnnotationRotateNow: "leaked"}
	})
	second := h.AwaitRevision(key, 2)
	_, ofAnother := h.issueKey()
	access := h.RefreshAt(h.replicas[0], h.issuer.Name, second).Text("access_token")
	awaitExchange(h.Harness, h.replicas[0], h.issuer, first, "400 invalid_grant")
	for name, compact := range map[string]string{
		"a retired one": first, "another key's": ofAnother, "the victim's": h.victimToken, "an access token": access, "no token": "mine",
	} {
		h.T.Run(name, func(t *testing.T) {
			h := h.in(t)
			h.putToken(key, compact)
			if held := h.AwaitRevision(key, 2); held != second {
				t.Error("the Secret does not hold the earlier token")
			}
			h.expectOwnTokenOnly(key, 2)
		})
	}
	awaitExchange(h.Harness, h.replicas[1], h.issuer, first, "400 invalid_grant")
	h.T.Run("a revoked one", func(t *testing.T) {
		h := h.in(t)
		harness.Edit(h.Harness, key, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true })
		h.AwaitReason(key, v1alpha1.ReasonRevoked)
		h.putToken(key, second)
		h.AwaitState("the token is removed", func() (bool, string) {
			return len(h.attackerSecret(key.Name).Data[v1alpha1.SecretToken]) == 0, ""
		})
		for _, r := range h.replicas {
			awaitExchange(h.Harness, r, h.issuer, second, "400 invalid_grant")
		}
	})
}

// plantedToken puts a token into a Secret before its key exists. The operator adopts a first token that it
// finds in a Secret, since a manager may have stopped before it recorded the token. It must adopt only a
// token of this key.
func (h *fixture) plantedToken() {
	earlier, ofEarlier := h.issueKey()
	h.Expect(h.attacker.Delete(h.Ctx, earlier)).To(gomega.Succeed())
	awaitDeleted(h.Harness, earlier)
	_ = h.attacker.Delete(h.Ctx, &corev1.Secret{ObjectMeta: harness.NewKey(h.namespace, earlier.Name).ObjectMeta})
	for name, c := range map[string]struct{ key, compact string }{
		"the victim's":                          {harness.UniqueName("own"), h.victimToken},
		"that of an earlier key with this name": {earlier.Name, ofEarlier},
	} {
		h.T.Run(name, func(t *testing.T) {
			h := h.in(t)
			secret := &corev1.Secret{ObjectMeta: retainedMeta(c.key, c.key), Data: map[string][]byte{v1alpha1.SecretToken: []byte(c.compact)}}
			secret.Namespace = h.namespace
			h.AwaitState("the Secret is created", func() (bool, string) {
				err := h.attacker.Create(t.Context(), secret.DeepCopy())
				return err == nil, ""
			})
			key := harness.NewKey(h.namespace, c.key, harness.WithIssuer(h.issuer.Name))
			h.create(key)
			h.expectOwnTokenOnly(key, 1)
			if string(h.attackerSecret(c.key).Data[v1alpha1.SecretToken]) == c.compact {
				t.Error("the operator adopted the planted token")
			}
		})
	}
	awaitExchange(h.Harness, h.replicas[0], h.issuer, ofEarlier, "400 invalid_grant")
}

// awaitDeleted waits until an object no longer exists.
func awaitDeleted(h *harness.Harness, object client.Object) {
	h.T.Helper()
	h.AwaitState(object.GetName()+" is deleted", func() (bool, string) {
		return apierrors.IsNotFound(h.Admin.Get(h.Ctx, keyOf(object), object.DeepCopyObject().(client.Object))), ""
	})
}

// recreatedKey restores a refresh key from a backup with its UID and status, so that its former tokens
// would be accepted again.
func (h *fixture) recreatedKey() {
	key, held := h.issueKey()
	awaitExchange(h.Harness, h.replicas[0], h.issuer, held, "200")
	backup := key.DeepCopy()
	h.Expect(h.attacker.Delete(h.Ctx, key)).To(gomega.Succeed())
	awaitDeleted(h.Harness, key)
	_ = h.attacker.Delete(h.Ctx, &corev1.Secret{ObjectMeta: harness.NewKey(h.namespace, key.Name).ObjectMeta})
	for _, r := range h.replicas {
		awaitExchange(h.Harness, r, h.issuer, held, "400 invalid_grant")
	}
	backup.ResourceVersion = ""
	h.create(backup)
	if backup.UID == key.UID {
		h.T.Fatal("the API server kept the UID")
	}
	h.expectOwnTokenOnly(backup, 1)
	restored := h.guarded || h.forgeStatus(backup, func(own *v1alpha1.JWTRefreshKeyStatus) { *own = *key.Status.DeepCopy() })
	if !restored {
		h.T.Error("the earlier status was not written")
	}
	for _, r := range h.replicas {
		awaitExchange(h.Harness, r, h.issuer, held, "400 invalid_grant")
	}
}

// TestANamespaceMadeAgain checks that a token stays refused after its namespace is deleted and recreated,
// with a refresh key of the same name.
func TestANamespaceMadeAgain(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	issuer := newIssuer(h)
	h.Manage()
	r := h.Replica()
	namespace := h.Namespace(nil)
	held := h.AwaitRevision(harness.Created(h, harness.NewKey(namespace, "orders", harness.WithIssuer(issuer.Name))), 1)
	awaitExchange(h, r, issuer, held, "200")
	object := &corev1.Namespace{ObjectMeta: harness.NewKey("", namespace).ObjectMeta}
	h.Expect(h.Admin.Delete(t.Context(), object)).To(gomega.Succeed())
	awaitDeleted(h, object)
	awaitExchange(h, r, issuer, held, "400 invalid_grant")
	h.Create(&corev1.Namespace{ObjectMeta: harness.NewKey("", namespace).ObjectMeta})
	again := h.AwaitRevision(harness.Created(h, harness.NewKey(namespace, "orders", harness.WithIssuer(issuer.Name))), 1)
	awaitExchange(h, r, issuer, again, "200")
	awaitExchange(h, r, issuer, held, "400 invalid_grant")
}

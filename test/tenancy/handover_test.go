package tenancy

import (
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// maxHandover bounds how long the next key may take to get a Secret name after the garbage collector
// deleted the Secret. See limit; the control is the issue of a key whose Secret name is free.
const maxHandover = time.Second

// TestASecretsNamePassesToAnotherKey checks that the name of a Secret becomes free when its refresh key is
// deleted, and that the waiting key gets the name soon after.
func TestASecretsNamePassesToAnotherKey(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	awaitGarbageCollection(h)
	for _, tt := range []struct {
		name   string
		policy v1alpha1.DeletionPolicy
		// handOver frees the name, and returns the key that has it in the end.
		handOver func(h *harness.Harness, namespace, issuer string) *v1alpha1.JWTRefreshKey
	}{
		{name: "two keys want one name, and the first is deleted", handOver: func(h *harness.Harness, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			first, second := rivals(h,
				harness.NewKey(namespace, "first", harness.WithIssuer(issuer), writeToSecret("shared")),
				harness.NewKey(namespace, "second", harness.WithIssuer(issuer), writeToSecret("shared")))
			remove(h, first)
			return second
		}},
		{name: "the first key has the name that the second wants", handOver: func(h *harness.Harness, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			first, second := rivals(h,
				harness.NewKey(namespace, "shared", harness.WithIssuer(issuer)),
				harness.NewKey(namespace, "second", harness.WithIssuer(issuer), writeToSecret("shared")))
			remove(h, first)
			return second
		}},
		{name: "a kustomize suffix changes: the old key is deleted before the new one is created", handOver: func(h *harness.Harness, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			old := harness.Created(h, harness.NewKey(namespace, "orders-7f6c9", harness.WithIssuer(issuer), writeToSecret("orders")))
			h.AwaitRevision(old, 1)
			remove(h, old)
			return harness.Created(h, harness.NewKey(namespace, "orders-b2d4k", harness.WithIssuer(issuer), writeToSecret("orders")))
		}},
		{name: "a kustomize suffix changes: the new key is created before the old one is pruned", handOver: func(h *harness.Harness, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			old, fresh := rivals(h,
				harness.NewKey(namespace, "orders-7f6c9", harness.WithIssuer(issuer), writeToSecret("orders")),
				harness.NewKey(namespace, "orders-b2d4k", harness.WithIssuer(issuer), writeToSecret("orders")))
			remove(h, old)
			return fresh
		}},
		{name: "the first key changes to another Secret, and its old one is deleted", handOver: func(h *harness.Harness, namespace, issuer string) *v1alpha1.JWTRefreshKey {
			first, second := rivals(h,
				harness.NewKey(namespace, "first", harness.WithIssuer(issuer), writeToSecret("shared")),
				harness.NewKey(namespace, "second", harness.WithIssuer(issuer), writeToSecret("shared")))
			harness.Edit(h, first, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Secret.Name = "other" })
			h.AwaitState("the first key has its other Secret", func() (bool, string) {
				return h.Reload(first) == nil && first.Status.SecretName == "other" && isReady(first), harness.Ready(first.Status.Conditions)
			})
			old, err := h.Secret(namespace, "shared")
			if err != nil {
				h.T.Fatal(err)
			}
			h.Expect(h.Admin.Delete(h.Ctx, old)).To(gomega.Succeed())
			return second
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := h.In(t)
			issuer := newIssuer(h)
			h.Manage()
			namespace := h.Namespace(nil)
			h.AwaitIssuer(issuer.Name)
			began := time.Now()
			control := harness.Created(h, harness.NewKey(namespace, "control", harness.WithIssuer(issuer.Name)))
			most := limit(maxHandover, timeUntil(h, began, control, "control is Ready", func() bool { return isReady(control) && holdsCurrentToken(h, control) }))
			waiter := tt.handOver(h, namespace, issuer.Name)
			began = time.Now()
			h.AwaitState("the Secret name is free for "+waiter.Name, func() (bool, string) {
				secret, err := h.Secret(namespace, waiter.Spec.Secret.Name)
				return err != nil || metav1.IsControlledBy(secret, waiter), harness.Ready(waiter.Status.Conditions)
			})
			collected := time.Since(began).Round(time.Millisecond)
			took := timeUntil(h, time.Now(), waiter, waiter.Name+" has the Secret name", func() bool { return isReady(waiter) && holdsCurrentToken(h, waiter) })
			t.Logf("the Secret was deleted after %s, and the next key had its name %s later", collected, took)
			if took > most {
				t.Errorf("time until the next key has the name: got %s, want at most %s", took, most)
			}
		})
	}
}

// rivals creates two refresh keys that want one Secret: the first has it, and the second waits.
func rivals(h *harness.Harness, first, second *v1alpha1.JWTRefreshKey) (has, waits *v1alpha1.JWTRefreshKey) {
	h.T.Helper()
	h.Create(first)
	h.AwaitRevision(first, 1)
	h.Create(second)
	h.AwaitReason(second, v1alpha1.ReasonSecretConflict)
	return first, second
}

// awaitGarbageCollection waits until the garbage collector handles JWTRefreshKeys. It discovers a new kind
// within about half a minute.
func awaitGarbageCollection(h *harness.Harness) {
	h.T.Helper()
	owner := harness.Created(h, harness.NewKey(h.Namespace(nil), "owner", func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone}
	}))
	owned := harness.Created(h, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: owner.Namespace, Name: "owned", OwnerReferences: []metav1.OwnerReference{referenceTo(owner)},
	}})
	remove(h, owner)
	h.Eventually(func() error {
		_, err := h.Secret(owned.Namespace, owned.Name)
		return err
	}, 2*harness.Patience).ShouldNot(gomega.Succeed(), "the garbage collector does not work")
}

func remove(h *harness.Harness, key *v1alpha1.JWTRefreshKey) {
	h.T.Helper()
	h.Expect(h.Admin.Delete(h.Ctx, key)).To(gomega.Succeed())
}

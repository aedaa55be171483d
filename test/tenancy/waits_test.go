package tenancy

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// affectedKeys is how many keys of one tenant wait for an event that never comes: four times as many as
// the manager has workers.
const affectedKeys = 64

// Limits of what a key waits for while the keys of another namespace are in trouble.
const (
	bystanderReady   = 2 * time.Second
	bystanderRevoked = 2 * time.Second
	rotateNowDone    = 5 * time.Second
)

// TestSecretsThatLeaveTheCacheStopNoOtherKey is the sequence: a tenant takes the label by which
// the cache selects Secrets from its own Secrets, makes them immutable, and revokes the keys.
func TestSecretsThatLeaveTheCacheStopNoOtherKey(t *testing.T) {
	issuer := newIssuer(t)
	startManager(t)
	tenant, quiet := newNamespace(t, nil), newNamespace(t, nil)
	keys := makeKeysAndWait(t, tenant, issuer.Name, affectedKeys)

	forEach(t, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		if err := patch(ctx, t, secret, `{"immutable":true,"metadata":{"labels":{"app.kubernetes.io/managed-by":"platform"}}}`); err != nil {
			return err
		}
		return patch(ctx, t, key.DeepCopy(), `{"spec":{"revoked":true}}`)
	})
	checkBystander(t, quiet, issuer.Name)
	awaitEach(t, keys, waitTimeout, "is revoked, with no Secret", func(key *v1alpha1.JWTRefreshKey) bool {
		_, err := secretOf(t, key.Namespace, key.Name)
		return key.Status.RevokedAt != nil && client.IgnoreNotFound(err) == nil && err != nil
	})
	forEach(t, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
		return patch(ctx, t, key.DeepCopy(), `{"spec":{"revoked":false}}`)
	})
	checkBystander(t, quiet, issuer.Name)
	awaitEach(t, keys, waitTimeout, "is issued again", func(key *v1alpha1.JWTRefreshKey) bool { return key.Status.Revision == 2 && holdsCurrentToken(t, key) })
	checkRotateNow(t, keys[0])
}

// TestARelabelledSecretIsLabelledAgain: a label that a tenant changes once is put back, and nothing else
// happens to the token.
func TestARelabelledSecretIsLabelledAgain(t *testing.T) {
	issuer := newIssuer(t)
	startManager(t)
	for name, change := range map[string]string{
		"relabelled":               `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"platform"}}}`,
		"relabelled and immutable": `{"immutable":true,"metadata":{"labels":{"app.kubernetes.io/managed-by":"platform"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			keys := makeKeysAndWait(t, newNamespace(t, nil), issuer.Name, 4)
			forEach(t, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
				secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
				return patch(ctx, t, secret, change)
			})
			awaitEach(t, keys, 5*time.Second, "has its label again", func(key *v1alpha1.JWTRefreshKey) bool {
				secret, err := secretOf(t, key.Namespace, key.Name)
				return err == nil && secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && key.Status.Revision == 1 && holdsCurrentToken(t, key) && isReady(key)
			})
		})
	}
}

// bystander makes a key, revokes it, and measures how long each takes.
func checkBystander(t *testing.T, namespace, issuer string) {
	t.Helper()
	began := time.Now()
	key := create(t, newKey(namespace, newName("bystander"), withIssuer(issuer)))
	ready := timeUntil(t, began, key, "bystander is Ready", func() bool { return isReady(key) && holdsCurrentToken(t, key) })
	began = time.Now()
	if err := patch(t.Context(), t, key.DeepCopy(), `{"spec":{"revoked":true}}`); err != nil {
		t.Fatal(err)
	}
	revoked := timeUntil(t, began, key, "bystander is revoked", func() bool { return key.Status.RevokedAt != nil })
	t.Logf("a bystander's key: Ready after %s, revoked in status after %s", ready, revoked)
	if ready > bystanderReady {
		t.Errorf("a bystander's key is Ready after %s, and may take %s", ready, bystanderReady)
	}
	if revoked > bystanderRevoked {
		t.Errorf("a bystander's revocation is in status after %s, and may take %s", revoked, bystanderRevoked)
	}
}

// rotatesNow asks for rotate-now, and measures how long it takes until the new token is in the Secret.
func checkRotateNow(t *testing.T, key *v1alpha1.JWTRefreshKey) {
	t.Helper()
	if err := reload(t, key); err != nil {
		t.Fatal(err)
	}
	before := key.Status.Revision
	began := time.Now()
	if err := patch(t.Context(), t, key.DeepCopy(), fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationRotateNow, newName("leak"))); err != nil {
		t.Fatal(err)
	}
	took := timeUntil(t, began, key, "rotate-now is done", func() bool { return key.Status.Revision == before+1 && isReady(key) && holdsCurrentToken(t, key) })
	t.Logf("rotate-now of an affected key: done after %s", took)
	if took > rotateNowDone {
		t.Errorf("rotate-now of an affected key is done after %s, and may take %s", took, rotateNowDone)
	}
}

// rotatesAllNow asks for rotate-now of all keys together.
func rotateAllNow(t *testing.T, keys []*v1alpha1.JWTRefreshKey) {
	t.Helper()
	began := time.Now()
	forEach(t, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
		return patch(ctx, t, key.DeepCopy(), fmt.Sprintf(`{"metadata":{"annotations":{%q:"leaks"}}}`, v1alpha1.AnnotationRotateNow))
	})
	awaitEach(t, keys, waitTimeout, "is rotated", func(key *v1alpha1.JWTRefreshKey) bool {
		return key.Status.Revision > 1 && isReady(key) && holdsCurrentToken(t, key)
	})
	t.Logf("rotate-now of %d affected keys: done after %s", len(keys), time.Since(began).Round(time.Millisecond))
}

// since waits until something is true of a key, and tells how long ago it began.
func timeUntil(t *testing.T, began time.Time, key *v1alpha1.JWTRefreshKey, what string, is func() bool) time.Duration {
	t.Helper()
	eventually(t, what, func() (bool, string) {
		if err := reload(t, key); err != nil {
			return false, err.Error()
		}
		return is(), fmt.Sprintf("revision %d, %s", key.Status.Revision, readyMessage(key))
	})
	return time.Since(began).Round(time.Millisecond)
}

func isReady(key *v1alpha1.JWTRefreshKey) bool {
	for _, condition := range key.Status.Conditions {
		if condition.Type == v1alpha1.ConditionReady {
			return condition.Status == metav1.ConditionTrue && condition.ObservedGeneration == key.Generation
		}
	}
	return false
}

// inSecret tells whether the Secret of a key holds its current token.
func holdsCurrentToken(t *testing.T, key *v1alpha1.JWTRefreshKey) bool {
	t.Helper()
	secret, err := secretOf(t, key.Namespace, key.Status.SecretName)
	return err == nil && token.Hash(string(secret.Data[v1alpha1.SecretToken])) == key.Status.TokenHash
}

func makeKeysAndWait(t *testing.T, namespace, issuer string, count int) []*v1alpha1.JWTRefreshKey {
	t.Helper()
	keys := make([]*v1alpha1.JWTRefreshKey, count)
	for i := range keys {
		keys[i] = newKey(namespace, fmt.Sprint("key-", i), withIssuer(issuer))
	}
	forEach(t, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error { return clientOf(t, "").Create(ctx, key) })
	awaitEach(t, keys, waitTimeout, "is issued", func(key *v1alpha1.JWTRefreshKey) bool { return isReady(key) && holdsCurrentToken(t, key) })
	return keys
}

// forEach does something with all keys, some at the same time.
func forEach(t *testing.T, keys []*v1alpha1.JWTRefreshKey, do func(context.Context, *v1alpha1.JWTRefreshKey) error) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(8)
	for _, key := range keys {
		group.Go(func() error { return do(ctx, key) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// each waits until something is true of all keys.
func awaitEach(t *testing.T, keys []*v1alpha1.JWTRefreshKey, within time.Duration, what string, is func(*v1alpha1.JWTRefreshKey) bool) {
	t.Helper()
	waiting := keys
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, within, true, func(context.Context) (bool, error) {
		var left []*v1alpha1.JWTRefreshKey
		for _, key := range waiting {
			if reload(t, key) != nil || !is(key) {
				left = append(left, key)
			}
		}
		waiting = left
		return len(waiting) == 0, nil
	})
	if err != nil {
		t.Errorf("after %s, %d of %d keys are not as they should be: that each %s; the first says %s", within, len(waiting), len(keys), what, readyMessage(waiting[0]))
	}
}

func patch(ctx context.Context, t *testing.T, object client.Object, body string) error {
	t.Helper()
	return clientOf(t, "").Patch(ctx, object, client.RawPatch(types.MergePatchType, []byte(body)))
}

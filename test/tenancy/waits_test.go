package tenancy

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// affectedKeys is how many refresh keys of one tenant wait for an event that never comes: four times the
// number of the manager's workers.
const affectedKeys = 64

// The limits bound how long a refresh key waits while the keys of another namespace have problems.
const (
	bystanderReady   = 2 * time.Second
	bystanderRevoked = 2 * time.Second
	rotateNowDone    = 5 * time.Second
)

// TestSecretsThatLeaveTheCacheStopNoOtherKey lets a tenant remove the label by which the cache selects
// Secrets from its own Secrets, make them immutable, and revoke the keys. Other keys do not wait.
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

// TestARelabelledSecretIsLabelledAgain checks that the operator restores a label that a tenant changes
// once, and keeps the token.
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

// checkBystander creates a refresh key, revokes it, and checks how long each takes. It measures the way of
// one key: the issuer is Ready before the time begins.
func checkBystander(t *testing.T, namespace, issuer string) {
	t.Helper()
	awaitIssuer(t, issuer)
	began := time.Now()
	key := create(t, newKey(namespace, newName("bystander"), withIssuer(issuer)))
	ready := timeUntil(t, began, key, "bystander is Ready", func() bool { return isReady(key) && holdsCurrentToken(t, key) })
	began = time.Now()
	if err := patch(t.Context(), t, key.DeepCopy(), `{"spec":{"revoked":true}}`); err != nil {
		t.Fatal(err)
	}
	revoked := timeUntil(t, began, key, "bystander is revoked", func() bool { return key.Status.RevokedAt != nil })
	t.Logf("bystander: Ready after %s, revoked in status after %s", ready, revoked)
	if ready > bystanderReady {
		t.Errorf("time until the bystander is Ready: got %s, want at most %s", ready, bystanderReady)
	}
	if revoked > bystanderRevoked {
		t.Errorf("time until the bystander is revoked: got %s, want at most %s", revoked, bystanderRevoked)
	}
}

// awaitIssuer waits until an issuer is Ready.
func awaitIssuer(t *testing.T, name string) {
	t.Helper()
	issuer := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: name}}
	eventually(t, "issuer "+name+" is Ready", func() (bool, string) {
		if err := reload(t, issuer); err != nil {
			return false, err.Error()
		}
		return meta.IsStatusConditionTrue(issuer.Status.Conditions, v1alpha1.ConditionReady), fmt.Sprint(issuer.Status.Conditions)
	})
}

// checkRotateNow requests rotate-now, and checks how long it takes until the new token is in the Secret.
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
		t.Errorf("time of rotate-now of an affected key: got %s, want at most %s", took, rotateNowDone)
	}
}

// rotateAllNow requests rotate-now of all keys at once, and waits until it is done.
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

// timeUntil waits until a condition of a refresh key is true, and returns the time since began.
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

// holdsCurrentToken reports whether the Secret of a refresh key holds its current token.
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

// forEach calls do for all keys, for eight at a time.
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

// awaitEach waits until a condition is true of all keys.
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
		t.Errorf("after %s, %d of %d keys do not meet %q; the first has %s", within,
			len(waiting), len(keys), what, readyMessage(waiting[0]))
	}
}

func patch(ctx context.Context, t *testing.T, object client.Object, body string) error {
	t.Helper()
	return clientOf(t, "").Patch(ctx, object, client.RawPatch(types.MergePatchType, []byte(body)))
}

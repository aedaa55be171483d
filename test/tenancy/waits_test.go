package tenancy

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
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
	h := harness.New(t, server, clock.RealClock{})
	issuer := newIssuer(h)
	h.Manage()
	tenant, quiet := h.Namespace(nil), h.Namespace(nil)
	keys := makeKeysAndWait(h, tenant, issuer.Name, affectedKeys)

	forEach(h, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		if err := h.Patch(secret, `{"immutable":true,"metadata":{"labels":{"app.kubernetes.io/managed-by":"platform"}}}`); err != nil {
			return err
		}
		return h.Patch(key.DeepCopy(), `{"spec":{"revoked":true}}`)
	})
	checkBystander(h, quiet, issuer.Name)
	awaitEach(h, keys, waitTimeout, "is revoked, with no Secret", func(key *v1alpha1.JWTRefreshKey) bool {
		_, err := h.Secret(key.Namespace, key.Name)
		return key.Status.RevokedAt != nil && client.IgnoreNotFound(err) == nil && err != nil
	})
	forEach(h, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
		return h.Patch(key.DeepCopy(), `{"spec":{"revoked":false}}`)
	})
	checkBystander(h, quiet, issuer.Name)
	awaitEach(h, keys, waitTimeout, "is issued again", func(key *v1alpha1.JWTRefreshKey) bool { return key.Status.Revision == 2 && holdsCurrentToken(h, key) })
	checkRotateNow(h, keys[0])
}

// TestARelabelledSecretIsLabelledAgain checks that the operator restores a label that a tenant changes
// once, and keeps the token.
func TestARelabelledSecretIsLabelledAgain(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	issuer := newIssuer(h)
	h.Manage()
	for name, change := range map[string]string{
		"relabelled":               `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"platform"}}}`,
		"relabelled and immutable": `{"immutable":true,"metadata":{"labels":{"app.kubernetes.io/managed-by":"platform"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			h := h.In(t)
			keys := makeKeysAndWait(h, h.Namespace(nil), issuer.Name, 4)
			forEach(h, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
				secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
				return h.Patch(secret, change)
			})
			awaitEach(h, keys, 5*time.Second, "has its label again", func(key *v1alpha1.JWTRefreshKey) bool {
				secret, err := h.Secret(key.Namespace, key.Name)
				return err == nil && secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && key.Status.Revision == 1 && holdsCurrentToken(h, key) && isReady(key)
			})
		})
	}
}

// checkBystander creates a refresh key, revokes it, and checks how long each takes. It measures the way of
// one key: the issuer is Ready before the time begins.
func checkBystander(h *harness.Harness, namespace, issuer string) {
	h.T.Helper()
	h.AwaitIssuer(issuer)
	began := time.Now()
	key := harness.Created(h, harness.NewKey(namespace, harness.UniqueName("bystander"), harness.WithIssuer(issuer)))
	ready := timeUntil(h, began, key, "bystander is Ready", func() bool { return isReady(key) && holdsCurrentToken(h, key) })
	began = time.Now()
	h.Expect(h.Patch(key.DeepCopy(), `{"spec":{"revoked":true}}`)).To(gomega.Succeed())
	revoked := timeUntil(h, began, key, "bystander is revoked", func() bool { return key.Status.RevokedAt != nil })
	h.T.Logf("bystander: Ready after %s, revoked in status after %s", ready, revoked)
	if ready > bystanderReady {
		h.T.Errorf("time until the bystander is Ready: got %s, want at most %s", ready, bystanderReady)
	}
	if revoked > bystanderRevoked {
		h.T.Errorf("time until the bystander is revoked: got %s, want at most %s", revoked, bystanderRevoked)
	}
}

// checkRotateNow requests rotate-now, and checks how long it takes until the new token is in the Secret.
func checkRotateNow(h *harness.Harness, key *v1alpha1.JWTRefreshKey) {
	h.T.Helper()
	h.Expect(h.Reload(key)).To(gomega.Succeed())
	before := key.Status.Revision
	began := time.Now()
	h.Expect(h.Patch(key.DeepCopy(), fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationRotateNow, harness.UniqueName("leak")))).To(gomega.Succeed())
	took := timeUntil(h, began, key, "rotate-now is done", func() bool { return key.Status.Revision == before+1 && isReady(key) && holdsCurrentToken(h, key) })
	h.T.Logf("rotate-now of an affected key: done after %s", took)
	if took > rotateNowDone {
		h.T.Errorf("time of rotate-now of an affected key: got %s, want at most %s", took, rotateNowDone)
	}
}

// rotateAllNow requests rotate-now of all keys at once, and waits until it is done.
func rotateAllNow(h *harness.Harness, keys []*v1alpha1.JWTRefreshKey) {
	h.T.Helper()
	began := time.Now()
	forEach(h, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
		return h.Patch(key.DeepCopy(), fmt.Sprintf(`{"metadata":{"annotations":{%q:"leaks"}}}`, v1alpha1.AnnotationRotateNow))
	})
	awaitEach(h, keys, waitTimeout, "is rotated", func(key *v1alpha1.JWTRefreshKey) bool {
		return key.Status.Revision > 1 && isReady(key) && holdsCurrentToken(h, key)
	})
	h.T.Logf("rotate-now of %d affected keys: done after %s", len(keys), time.Since(began).Round(time.Millisecond))
}

// timeUntil waits until a condition of a refresh key is true, and returns the time since began.
func timeUntil(h *harness.Harness, began time.Time, key *v1alpha1.JWTRefreshKey, what string, is func() bool) time.Duration {
	h.T.Helper()
	h.AwaitState(what, func() (bool, string) {
		if err := h.Reload(key); err != nil {
			return false, err.Error()
		}
		return is(), fmt.Sprintf("revision %d, %s", key.Status.Revision, harness.Ready(key.Status.Conditions))
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
func holdsCurrentToken(h *harness.Harness, key *v1alpha1.JWTRefreshKey) bool {
	h.T.Helper()
	secret, err := h.Secret(key.Namespace, key.Status.SecretName)
	return err == nil && token.Hash(string(secret.Data[v1alpha1.SecretToken])) == key.Status.TokenHash
}

func makeKeysAndWait(h *harness.Harness, namespace, issuer string, count int) []*v1alpha1.JWTRefreshKey {
	h.T.Helper()
	keys := make([]*v1alpha1.JWTRefreshKey, count)
	for i := range keys {
		keys[i] = harness.NewKey(namespace, fmt.Sprint("key-", i), harness.WithIssuer(issuer))
	}
	forEach(h, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error { return h.Admin.Create(ctx, key) })
	awaitEach(h, keys, waitTimeout, "is issued", func(key *v1alpha1.JWTRefreshKey) bool { return isReady(key) && holdsCurrentToken(h, key) })
	return keys
}

// forEach calls do for all keys, for eight at a time.
func forEach(h *harness.Harness, keys []*v1alpha1.JWTRefreshKey, do func(context.Context, *v1alpha1.JWTRefreshKey) error) {
	h.T.Helper()
	group, ctx := errgroup.WithContext(h.Ctx)
	group.SetLimit(8)
	for _, key := range keys {
		group.Go(func() error { return do(ctx, key) })
	}
	if err := group.Wait(); err != nil {
		h.T.Fatal(err)
	}
}

// awaitEach waits until a condition is true of all keys.
func awaitEach(h *harness.Harness, keys []*v1alpha1.JWTRefreshKey, within time.Duration, what string, is func(*v1alpha1.JWTRefreshKey) bool) {
	h.T.Helper()
	waiting := keys
	err := wait.PollUntilContextTimeout(h.Ctx, 100*time.Millisecond, within, true, func(context.Context) (bool, error) {
		var left []*v1alpha1.JWTRefreshKey
		for _, key := range waiting {
			if h.Reload(key) != nil || !is(key) {
				left = append(left, key)
			}
		}
		waiting = left
		return len(waiting) == 0, nil
	})
	if err != nil {
		h.T.Errorf("after %s, %d of %d keys do not meet %q; the first has %s", within,
			len(waiting), len(keys), what, harness.Ready(waiting[0].Status.Conditions))
	}
}

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

// The limits bound how long a refresh key waits while the keys of another namespace have problems, and how long all
// affected keys take together. They hold on a machine that is not busy; see limit.
const (
	bystanderReady   = 2 * time.Second
	bystanderRevoked = 2 * time.Second
	rotateNowDone    = 5 * time.Second
	labelRestored    = 5 * time.Second
	affectedDone     = 30 * time.Second
)

// slowdown is how many times as long as its control a measurement may take.
const slowdown = 5

// limit returns how long a measurement may take: the stated limit, or on a slow machine slowdown times the control.
// The control is the same measurement in the same run, before the problems begin.
func limit(stated, control time.Duration) time.Duration { return max(stated, slowdown*control) }

// TestSecretsThatLeaveTheCacheStopNoOtherKey lets a tenant remove the label by which the cache selects
// Secrets from its own Secrets, make them immutable, and revoke the keys. Other keys do not wait.
func TestSecretsThatLeaveTheCacheStopNoOtherKey(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	issuer := newIssuer(h)
	h.Manage()
	tenant := h.Namespace(nil)
	quiet := newBystander(h, h.Namespace(nil), issuer.Name)
	keys, took := makeKeysAndWait(h, tenant, issuer.Name, affectedKeys)
	within := limit(affectedDone, took)

	forEach(h, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		if err := h.Patch(secret, `{"immutable":true,"metadata":{"labels":{"app.kubernetes.io/managed-by":"platform"}}}`); err != nil {
			return err
		}
		return h.Patch(key.DeepCopy(), `{"spec":{"revoked":true}}`)
	})
	quiet.check(issuer.Name)
	awaitEach(h, keys, within, "is revoked, with no Secret", func(key *v1alpha1.JWTRefreshKey) bool {
		_, err := h.Secret(key.Namespace, key.Name)
		return key.Status.RevokedAt != nil && client.IgnoreNotFound(err) == nil && err != nil
	})
	forEach(h, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
		return h.Patch(key.DeepCopy(), `{"spec":{"revoked":false}}`)
	})
	quiet.check(issuer.Name)
	awaitEach(h, keys, within, "is issued again", func(key *v1alpha1.JWTRefreshKey) bool { return key.Status.Revision == 2 && holdsCurrentToken(h, key) })
	quiet.checkRotateNow(keys[0])
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
			h.AwaitIssuer(issuer.Name)
			keys, took := makeKeysAndWait(h, h.Namespace(nil), issuer.Name, 4)
			within := limit(labelRestored, took)
			forEach(h, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
				secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
				return h.Patch(secret, change)
			})
			awaitEach(h, keys, within, "has its label again", func(key *v1alpha1.JWTRefreshKey) bool {
				secret, err := h.Secret(key.Namespace, key.Name)
				return err == nil && secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && key.Status.Revision == 1 && holdsCurrentToken(h, key) && isReady(key)
			})
		})
	}
}

// lapses are how long it takes until a refresh key is Ready, until rotate-now of it is done, and until it is revoked in
// status.
type lapses struct{ ready, rotated, revoked time.Duration }

// bystander measures refresh keys of a namespace without problems.
type bystander struct {
	*harness.Harness
	namespace string
	// control is measured before the problems begin.
	control lapses
}

// newBystander returns a bystander with its control.
func newBystander(h *harness.Harness, namespace, issuer string) *bystander {
	h.T.Helper()
	b := &bystander{Harness: h, namespace: namespace}
	b.control = b.measure(issuer, true)
	h.T.Logf("before the problems: Ready after %s, rotate-now done after %s, revoked in status after %s", b.control.ready, b.control.rotated, b.control.revoked)
	return b
}

// check measures a refresh key, and checks that it does not wait for the keys of another namespace.
func (b *bystander) check(issuer string) {
	b.T.Helper()
	took := b.measure(issuer, false)
	b.T.Logf("bystander: Ready after %s, revoked in status after %s", took.ready, took.revoked)
	if most := limit(bystanderReady, b.control.ready); took.ready > most {
		b.T.Errorf("time until the bystander is Ready: got %s, want at most %s", took.ready, most)
	}
	if most := limit(bystanderRevoked, b.control.revoked); took.revoked > most {
		b.T.Errorf("time until the bystander is revoked: got %s, want at most %s", took.revoked, most)
	}
}

// checkRotateNow checks how long rotate-now of an affected key takes, until the new token is in the Secret.
func (b *bystander) checkRotateNow(key *v1alpha1.JWTRefreshKey) {
	b.T.Helper()
	took := measureRotateNow(b.Harness, key)
	b.T.Logf("rotate-now of an affected key: done after %s", took)
	if most := limit(rotateNowDone, b.control.rotated); took > most {
		b.T.Errorf("time of rotate-now of an affected key: got %s, want at most %s", took, most)
	}
}

// measure creates a refresh key and revokes it; if rotated is true, it rotates the key in between. It measures the way
// of one key: the issuer is Ready before the time begins.
func (b *bystander) measure(issuer string, rotated bool) (took lapses) {
	b.T.Helper()
	b.AwaitIssuer(issuer)
	began := time.Now()
	key := harness.Created(b.Harness, harness.NewKey(b.namespace, harness.UniqueName("bystander"), harness.WithIssuer(issuer)))
	took.ready = timeUntil(b.Harness, began, key, "bystander is Ready", func() bool { return isReady(key) && holdsCurrentToken(b.Harness, key) })
	if rotated {
		took.rotated = measureRotateNow(b.Harness, key)
	}
	began = time.Now()
	b.Expect(b.Patch(key.DeepCopy(), `{"spec":{"revoked":true}}`)).To(gomega.Succeed())
	took.revoked = timeUntil(b.Harness, began, key, "bystander is revoked", func() bool { return key.Status.RevokedAt != nil })
	return took
}

// measureRotateNow requests rotate-now of a refresh key, and returns how long it takes until the new token is in the
// Secret.
func measureRotateNow(h *harness.Harness, key *v1alpha1.JWTRefreshKey) time.Duration {
	h.T.Helper()
	h.Expect(h.Reload(key)).To(gomega.Succeed())
	before := key.Status.Revision
	began := time.Now()
	h.Expect(h.Patch(key.DeepCopy(), fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationRotateNow, harness.UniqueName("leak")))).To(gomega.Succeed())
	return timeUntil(h, began, key, "rotate-now is done", func() bool { return key.Status.Revision == before+1 && isReady(key) && holdsCurrentToken(h, key) })
}

// rotateAllNow requests rotate-now of all keys at once, and checks that it is done in time.
func rotateAllNow(h *harness.Harness, keys []*v1alpha1.JWTRefreshKey, within time.Duration) {
	h.T.Helper()
	began := time.Now()
	forEach(h, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
		return h.Patch(key.DeepCopy(), fmt.Sprintf(`{"metadata":{"annotations":{%q:"leaks"}}}`, v1alpha1.AnnotationRotateNow))
	})
	awaitEach(h, keys, within, "is rotated", func(key *v1alpha1.JWTRefreshKey) bool {
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

// makeKeysAndWait creates refresh keys, and returns them once all are issued, with the time that this took.
func makeKeysAndWait(h *harness.Harness, namespace, issuer string, count int) (keys []*v1alpha1.JWTRefreshKey, took time.Duration) {
	h.T.Helper()
	began := time.Now()
	keys = make([]*v1alpha1.JWTRefreshKey, count)
	for i := range keys {
		keys[i] = harness.NewKey(namespace, fmt.Sprint("key-", i), harness.WithIssuer(issuer))
	}
	forEach(h, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error { return h.Admin.Create(ctx, key) })
	awaitEach(h, keys, waitTimeout, "is issued", func(key *v1alpha1.JWTRefreshKey) bool { return isReady(key) && holdsCurrentToken(h, key) })
	return keys, time.Since(began)
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

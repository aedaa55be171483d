package controllers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// cacheOf returns a fake cache with these objects.
func cacheOf(t *testing.T, objects ...client.Object) client.Reader {
	t.Helper()
	return fake.NewClientBuilder().WithScheme(Scheme()).WithObjects(objects...).Build()
}

func keyAt(version string) *v1alpha1.JWTRefreshKey {
	return &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders", ResourceVersion: version}}
}

func secretAt(version string, change ...func(*corev1.Secret)) *corev1.Secret {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "orders", UID: "secret-1", ResourceVersion: version,
		Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
	}}
	for _, c := range change {
		c(secret)
	}
	return secret
}

func relabelled(secret *corev1.Secret) {
	secret.Labels = map[string]string{v1alpha1.LabelManagedBy: "platform"}
}

// TestOwnWrites checks which write of the manager a key waits for, and for how long.
func TestOwnWrites(t *testing.T) {
	key := types.NamespacedName{Namespace: "shop", Name: "orders"}
	const now, waits, reads = "decides on the cache", "waits for the event", "reads from the API server"
	for _, tt := range []struct {
		name   string
		wrote  func(*ownWrites)
		cached []client.Object
		after  time.Duration
		want   string
		// rest is true if the entry is removed.
		rest bool
	}{
		{name: "nothing", wrote: func(*ownWrites) {}, want: now, rest: true},
		{name: "a status that is not shown", wrote: func(w *ownWrites) { w.wroteStatus(keyAt("20")) }, cached: []client.Object{keyAt("9")}, want: waits},
		{name: "a status that is not shown for long", wrote: func(w *ownWrites) { w.wroteStatus(keyAt("20")) }, cached: []client.Object{keyAt("9")}, after: longestLag, want: reads},
		{name: "a status that is shown", wrote: func(w *ownWrites) { w.wroteStatus(keyAt("20")) }, cached: []client.Object{keyAt("20")}, want: now, rest: true},
		{name: "a status that another has followed", wrote: func(w *ownWrites) { w.wroteStatus(keyAt("20")) }, cached: []client.Object{keyAt("100")}, want: now, rest: true},
		{name: "a status of a deleted key", wrote: func(w *ownWrites) { w.wroteStatus(keyAt("20")) }, want: now, rest: true},
		{name: "a new Secret that is not shown", wrote: func(w *ownWrites) { w.wroteSecret(key, secretAt("20")) }, want: waits},
		{name: "a new Secret that is not shown for long", wrote: func(w *ownWrites) { w.wroteSecret(key, secretAt("20")) }, after: time.Minute, want: reads},
		{name: "a Secret that is shown as it was before", wrote: func(w *ownWrites) { w.wroteSecret(key, secretAt("20")) }, cached: []client.Object{secretAt("9")}, want: waits},
		{name: "a Secret that is shown", wrote: func(w *ownWrites) { w.wroteSecret(key, secretAt("20")) }, cached: []client.Object{secretAt("20")}, want: now, rest: true},
		{name: "a Secret that admission relabels", wrote: func(w *ownWrites) { w.wroteSecret(key, secretAt("20", relabelled)) }, want: now, rest: true},
		{name: "a Secret that was shown before admission relabels it", wrote: func(w *ownWrites) {
			w.wroteSecret(key, secretAt("20"))
			w.wroteSecret(key, secretAt("30", relabelled))
		}, want: now, rest: true},
		{name: "a deleted Secret that is shown still", wrote: func(w *ownWrites) { w.deletedSecret(key, secretAt("20")) }, cached: []client.Object{secretAt("20")}, want: waits},
		{name: "a deleted Secret", wrote: func(w *ownWrites) { w.deletedSecret(key, secretAt("20")) }, want: now, rest: true},
		{name: "a deleted Secret without the label, for whose end there is no event", wrote: func(w *ownWrites) { w.deletedSecret(key, secretAt("20", relabelled)) }, want: now, rest: true},
		{name: "a deleted Secret that was made again", wrote: func(w *ownWrites) { w.deletedSecret(key, secretAt("20")) },
			cached: []client.Object{secretAt("30", func(s *corev1.Secret) { s.UID = "secret-2" })}, want: now, rest: true},
		{name: "a status that is shown and a Secret that is not", wrote: func(w *ownWrites) {
			w.wroteStatus(keyAt("20"))
			w.wroteSecret(key, secretAt("21"))
		}, cached: []client.Object{keyAt("20")}, want: waits},
		{name: "a Secret that another client deleted before the cache showed it", wrote: func(w *ownWrites) {
			w.wroteSecret(key, secretAt("20"))
			w.sawSecret(key, nil)
		}, want: now, rest: true},
		{name: "a Secret that another client relabelled before the cache showed it", wrote: func(w *ownWrites) {
			w.wroteSecret(key, secretAt("20"))
			w.sawSecret(key, secretAt("25", relabelled))
		}, want: now, rest: true},
		{name: "a Secret that the API server has as it was written", wrote: func(w *ownWrites) {
			w.wroteSecret(key, secretAt("20"))
			w.sawSecret(key, secretAt("20"))
		}, want: waits},
	} {
		t.Run(tt.name, func(t *testing.T) {
			monotonic := clocktesting.NewFakePassiveClock(time.Now())
			w := newOwnWrites(cacheOf(t, tt.cached...), monotonic, func() client.Object { return &v1alpha1.JWTRefreshKey{} })
			tt.wrote(w)
			monotonic.SetTime(monotonic.Now().Add(tt.after))
			wait, live, err := w.behind(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			got := now
			switch {
			case live:
				got = reads
			case wait > 0:
				got = waits
			}
			if got != tt.want || wait > longestLag {
				t.Errorf("the key %s (%s), want one that %s", got, wait, tt.want)
			}
			if rest := len(w.pending) == 0; rest != tt.rest {
				t.Errorf("that no entry is left is %v, want %v", rest, tt.rest)
			}
		})
	}
}

// TestAlterations checks when the operator writes a Secret again that admission changed.
func TestAlterations(t *testing.T) {
	key := types.NamespacedName{Namespace: "shop", Name: "orders"}
	wanted, other := wantedSecret{labels: map[string]string{"a": "1"}}, wantedSecret{labels: map[string]string{"a": "2"}}
	for _, tt := range []struct {
		name   string
		secret *corev1.Secret
		wanted wantedSecret
		after  time.Duration
		forget bool
		want   bool
	}{
		{name: "as admission left it", secret: secretAt("20"), wanted: wanted, want: true},
		{name: "another client changed it since", secret: secretAt("21"), wanted: wanted},
		{name: "it was made again", secret: secretAt("20", func(s *corev1.Secret) { s.UID = "secret-2" }), wanted: wanted},
		{name: "spec requires another label now", secret: secretAt("20"), wanted: other},
		{name: "long ago", secret: secretAt("20"), wanted: wanted, after: alteredRetry},
		{name: "it is stored as written by now", secret: secretAt("20"), wanted: wanted, forget: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			monotonic := clocktesting.NewFakePassiveClock(time.Now())
			a := newAlterations(monotonic)
			if !a.note(key, secretAt("19"), wanted.fingerprint(), secretWritten{}) || a.note(key, secretAt("20"), wanted.fingerprint(), secretWritten{}) {
				t.Error("only the first of two alterations is the first")
			}
			if tt.forget {
				a.forget(key)
			}
			monotonic.SetTime(monotonic.Now().Add(tt.after))
			if got := a.isKept(key, tt.secret, tt.wanted.fingerprint); got != tt.want {
				t.Errorf("the Secret is not written: %v, want %v", got, tt.want)
			}
		})
	}
}

// TestSecretsWithoutEventsAreReadAtABoundedRate checks the rate of reads if a policy changes the labels of the Secrets of
// twenty thousand keys.
func TestSecretsWithoutEventsAreReadAtABoundedRate(t *testing.T) {
	a := newAlterations(clocktesting.NewFakePassiveClock(time.Now()))
	if got := a.lookEvery(); got != unseenRetry {
		t.Errorf("a few Secrets are read every %s, want every %s", got, unseenRetry)
	}
	for i := range 20000 {
		a.known[types.NamespacedName{Name: string(rune(i))}] = alteration{}
	}
	if rate := float64(len(a.known)) / a.lookEvery().Seconds(); rate > unseenRate {
		t.Errorf("%.0f Secrets a second are read, want at most %d", rate, unseenRate)
	}
}

// TestAnUnseenSecretIsForgottenWithSecretModeNone checks that a key without a Secret no longer waits for a Secret that the
// caches do not show.
func TestAnUnseenSecretIsForgottenWithSecretModeNone(t *testing.T) {
	key := keyAt("20")
	key.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone}
	live := cacheOf(t)
	r := &RefreshKeyReconciler{
		Live: live, own: newOwnWrites(live, clocktesting.NewFakePassiveClock(time.Now()), func() client.Object { return &v1alpha1.JWTRefreshKey{} }),
	}
	r.own.wroteSecret(client.ObjectKeyFromObject(key), secretAt("20"))
	if err := r.observeSecret(t.Context(), &observation{key: key, seen: key, reader: r.Live}); err != nil {
		t.Fatal(err)
	}
	if len(r.own.pending) != 0 {
		t.Errorf("every reconciliation reads from the API server, since it expects a Secret that the key no longer has: %+v", r.own.pending)
	}
}

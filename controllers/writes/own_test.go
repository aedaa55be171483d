package writes

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// cacheOf returns a fake cache with these objects.
func cacheOf(t *testing.T, objects ...client.Object) client.Reader {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
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
		wrote  func(*Own)
		cached []client.Object
		after  time.Duration
		want   string
		// rest is true if the entry is removed.
		rest bool
	}{
		{name: "nothing", wrote: func(*Own) {}, want: now, rest: true},
		{name: "a status that is not shown", wrote: func(w *Own) { w.WroteStatus(keyAt("20")) }, cached: []client.Object{keyAt("9")}, want: waits},
		{name: "a status that is not shown for long", wrote: func(w *Own) { w.WroteStatus(keyAt("20")) }, cached: []client.Object{keyAt("9")}, after: longestLag, want: reads},
		{name: "a status that is shown", wrote: func(w *Own) { w.WroteStatus(keyAt("20")) }, cached: []client.Object{keyAt("20")}, want: now, rest: true},
		{name: "a status that another has followed", wrote: func(w *Own) { w.WroteStatus(keyAt("20")) }, cached: []client.Object{keyAt("100")}, want: now, rest: true},
		{name: "a status of a deleted key", wrote: func(w *Own) { w.WroteStatus(keyAt("20")) }, want: now, rest: true},
		{name: "a new Secret that is not shown", wrote: func(w *Own) { w.WroteSecret(key, secretAt("20")) }, want: waits},
		{name: "a new Secret that is not shown for long", wrote: func(w *Own) { w.WroteSecret(key, secretAt("20")) }, after: time.Minute, want: reads},
		{name: "a Secret that is shown as it was before", wrote: func(w *Own) { w.WroteSecret(key, secretAt("20")) }, cached: []client.Object{secretAt("9")}, want: waits},
		{name: "a Secret that is shown", wrote: func(w *Own) { w.WroteSecret(key, secretAt("20")) }, cached: []client.Object{secretAt("20")}, want: now, rest: true},
		{name: "a Secret that admission relabels", wrote: func(w *Own) { w.WroteSecret(key, secretAt("20", relabelled)) }, want: now, rest: true},
		{name: "a Secret that was shown before admission relabels it", wrote: func(w *Own) {
			w.WroteSecret(key, secretAt("20"))
			w.WroteSecret(key, secretAt("30", relabelled))
		}, want: now, rest: true},
		{name: "a deleted Secret that is shown still", wrote: func(w *Own) { w.DeletedSecret(key, secretAt("20")) }, cached: []client.Object{secretAt("20")}, want: waits},
		{name: "a deleted Secret", wrote: func(w *Own) { w.DeletedSecret(key, secretAt("20")) }, want: now, rest: true},
		{name: "a deleted Secret without the label, for whose end there is no event", wrote: func(w *Own) { w.DeletedSecret(key, secretAt("20", relabelled)) }, want: now, rest: true},
		{name: "a deleted Secret that was made again", wrote: func(w *Own) { w.DeletedSecret(key, secretAt("20")) },
			cached: []client.Object{secretAt("30", func(s *corev1.Secret) { s.UID = "secret-2" })}, want: now, rest: true},
		{name: "a status that is shown and a Secret that is not", wrote: func(w *Own) {
			w.WroteStatus(keyAt("20"))
			w.WroteSecret(key, secretAt("21"))
		}, cached: []client.Object{keyAt("20")}, want: waits},
		{name: "a Secret that another client deleted before the cache showed it", wrote: func(w *Own) {
			w.WroteSecret(key, secretAt("20"))
			w.SawSecret(key, nil)
		}, want: now, rest: true},
		{name: "a Secret that another client relabelled before the cache showed it", wrote: func(w *Own) {
			w.WroteSecret(key, secretAt("20"))
			w.SawSecret(key, secretAt("25", relabelled))
		}, want: now, rest: true},
		{name: "a Secret that the API server has as it was written", wrote: func(w *Own) {
			w.WroteSecret(key, secretAt("20"))
			w.SawSecret(key, secretAt("20"))
		}, want: waits},
	} {
		t.Run(tt.name, func(t *testing.T) {
			monotonic := clocktesting.NewFakePassiveClock(time.Now())
			w := NewOwn(cacheOf(t, tt.cached...), monotonic, func() client.Object { return &v1alpha1.JWTRefreshKey{} })
			tt.wrote(w)
			monotonic.SetTime(monotonic.Now().Add(tt.after))
			wait, live, err := w.Behind(t.Context(), key)
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

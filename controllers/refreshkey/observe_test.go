package refreshkey

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/writes"
)

// TestAnUnseenSecretIsForgottenWithSecretModeNone checks that a key without a Secret no longer waits for a Secret that the
// caches do not show.
func TestAnUnseenSecretIsForgottenWithSecretModeNone(t *testing.T) {
	key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders", ResourceVersion: "20"}}
	key.Spec.Secret = &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone}
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	live := fake.NewClientBuilder().WithScheme(scheme).Build()
	r := &Reconciler{
		live: live, own: writes.NewOwn(live, clocktesting.NewFakePassiveClock(time.Now()), func() client.Object { return &v1alpha1.JWTRefreshKey{} }),
	}
	name := client.ObjectKeyFromObject(key)
	r.own.WroteSecret(name, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "orders", UID: "secret-1", ResourceVersion: "20", Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
	}})
	if wait, _, err := r.own.Behind(t.Context(), name); err != nil || wait == 0 {
		t.Fatalf("the key does not wait for the Secret that was written: %s, %v", wait, err)
	}
	if err := r.observeSecret(t.Context(), &observation{key: key, seen: key, reader: r.live}); err != nil {
		t.Fatal(err)
	}
	if wait, live, err := r.own.Behind(t.Context(), name); err != nil || wait > 0 || live {
		t.Errorf("the key waits %s, or reads from the API server (%v), since it expects a Secret that it no longer has; error %v", wait, live, err)
	}
}

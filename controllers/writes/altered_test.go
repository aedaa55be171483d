package writes

import (
	"crypto/sha256"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
)

// TestAlterations checks when the operator writes a Secret again that admission changed.
func TestAlterations(t *testing.T) {
	key := types.NamespacedName{Namespace: "shop", Name: "orders"}
	fingerprint := func(content string) func() [sha256.Size]byte {
		return func() [sha256.Size]byte { return sha256.Sum256([]byte(content)) }
	}
	wanted, other := fingerprint("label a is 1"), fingerprint("label a is 2")
	for _, tt := range []struct {
		name   string
		secret *corev1.Secret
		wanted func() [sha256.Size]byte
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
			a := NewAlterations(monotonic)
			if !a.Note(key, secretAt("19"), wanted(), Content{}) || a.Note(key, secretAt("20"), wanted(), Content{}) {
				t.Error("only the first of two alterations is the first")
			}
			if tt.forget {
				a.Forget(key)
			}
			monotonic.SetTime(monotonic.Now().Add(tt.after))
			if got := a.IsKept(key, tt.secret, tt.wanted); got != tt.want {
				t.Errorf("the Secret is not written: %v, want %v", got, tt.want)
			}
		})
	}
}

// TestSecretsWithoutEventsAreReadAtABoundedRate checks the rate of reads if a policy changes the labels of the Secrets of
// twenty thousand keys.
func TestSecretsWithoutEventsAreReadAtABoundedRate(t *testing.T) {
	a := NewAlterations(clocktesting.NewFakePassiveClock(time.Now()))
	if got := a.LookEvery(); got != unseenRetry {
		t.Errorf("a few Secrets are read every %s, want every %s", got, unseenRetry)
	}
	for i := range 20000 {
		a.known[types.NamespacedName{Name: string(rune(i))}] = alteration{}
	}
	if rate := float64(len(a.known)) / a.LookEvery().Seconds(); rate > unseenRate {
		t.Errorf("%.0f Secrets a second are read, want at most %d", rate, unseenRate)
	}
}

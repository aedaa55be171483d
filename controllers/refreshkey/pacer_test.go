package refreshkey

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestPacer(t *testing.T) {
	day0 := time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)
	clock := clocktesting.NewFakePassiveClock(day0)
	pace := newPacer(clock, 2)
	name := func(s string) types.NamespacedName { return types.NamespacedName{Namespace: "shop", Name: s} }
	waits := func(key string, want time.Duration) {
		t.Helper()
		if got := pace.turn(name(key)); got != want {
			t.Errorf("key %q waits for %s, not for %s", key, got, want)
		}
	}
	waits("a", 0)
	waits("b", 0)
	waits("c", 500*time.Millisecond)
	waits("d", time.Second)
	waits("c", 500*time.Millisecond)
	clock.SetTime(day0.Add(500 * time.Millisecond))
	waits("c", 0)
	waits("d", 500*time.Millisecond)
	pace.forget(name("d"))
	if len(pace.turns) > 0 {
		t.Errorf("turns remain for keys that used them or do not need them: %v", pace.turns)
	}
}

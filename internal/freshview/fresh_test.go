package freshview

import (
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// TestFreshness checks that a view is proven for the time of the latest question that its watch has reached.
func TestFreshness(t *testing.T) {
	start := time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)
	clock := clocktesting.NewFakePassiveClock(start)
	f := &freshness{clock: clock}
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	proven := func(what string, want int) {
		t.Helper()
		if f.provenAt != at(want) {
			t.Errorf("%s: proven for %s, want %s", what, f.provenAt, at(want))
		}
	}
	f.ask(at(0), "100")
	if _, known := f.age(); known {
		t.Error("proven before the watch reported a version")
	}
	f.reached("99")
	if _, known := f.age(); known {
		t.Error("proven by a watch that is behind")
	}
	f.reached("100")
	proven("the version asked for", 0)
	f.ask(at(20), "100")
	proven("nothing changed since", 20)
	f.ask(at(40), "150")
	f.ask(at(60), "160")
	proven("behind", 20)
	f.reached("155")
	proven("the first of two questions", 40)
	f.reached("1000")
	proven("numbers, not texts, are compared", 60)
	clock.SetTime(at(90))
	if age, known := f.age(); !known || age != 30*time.Second {
		t.Errorf("age %s, %v", age, known)
	}
	for i := range 3 * maxQuestions {
		f.ask(at(100+i), "5000")
	}
	if len(f.open) > maxQuestions {
		t.Errorf("%d questions are kept", len(f.open))
	}
	f.reached("5000")
	proven("of many questions the last", 100+3*maxQuestions-1)
}

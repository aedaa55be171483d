package writes

import (
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// TestFailuresAreReportedOnce checks that a failure is reported after reportAfter, a refusal at once, and that the report
// stays the same.
func TestFailuresAreReportedOnce(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC))
	known := NewFailures(clock)
	key := types.NamespacedName{Namespace: "shop", Name: "orders"}
	passing := func(answer string) lifecycle.Failure { return lifecycle.Failure{Name: "orders", Answer: answer} }
	refused := func(answer string) lifecycle.Failure {
		return lifecycle.Failure{Name: "orders", Answer: answer, Refused: true}
	}
	steps := []struct {
		name   string
		after  time.Duration
		took   time.Duration
		failed lifecycle.Failure
		over   bool
		want   string
	}{
		{name: "a first failure is not reported", failed: passing("a"), want: ""},
		{name: "it is shorter than reportAfter", after: reportAfter - 1, failed: passing("b"), want: ""},
		{name: "it lasts reportAfter", after: 1, failed: passing("c"), want: "c"},
		{name: "another answer changes nothing", after: time.Minute, failed: passing("d"), want: "c"},
		{name: "a refusal replaces it", failed: refused("e"), want: "e"},
		{name: "and stays", failed: passing("f"), want: "e"},
		{name: "another refusal changes nothing", failed: refused("g"), want: "e"},
		{name: "another Secret does", failed: lifecycle.Failure{Name: "other", Answer: "h"}, want: "h"},
		{name: "after a success it begins again", over: true, failed: passing("i"), want: ""},
		{name: "a refusal is reported at once", over: true, failed: refused("j"), want: "j"},
		{name: "a single long try is reported at its end", over: true, took: reportAfter, failed: passing("k"), want: "k"},
	}
	for _, step := range steps {
		if step.over {
			known.Clear(key)
		}
		clock.SetTime(clock.Now().Add(step.after))
		began := known.Now()
		clock.SetTime(clock.Now().Add(step.took))
		reported := known.Report(key, began, step.failed)
		if got := answerOfFailure(reported); got != step.want {
			t.Errorf("%s: %q is reported, wanted %q", step.name, got, step.want)
		}
	}
	if known.Report(key, known.Now(), passing("l")); !errors.Is(known.StatusWritten(key, ErrOutdated), ErrOutdated) || len(known.all) > 0 {
		t.Errorf("an outage of the API server counts: %v", known.all)
	}
	known.Clear(key)
	if len(known.all) > 0 {
		t.Errorf("failures remain that have ended: %v", known.all)
	}
}

func answerOfFailure(f *lifecycle.Failure) string {
	if f == nil {
		return ""
	}
	return f.Answer
}

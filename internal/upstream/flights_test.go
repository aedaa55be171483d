package upstream

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestFlights checks that concurrent callers share one answer, and that a caller that cancels ends only its own
// wait.
func TestFlights(t *testing.T) { synctest.Test(t, testFlights) }

func testFlights(t *testing.T) {
	var flights Flights[string]
	asked, answer := make(chan context.Context, 2), make(chan string)
	ask := func(ctx context.Context) (string, error) {
		asked <- ctx
		return <-answer, nil
	}
	type outcome struct {
		text string
		err  error
	}
	do := func(ctx context.Context) chan outcome {
		done := make(chan outcome, 1)
		go func() {
			text, err := flights.Do(ctx, "question", ask)
			done <- outcome{text, err}
		}()
		return done
	}
	impatient, leave := context.WithCancel(t.Context())
	first := do(impatient)
	flight := <-asked
	leave()
	if got := <-first; !errors.Is(got.err, ErrUnavailable) || !errors.Is(got.err, context.Canceled) {
		t.Errorf("the caller that canceled gets %q, %v", got.text, got.err)
	}
	if flight.Err() != nil {
		t.Errorf("the shared call ended with its first caller: %v", flight.Err())
	}
	if _, bounded := flight.Deadline(); !bounded {
		t.Error("the shared call has no deadline")
	}
	second := do(t.Context())
	synctest.Wait()
	answer <- "answer"
	if got := <-second; got.text != "answer" || got.err != nil {
		t.Errorf("the waiting caller gets %q, %v", got.text, got.err)
	}
	if len(asked) != 0 {
		t.Error("ask was called twice")
	}
}

package registry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestFlights: all who ask at the same time get one answer, and who goes away ends it for
// nobody but himself.
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
		t.Errorf("who goes away gets %q, %v", got.text, got.err)
	}
	if flight.Err() != nil {
		t.Errorf("the question ended with who asked it: %v", flight.Err())
	}
	if _, bounded := flight.Deadline(); !bounded {
		t.Error("the question has no end")
	}
	second := do(t.Context())
	synctest.Wait()
	answer <- "answer"
	if got := <-second; got.text != "answer" || got.err != nil {
		t.Errorf("who waits gets %q, %v", got.text, got.err)
	}
	if len(asked) != 0 {
		t.Error("it was asked twice")
	}
}

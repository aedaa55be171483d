package registry

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
)

// RequestTimeout is how long an answer of the API server is waited for.
const RequestTimeout = 10 * time.Second

// Flights lets all who have the same question at the same time wait for one answer. The zero
// value is ready for use.
type Flights[T any] struct{ group singleflight.Group }

// Do asks, or waits for what another asks already. Others wait for the answer too, so that it
// does not end with whoever came first, but after RequestTimeout; who goes away himself gets
// ErrUnavailable. What came of it is given back with the error as well.
func (f *Flights[T]) Do(ctx context.Context, question string, ask func(context.Context) (T, error)) (T, error) {
	flight := f.group.DoChan(question, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), RequestTimeout)
		defer cancel()
		return ask(ctx)
	})
	select {
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("%w: no answer within the time of the request: %w", ErrUnavailable, ctx.Err())
	case result := <-flight:
		answer, _ := result.Val.(T)
		return answer, result.Err
	}
}

package upstream

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
)

// RequestTimeout bounds how long an answer of the API server is waited for.
const RequestTimeout = 10 * time.Second

// Flights lets concurrent callers with the same question share one answer. The zero value is ready for use.
type Flights[T any] struct{ group singleflight.Group }

// Do calls ask, or waits for the call of another caller with the same question. The call ends after
// RequestTimeout, and not with the context of its first caller. A caller gets ErrUnavailable when its own context
// ends. Do returns the value of ask also with an error.
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

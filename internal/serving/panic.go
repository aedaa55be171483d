package serving

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
)

// Panicked returns an error that says where a handler panicked, for what recover returned there; nil for nothing. It passes on the
// panic by which a handler gives an answer up. The value of a panic can hold what must not be logged, so that its type stands for it,
// unless it comes from the Go runtime.
func Panicked(recovered any) error {
	switch value := recovered.(type) {
	case nil:
		return nil
	case runtime.Error:
		return fmt.Errorf("panic: %w\n%s", value, debug.Stack())
	default:
		if err, is := recovered.(error); is && errors.Is(err, http.ErrAbortHandler) {
			panic(recovered)
		}
		return fmt.Errorf("panic: a value of the type %T\n%s", value, debug.Stack())
	}
}

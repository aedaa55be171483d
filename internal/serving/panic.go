package serving

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
)

// Panicked returns an error with the place of a handler's panic, for the value that recover returned there; nil for no panic. It panics
// again with http.ErrAbortHandler, by which a handler aborts its answer. The value of a panic can hold a secret, so the error has only
// the value's type, unless the Go runtime made the value.
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

// Package upstream holds what all requests to the API server and to other services share: a time limit, one answer for
// callers with the same question, and the error of a service that does not answer.
package upstream

import (
	"errors"
	"fmt"
)

// ErrUnavailable means that something cannot be known or recorded now. An error that wraps it names the dependency
// that is the reason. It is matched with errors.Is.
var ErrUnavailable = errors.New("temporarily unavailable")

// Unavailable returns ErrUnavailable with a reason for the log.
func Unavailable(reason string) error { return fmt.Errorf("%w: %s", ErrUnavailable, reason) }

// NoAPIServer returns ErrUnavailable with the failed request to the API server as the reason.
func NoAPIServer(err error) error {
	return fmt.Errorf("%w: the API server is unavailable: %w", ErrUnavailable, err)
}

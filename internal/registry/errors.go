package registry

import "fmt"

// noAPIServer returns ErrUnavailable with the failed request to the API server as the reason.
func noAPIServer(err error) error {
	return fmt.Errorf("%w: the API server is unavailable: %w", ErrUnavailable, err)
}

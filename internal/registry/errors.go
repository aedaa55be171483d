package registry

import "fmt"

// noAPIServer says that the API server is the reason why something is unavailable.
func noAPIServer(err error) error {
	return fmt.Errorf("%w: the API server is unavailable: %w", ErrUnavailable, err)
}

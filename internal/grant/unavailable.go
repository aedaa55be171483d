package grant

import (
	"fmt"

	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// unavailable returns ErrUnavailable with a reason for the log.
func unavailable(reason string) error {
	return fmt.Errorf("%w: %s", upstream.ErrUnavailable, reason)
}

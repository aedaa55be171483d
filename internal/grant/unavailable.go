package grant

import (
	"fmt"

	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// unavailable returns ErrUnavailable with a reason for the log.
func unavailable(reason string) error {
	return fmt.Errorf("%w: %s", registry.ErrUnavailable, reason)
}

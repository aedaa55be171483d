package grant

import (
	"fmt"

	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// unavailable says why something cannot be known or recorded now. The reason is for the log alone.
func unavailable(reason string) error {
	return fmt.Errorf("%w: %s", registry.ErrUnavailable, reason)
}

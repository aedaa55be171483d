//go:build !linux

package isolation

import (
	"context"
	"fmt"
	"runtime"
)

// Hook does nothing on this system.
func Hook() {}

// Available returns an error: isolation needs Linux.
func Available(context.Context) error {
	return fmt.Errorf("%w: it needs the namespaces of Linux, and this is %s", ErrUnavailable, runtime.GOOS)
}

// Run returns an error: isolation needs Linux.
func Run(ctx context.Context, _ Options) error { return Available(ctx) }

//go:build !linux

package isolation

import (
	"context"
	"fmt"
	"runtime"
)

// Hook does nothing here.
func Hook() {}

// Available tells why nothing can be run here.
func Available(context.Context) error {
	return fmt.Errorf("%w: it needs the namespaces of Linux, and this is %s", ErrUnavailable, runtime.GOOS)
}

// Run is for Linux alone.
func Run(ctx context.Context, _ Options) error { return Available(ctx) }

// Package span writes durations for people. It is pure.
package span

import (
	"strings"
	"time"
)

// Short returns a duration as time.Duration writes it, without units that are zero at its end: 720h, 20m, 1h30m.
func Short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

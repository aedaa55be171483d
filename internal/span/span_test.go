package span

import (
	"testing"
	"time"
)

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{720 * time.Hour: "720h", 20 * time.Minute: "20m", 90 * time.Minute: "1h30m", 61 * time.Second: "1m1s", 0: "0s"} {
		if got := Short(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

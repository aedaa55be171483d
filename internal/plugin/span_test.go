package plugin

import (
	"testing"
	"time"
)

func TestParseSpan(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
		bad  bool
	}{
		{"30d", 720 * time.Hour, false},
		{"2w", 336 * time.Hour, false},
		{"1w2d12h30m", (9*24+12)*time.Hour + 30*time.Minute, false},
		{"720h", 720 * time.Hour, false},
		{"1h30m", 90 * time.Minute, false},
		{"0s", 0, false},
		{"0d", 0, false},
		{"", 0, true},
		{"d", 0, true},
		{"30", 0, true},
		{"-1h", 0, true},
		{"-1d", 0, true},
		{"1d-1h", 0, true},
		{"2d1w", 0, true},
		{"1.5d", 0, true},
		{"30days", 0, true},
		{"999999d", 0, true},
		{"soon", 0, true},
	} {
		got, err := parseSpan(c.text)
		if (err != nil) != c.bad || (err == nil && got != c.want) {
			t.Errorf("%q: %s, %v; want %s, an error: %v", c.text, got, err, c.want, c.bad)
		}
	}
}

func TestRelative(t *testing.T) {
	for _, c := range []struct {
		at   time.Duration
		want string
	}{{30 * day, "in 30d"}, {-5 * time.Minute, "5m ago"}, {0, "0s ago"}, {90 * time.Second, "in 90s"}} {
		if got := relative(noon.Add(c.at), noon); got != c.want {
			t.Errorf("%s: %q, want %q", c.at, got, c.want)
		}
	}
}

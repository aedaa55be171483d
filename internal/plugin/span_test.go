package plugin

import (
	"fmt"
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
		{"15250w1d", (15250*7 + 1) * day, false},
		{"15250w2d", 0, true},
		{"30501w", 0, true},
		{"15250w1d24h", 0, true},
		{"soon", 0, true},
	} {
		got, err := parseSpan(c.text)
		if (err != nil) != c.bad || (err == nil && got != c.want) {
			t.Errorf("%q: %s, %v; want %s, an error: %v", c.text, got, err, c.want, c.bad)
		}
	}
}

// FuzzParseSpan checks that parseSpan reads every duration of time.ParseDuration that is not negative, that weeks and days
// before one add to it, and that no result is negative.
func FuzzParseSpan(f *testing.F) {
	for _, text := range []string{"30d", "2w", "1w2d12h30m", "720h", "1.5h", ".5s", "1d-1h", "2d1w", "15250w2d", "30501w", "2d0", "1us", "+3h", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseSpan(text)
		if plain, refused := time.ParseDuration(text); refused == nil && (err == nil) != (plain >= 0) {
			t.Fatalf("%q: %s, %v; time.ParseDuration says %s", text, got, err, plain)
		} else if refused == nil && err == nil && got != plain {
			t.Fatalf("%q: %s, time.ParseDuration says %s", text, got, plain)
		}
		if err != nil {
			return
		}
		if got < 0 {
			t.Fatalf("%q: %s", text, got)
		}
		same := fmt.Sprintf("%dw%dd%s", got/week, got%week/day, got%day)
		if again, err := parseSpan(same); err != nil || again != got {
			t.Fatalf("%q: %s, but %q: %s, %v", text, got, same, again, err)
		}
	})
}

func TestRelativeAndShort(t *testing.T) {
	for _, c := range []struct {
		at   time.Duration
		want string
	}{{30 * day, "in 30d"}, {-5 * time.Minute, "5m ago"}, {0, "0s ago"}, {90 * time.Second, "in 90s"}} {
		if got := relative(noon.Add(c.at), noon); got != c.want {
			t.Errorf("%s: %q, want %q", c.at, got, c.want)
		}
	}
	for d, want := range map[time.Duration]string{720 * time.Hour: "720h", 20 * time.Minute: "20m", 90 * time.Minute: "1h30m", 61 * time.Second: "1m1s", 0: "0s"} {
		if got := short(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

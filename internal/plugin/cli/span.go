package cli

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// A day is always 24 hours and a week seven days, without regard to a calendar.
const (
	day  = 24 * time.Hour
	week = 7 * day
)

var spanForm = regexp.MustCompile(`^(?:([0-9]{1,5})w)?(?:([0-9]{1,5})d)?(.*)$`)

// ParseSpan returns the duration that text names: as time.ParseDuration reads it, with weeks and days before it (30d,
// 1w2d12h). It is never negative, and an error if it overflows. No library reads the same (ADR 3): FuzzParseSpan states
// what holds.
func ParseSpan(text string) (time.Duration, error) {
	parts := spanForm.FindStringSubmatch(text)
	wrong := fmt.Errorf("%q is not a duration: write it as 30d, 2w, 12h or 1d12h30m", text)
	if text == "" || parts == nil {
		return 0, wrong
	}
	var total time.Duration
	for i, unit := range []time.Duration{week, day} {
		if parts[i+1] != "" {
			n, err := strconv.Atoi(parts[i+1])
			if err != nil || time.Duration(n) > (math.MaxInt64-total)/unit {
				return 0, wrong
			}
			total += time.Duration(n) * unit
		}
	}
	if parts[3] != "" {
		rest, err := time.ParseDuration(parts[3])
		if err != nil || rest < 0 || rest > math.MaxInt64-total {
			return 0, wrong
		}
		total += rest
	}
	return total, nil
}

// SpanFlag is a duration on the command line; its Value is nil if the flag is not set.
type SpanFlag struct{ Value *time.Duration }

// String implements pflag.Value.
func (f *SpanFlag) String() string {
	if f.Value == nil {
		return ""
	}
	return f.Value.String()
}

// Set implements pflag.Value.
func (f *SpanFlag) Set(text string) error {
	parsed, err := ParseSpan(text)
	f.Value = &parsed
	return err
}

// Type implements pflag.Value.
func (f *SpanFlag) Type() string { return "duration" }

// Field returns the flag as an API field; nil if the flag is not set.
func (f *SpanFlag) Field() *metav1.Duration {
	if f.Value == nil {
		return nil
	}
	return &metav1.Duration{Duration: *f.Value}
}

// Relative formats a time relative to now: `in 29d`, `5m ago`.
func Relative(at, now time.Time) string {
	if at.After(now) {
		return "in " + duration.HumanDuration(at.Sub(now))
	}
	return duration.HumanDuration(now.Sub(at)) + " ago"
}

// Stamp formats a time in RFC 3339 and relative to now.
func Stamp(at, now time.Time) string {
	return at.UTC().Format(time.RFC3339) + " (" + Relative(at, now) + ")"
}

// StampOr returns stamp of a time, or none if the time is unset.
func StampOr(at *metav1.Time, now time.Time, none string) string {
	if at == nil || at.IsZero() {
		return none
	}
	return Stamp(at.Time, now)
}

// RelativeOr returns Relative of a time, or none if the time is unset.
func RelativeOr(at *metav1.Time, now time.Time, none string) string {
	if at == nil {
		return none
	}
	return Relative(at.Time, now)
}

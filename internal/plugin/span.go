package plugin

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// Days and weeks are those of 24 hours: a calendar plays no part in the life of a token.
const (
	day  = 24 * time.Hour
	week = 7 * day
)

var span = regexp.MustCompile(`^(?:([0-9]{1,5})w)?(?:([0-9]{1,5})d)?(.*)$`)

// parseSpan reads a duration as time.ParseDuration does, with weeks and days before it: 30d, 1w2d12h.
func parseSpan(text string) (time.Duration, error) {
	parts := span.FindStringSubmatch(text)
	wrong := fmt.Errorf("%q is not a duration: write it as 30d, 2w, 12h or 1d12h30m", text)
	if text == "" || parts == nil {
		return 0, wrong
	}
	var total time.Duration
	for i, unit := range []time.Duration{week, day} {
		if parts[i+1] != "" {
			n, err := strconv.Atoi(parts[i+1])
			if err != nil {
				return 0, wrong
			}
			total += time.Duration(n) * unit
		}
	}
	if parts[3] != "" {
		rest, err := time.ParseDuration(parts[3])
		if err != nil || rest < 0 {
			return 0, wrong
		}
		total += rest
	}
	return total, nil
}

// spanFlag is a duration of the command line; nil while it is not given.
type spanFlag struct{ value *time.Duration }

func (f *spanFlag) String() string {
	if f.value == nil {
		return ""
	}
	return f.value.String()
}

func (f *spanFlag) Set(text string) error {
	parsed, err := parseSpan(text)
	f.value = &parsed
	return err
}

func (f *spanFlag) Type() string { return "duration" }

// field is the flag as the API writes it: in hours, minutes and seconds.
func (f *spanFlag) field() *metav1.Duration {
	if f.value == nil {
		return nil
	}
	return &metav1.Duration{Duration: *f.value}
}

// relative tells a time as seen from now: `in 29d`, `5m ago`.
func relative(at, now time.Time) string {
	if at.After(now) {
		return "in " + duration.HumanDuration(at.Sub(now))
	}
	return duration.HumanDuration(now.Sub(at)) + " ago"
}

// stamp tells a time absolutely, and as seen from now.
func stamp(at, now time.Time) string {
	return at.UTC().Format(time.RFC3339) + " (" + relative(at, now) + ")"
}

// stampOr is stamp of a time that may not be there.
func stampOr(at *metav1.Time, now time.Time, none string) string {
	if at == nil || at.IsZero() {
		return none
	}
	return stamp(at.Time, now)
}

package keyring

import (
	"fmt"
	"time"
)

// maxDuration bounds every duration of a Schedule, so that no sum of times can overflow: about 100 years.
const maxDuration = 876000 * time.Hour

// Defaults of a JWTIssuer's spec.signing. They live here and not in the schema.
const (
	DefaultRotateAfter = 2160 * time.Hour
	DefaultPrepublish  = time.Hour
)

// Schedule says how the keys of an issuer rotate. Parts of a second are rounded up.
type Schedule struct {
	// Algorithm of the keys made from now on.
	Algorithm Algorithm
	// RotateAfter is how long a key signs before the next one takes over. Above 0.
	RotateAfter time.Duration
	// Prepublish is how long a key is published before it may sign. 0 or more.
	Prepublish time.Duration
	// RefreshKeep is how long a refresh key stays after it stopped signing: the longest life of a refresh
	// token it may have signed, plus clock skew, plus the delay until every replica has seen that it
	// stopped. 0 or more. It is fixed for a key when that key stops.
	RefreshKeep time.Duration
	// AccessKeep is the same for an access key. Nothing records access tokens, so this alone protects them:
	// after the longest life was shortened, keep passing the old one until the next rotation.
	AccessKeep time.Duration
	// Asked is a moment by which somebody wants other keys: one that began to sign before it is followed by
	// the next as soon as that has been published for Prepublish, and not before Asked itself. It puts no
	// rotation off. Zero for none.
	Asked time.Time
}

// Validate returns an error that says which field is out of bounds.
func (s Schedule) Validate() error {
	if !s.Algorithm.Valid() {
		return fmt.Errorf("keyring: schedule: unknown algorithm %q", s.Algorithm)
	}
	if s.RotateAfter <= 0 {
		return fmt.Errorf("keyring: schedule: RotateAfter %s is not above 0", s.RotateAfter)
	}
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"RotateAfter", s.RotateAfter},
		{"Prepublish", s.Prepublish},
		{"RefreshKeep", s.RefreshKeep},
		{"AccessKeep", s.AccessKeep},
	} {
		if field.value < 0 || field.value > maxDuration {
			return fmt.Errorf("keyring: schedule: %s %s is not within 0 and %s", field.name, field.value, maxDuration)
		}
	}
	return nil
}

// wholeSeconds rounds up, so that nothing happens earlier than was asked for.
func (s Schedule) wholeSeconds() Schedule {
	for _, d := range []*time.Duration{&s.RotateAfter, &s.Prepublish, &s.RefreshKeep, &s.AccessKeep} {
		*d = (*d + time.Second - 1).Truncate(time.Second)
	}
	return s
}

func (s Schedule) keep(use Use) time.Duration {
	if use == Refresh {
		return s.RefreshKeep
	}
	return s.AccessKeep
}

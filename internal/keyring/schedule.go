package keyring

import (
	"fmt"
	"time"
)

// maxDuration is the largest duration of a Schedule, about 100 years, so that no sum of times can overflow.
const maxDuration = 876000 * time.Hour

// Defaults of a JWTIssuer's spec.signing. The schema does not contain them.
const (
	DefaultRotateAfter = 2160 * time.Hour
	DefaultPrepublish  = time.Hour
)

// Schedule defines the rotation of an issuer's signing keys. Parts of a second are rounded up.
type Schedule struct {
	// Algorithm of new keys.
	Algorithm Algorithm
	// RotateAfter is how long a key signs before the next one replaces it. Above 0.
	RotateAfter time.Duration
	// Prepublish is how long a key is published before it signs. 0 or more.
	Prepublish time.Duration
	// RefreshKeep is how long a key of the refresh ring stays after it stopped signing: the longest lifetime of a
	// refresh token that it signed, plus clock skew, plus the delay until every replica has the change. 0 or more.
	// It is fixed for a key when that key stops.
	RefreshKeep time.Duration
	// AccessKeep is the same for a key of the access ring. Access tokens are not recorded, so only this protects
	// them: after a reduction of the longest lifetime, pass the old one until the next rotation.
	AccessKeep time.Duration
	// Seals says whether the issuer has a seal ring. Without it, the keys of that ring retire.
	Seals bool
	// SealKeep is how long a key of the seal ring stays after it stopped: the longest life of what it sealed, plus clock
	// skew. 0 or more.
	SealKeep time.Duration
	// Asked is the time of a requested rotation: a key that began to sign before it is replaced by the next as
	// soon as that has been published for Prepublish, and not before Asked. It delays no rotation. Zero for none.
	Asked time.Time
}

// Validate returns an error that names the field that is out of bounds.
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
		{"SealKeep", s.SealKeep},
	} {
		if field.value < 0 || field.value > maxDuration {
			return fmt.Errorf("keyring: schedule: %s %s is not within 0 and %s", field.name, field.value, maxDuration)
		}
	}
	return nil
}

// wholeSeconds rounds up, so that no change happens too early.
func (s Schedule) wholeSeconds() Schedule {
	for _, d := range []*time.Duration{&s.RotateAfter, &s.Prepublish, &s.RefreshKeep, &s.AccessKeep, &s.SealKeep} {
		*d = (*d + time.Second - 1).Truncate(time.Second)
	}
	return s
}

func (s Schedule) keep(use Use) time.Duration {
	switch use {
	case Refresh:
		return s.RefreshKeep
	case Access:
		return s.AccessKeep
	default:
		return s.SealKeep
	}
}

// of returns the schedule of one ring. The algorithm of the seal ring does not depend on that of tokens.
func (s Schedule) of(use Use) Schedule {
	if use == Seal {
		s.Algorithm = EdDSA
	}
	return s
}

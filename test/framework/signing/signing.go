// Package signing makes the signing keys of an issuer, for tests without an operator.
package signing

import (
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// Schedule is the schedule of the signing keys.
var Schedule = keyring.Schedule{Algorithm: keyring.ES256, RotateAfter: 24 * time.Hour, Prepublish: time.Hour, RefreshKeep: 24 * time.Hour, AccessKeep: time.Hour}

// Next returns the rings that follow others at a time; nil is followed by the first ones.
func Next(tb testing.TB, rings *keyring.Rings, at time.Time) *keyring.Rings {
	tb.Helper()
	next, err := keyring.Advance(rings, Schedule, nil, nil, at, keyring.Generate)
	if err != nil {
		tb.Fatal(err)
	}
	return next
}

// Package queue decides when an object is reconciled: the order of the work queue, the retries, the delays, and how long one
// reconciliation takes at most.
package queue

import (
	"errors"
	"time"
)

const (
	// ReconcileTimeout bounds a reconciliation as a whole.
	ReconcileTimeout = 30 * time.Second
	// ConflictDelay is the delay after a conflict until the object is reconciled again. It gives the cache time to show the
	// change that made a write fail.
	ConflictDelay = 50 * time.Millisecond
	// BusyDelay is the delay after ErrBusy until the object is reconciled again.
	BusyDelay = 250 * time.Millisecond
	// LongestSleep bounds how late a decision can be if the clock was set forward or the machine was suspended: timers do
	// not account for either.
	LongestSleep = time.Hour
)

// ErrBusy means that another worker is reading the data that this one needs. The object is requeued after BusyDelay,
// so that no worker waits.
var ErrBusy = errors.New("another worker is reading it")

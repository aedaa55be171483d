package writes

import (
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// reportAfter is how long a write fails before a condition reports it, unless a user has to act. The restart of a webhook, or
// an election among API servers, changes no condition.
const reportAfter = 1500 * time.Millisecond

// Failures records the failing write of each object, and the report in its conditions. The report stays the same from the
// first try to the last, even if the answers of the API server differ.
type Failures struct {
	// clock measures elapsed time; no decision depends on it.
	clock clock.PassiveClock

	mu  sync.Mutex
	all map[types.NamespacedName]*failing
}

type failing struct {
	since    time.Time
	reported *lifecycle.Failure
}

// NewFailures returns an empty record.
func NewFailures(clock clock.PassiveClock) *Failures {
	return &Failures{clock: clock, all: map[types.NamespacedName]*failing{}}
}

// Now returns the time at which a try begins.
func (f *Failures) Now() time.Time { return f.clock.Now() }

// Report returns the failure that the conditions of an object must report, for a try that began at a time; nil
// before reportAfter, unless a user has to act.
func (f *Failures) Report(object types.NamespacedName, began time.Time, failed lifecycle.Failure) *lifecycle.Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.all[object]
	if known == nil {
		known = &failing{since: began}
		f.all[object] = known
	}
	// A failure on which a user has to act stays reported, even if the API server gives other answers in between.
	if reported := known.reported; reported != nil && reported.Name == failed.Name && (reported.Refused || !failed.Refused) {
		return reported
	}
	if !failed.Refused && f.clock.Since(known.since) < reportAfter {
		return nil
	}
	known.reported = &failed
	return known.reported
}

// StatusWritten records the result of the status write that reports a failure. If that write fails too, the API server is
// unavailable and no condition can report it: reportAfter starts again with the next try.
func (f *Failures) StatusWritten(object types.NamespacedName, err error) error {
	if err != nil && !apierrors.IsConflict(err) {
		f.Clear(object)
	}
	return err
}

// Clear removes the failure of an object that is up to date or deleted.
func (f *Failures) Clear(object types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, object)
}

package controllers

import (
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// tellAfter is how long a write fails before a condition reports it, unless a user has to act. The restart of a webhook, or
// an election among API servers, changes no condition.
const tellAfter = 1500 * time.Millisecond

// failures remembers the failing write of each object, and the report in its conditions. The report stays the same from the
// first try to the last, whatever the API server answers meanwhile.
type failures struct {
	// clock measures elapsed time; no decision depends on it.
	clock clock.PassiveClock

	mu  sync.Mutex
	all map[types.NamespacedName]*failing
}

type failing struct {
	since time.Time
	told  *lifecycle.Failure
}

func newFailures(clock clock.PassiveClock) *failures {
	return &failures{clock: clock, all: map[types.NamespacedName]*failing{}}
}

// now returns the time at which a try begins.
func (f *failures) now() time.Time { return f.clock.Now() }

// tell returns the failure that the conditions of an object must report, for a try that began at a time; nil
// while the failure may pass by itself.
func (f *failures) tell(object types.NamespacedName, began time.Time, failed lifecycle.Failure) *lifecycle.Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.all[object]
	if known == nil {
		known = &failing{since: began}
		f.all[object] = known
	}
	// A failure on which a user has to act stays reported, even if the API server gives other answers in between.
	if told := known.told; told != nil && told.Name == failed.Name && (told.Refused || !failed.Refused) {
		return told
	}
	if !failed.Refused && f.clock.Since(known.since) < tellAfter {
		return nil
	}
	known.told = &failed
	return known.told
}

// reported records the result of the status write that reports a failure. If that write fails too, the API server is
// unavailable, which no condition can report: the time starts again when it is back.
func (f *failures) reported(object types.NamespacedName, err error) error {
	if err != nil && !apierrors.IsConflict(err) {
		f.over(object)
	}
	return err
}

// over forgets the failure of an object that is up to date or deleted.
func (f *failures) over(object types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, object)
}

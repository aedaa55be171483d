package controllers

import (
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// tellAfter is how long a write has failed before that is told, unless a user has to act: a webhook that is restarted, or
// an API server that elects a leader, turns no condition.
const tellAfter = 1500 * time.Millisecond

// failures remembers of each object the write that fails, and what its conditions say of it: the same from the first try to
// the last, whatever the API server answers meanwhile.
type failures struct {
	// clock tells the time that passes here; a decision never depends on it.
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

// now begins a try.
func (f *failures) now() time.Time { return f.clock.Now() }

// tell returns what the conditions of an object are to say of a write that failed, in a try that began at a time; nil
// while it may pass by itself.
func (f *failures) tell(object types.NamespacedName, began time.Time, failed lifecycle.Failure) *lifecycle.Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.all[object]
	if known == nil {
		known = &failing{since: began}
		f.all[object] = known
	}
	// What a user has to act on stays told while other answers come in between.
	if told := known.told; told != nil && told.Name == failed.Name && (told.Refused || !failed.Refused) {
		return told
	}
	if !failed.Refused && f.clock.Since(known.since) < tellAfter {
		return nil
	}
	known.told = &failed
	return known.told
}

// reported is what came of the write of the status that tells of a failure. Where that fails too the API server is away, which
// no condition can tell: the time counts anew once it is back.
func (f *failures) reported(object types.NamespacedName, err error) error {
	if err != nil && !apierrors.IsConflict(err) {
		f.over(object)
	}
	return err
}

// over forgets what failed: the object is as it should be, or gone.
func (f *failures) over(object types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, object)
}

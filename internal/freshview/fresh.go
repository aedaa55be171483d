package freshview

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// freshness records the latest time at which a view is proven to be complete.
//
// A quiet watch proves nothing: it may have no events or hang. So the API server is asked periodically for the
// current version of its storage. When the watch reaches that version, by an event or by the bookmark that ends
// each watch, the view is proven for the time of the question.
type freshness struct {
	clock clock.PassiveClock

	mu       sync.Mutex
	provenAt time.Time
	// open are the questions that the watch has not reached, oldest first.
	open    []question
	version string
}

// maxQuestions is the maximum number of open questions; with more, the view is outdated anyway.
const maxQuestions = 64

type question struct {
	at      time.Time
	version string
}

// ask records that storage had the version at the time.
func (f *freshness) ask(at time.Time, version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = append(f.open, question{at: at, version: version})
	if len(f.open) > maxQuestions {
		f.open = f.open[1:]
	}
	f.settle()
}

func (f *freshness) reached(version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version = version
	f.settle()
}

func (f *freshness) settle() {
	if f.version == "" {
		return
	}
	answered := 0
	for answered < len(f.open) && !newer(f.open[answered].version, f.version) {
		f.provenAt = f.open[answered].at
		answered++
	}
	f.open = f.open[answered:]
}

// age returns the time since the view was proven; false if it never was.
func (f *freshness) age() (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clock.Since(f.provenAt), !f.provenAt.IsZero()
}

package registry

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// freshness keeps the latest moment of which it is proven that a view knows all that was then.
//
// Silence proves nothing: the watch of a kind that nobody changes is quiet for a minute and
// more, and so is one that hangs. So the API server is asked, now and then, for the version
// that its storage has at this moment; once the watch has come as far, by an event or by
// the bookmark that ends each watch, the view is proven for the moment of the question.
type freshness struct {
	clock clock.PassiveClock

	mu       sync.Mutex
	provenAt time.Time
	// asked is the oldest question that the watch has not come up to.
	asked   question
	version string
}

type question struct {
	at      time.Time
	version string
}

// ask notes that storage had the version at the time; a question that is open still is
// kept, as it will be answered sooner.
func (f *freshness) ask(at time.Time, version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked.version == "" {
		f.asked = question{at: at, version: version}
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
	if f.asked.version != "" && f.version != "" && !newer(f.asked.version, f.version) {
		f.provenAt, f.asked = f.asked.at, question{}
	}
}

// age is how long ago the view was proven; false when it never was.
func (f *freshness) age() (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clock.Since(f.provenAt), !f.provenAt.IsZero()
}

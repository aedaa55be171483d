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
	// open are the questions that the watch has not come up to, oldest first.
	open    []question
	version string
}

// maxQuestions is how many questions are kept: beyond it the view is too old anyway.
const maxQuestions = 64

type question struct {
	at      time.Time
	version string
}

// ask notes that storage had the version at the time.
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

// age is how long ago the view was proven; false when it never was.
func (f *freshness) age() (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clock.Since(f.provenAt), !f.provenAt.IsZero()
}

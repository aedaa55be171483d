// Package usage records in memory which tokens were exchanged, and writes few of these uses to the status of refresh keys.
package usage

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

const (
	// reportEvery is the shortest time between two recorded uses: a use within it of the recorded one is not
	// reported.
	reportEvery = 10 * time.Minute
	// reportSoon is the period in which reports are spread, so that one of several replicas writes and the others
	// see it. Uses that decide whether a token ends are reported within it.
	reportSoon = 45 * time.Second
	// supersededEvery is reportEvery for superseded tokens and for refresh keys with an idleTimeout.
	supersededEvery = 30 * time.Second
	// lookEvery is the interval of checking for due reports.
	lookEvery = 2 * time.Second
	// reportRate is the limit of writes a second of a replica, and reportsAtOnce that of one check. Urgent reports
	// are exempt. The writes are spread, since a burst would delay exchanges.
	reportRate    = 20
	reportsAtOnce = reportRate * int(lookEvery/time.Second)
	// reportersAtOnce is the maximum number of concurrent writes.
	reportersAtOnce = 8
	// flushFor is how long a shutdown may take to write the remaining reports.
	flushFor = 10 * time.Second
)

// Use is one exchange of a token.
type Use struct {
	Key  types.NamespacedName
	UID  types.UID
	At   time.Time
	Seen v1alpha1.SeenDevice
	// Revision is that of the token; 0 for a use that does not change lastUsedRevision: for a one-time key only
	// the advance of its line does.
	Revision int64
	// Superseded: a later token existed at the use.
	Superseded bool
	// Prompt: the refresh key has an idleTimeout, so its uses are reported within a minute.
	Prompt bool
}

// report is the recorded use of a refresh key that is not written yet.
type report struct {
	uid        types.UID
	due        time.Time
	urgent     bool
	lastUsed   time.Time
	revision   int64
	superseded time.Time
	seen       v1alpha1.SeenDevice
}

// Keys are the refresh keys of the cluster.
type Keys interface {
	// Key returns a refresh key from the view; nil if it is unknown.
	Key(name types.NamespacedName) *v1alpha1.JWTRefreshKey
	// PatchStatus patches the status of a refresh key, reads the answer into it, and makes it known to Key.
	PatchStatus(ctx context.Context, key *v1alpha1.JWTRefreshKey, patch client.Patch) error
}

// Options of a Recorder. All fields are required.
type Options struct {
	Keys Keys
	// Spread returns a random part of a duration.
	Spread func(time.Duration) time.Duration
	// Clock is the clock of the recorded times.
	Clock clock.PassiveClock
	// Monotonic is the clock of the interval between checks for due reports.
	Monotonic clock.WithTicker
}

// Recorder records exchanges and writes few of them to status: at most one per refresh key and reportEvery, and none
// that another replica has written.
type Recorder struct {
	options Options
	budget  *rate.Limiter

	mu      sync.Mutex
	reports map[types.NamespacedName]*report
}

// New returns a Recorder, which writes nothing until Run.
func New(o Options) *Recorder {
	return &Recorder{options: o, budget: rate.NewLimiter(reportRate, 1), reports: map[types.NamespacedName]*report{}}
}

// Used records an exchange. It never waits.
func (u *Recorder) Used(use *Use) {
	due := u.dueAt(u.options.Keys.Key(use.Key), use)
	u.mu.Lock()
	defer u.mu.Unlock()
	r := u.reports[use.Key]
	if r == nil || r.uid != use.UID {
		r = &report{uid: use.UID, due: due}
		u.reports[use.Key] = r
	}
	if due.Before(r.due) {
		r.due = due
	}
	r.urgent = r.urgent || use.Superseded || use.Prompt
	r.seen = use.Seen
	if use.Superseded {
		r.superseded = lifecycle.Later(r.superseded, use.At)
		return
	}
	r.lastUsed, r.revision = lifecycle.Later(r.lastUsed, use.At), max(r.revision, use.Revision)
}

// dueAt returns when a use is to be written: soon, unless status contains a recent one.
func (u *Recorder) dueAt(key *v1alpha1.JWTRefreshKey, use *Use) time.Time {
	soon := use.At.Add(u.options.Spread(reportSoon))
	if key == nil {
		return soon
	}
	last, every := key.Status.LastUsed, reportEvery
	switch {
	case use.Superseded:
		last, every = key.Status.SupersededLastUsed, supersededEvery
	case use.Prompt:
		every = supersededEvery
	}
	if last == nil || (!use.Superseded && key.Status.LastUsedRevision < use.Revision) {
		return soon
	}
	return lifecycle.Later(use.At, last.Add(every)).Add(soon.Sub(use.At))
}

// Run writes due reports until ctx ends, and then the rest.
func (u *Recorder) Run(ctx context.Context) {
	ticker := u.options.Monotonic.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C():
			u.Report(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushFor)
			defer cancel()
			every := func(*report) bool { return true }
			u.write(last, u.take(every, math.MaxInt), func() error { return nil })
			return
		}
	}
}

// Report writes the reports that are due now, within the limit.
func (u *Recorder) Report(ctx context.Context) {
	now := u.options.Clock.Now()
	taken := u.take(func(r *report) bool { return !now.Before(r.due) }, reportsAtOnce)
	u.write(ctx, taken, func() error { return u.budget.Wait(ctx) })
}

// take removes and returns the due reports: the urgent ones, and as many others as given. It drops reports that
// status shows already.
func (u *Recorder) take(due func(*report) bool, others int) map[types.NamespacedName]*report {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := map[types.NamespacedName]*report{}
	for name, r := range u.reports {
		switch {
		case !due(r):
			continue
		case u.known(name, r):
			delete(u.reports, name)
			continue
		case !r.urgent && others == 0:
			continue
		case !r.urgent:
			others--
		}
		taken[name] = r
		delete(u.reports, name)
	}
	return taken
}

// known reports whether status shows the use already, written by another replica.
func (u *Recorder) known(name types.NamespacedName, r *report) bool {
	key := u.options.Keys.Key(name)
	if key == nil || key.UID != r.uid {
		return key != nil
	}
	every := reportEvery
	if r.urgent {
		every = supersededEvery
	}
	shows := func(recorded *metav1.Time, at time.Time) bool {
		return at.IsZero() || (recorded != nil && at.Sub(recorded.Time) < every)
	}
	return shows(key.Status.LastUsed, r.lastUsed) && (r.lastUsed.IsZero() || key.Status.LastUsedRevision >= r.revision) &&
		shows(key.Status.SupersededLastUsed, r.superseded)
}

// putBack keeps a report that could not be written for the next time.
func (u *Recorder) putBack(name types.NamespacedName, r *report) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch later := u.reports[name]; {
	case later == nil:
		u.reports[name] = r
	case later.uid == r.uid:
		later.due, later.urgent = r.due, later.urgent || r.urgent
		later.lastUsed, later.revision = lifecycle.Later(r.lastUsed, later.lastUsed), max(r.revision, later.revision)
		later.superseded = lifecycle.Later(r.superseded, later.superseded)
	}
}

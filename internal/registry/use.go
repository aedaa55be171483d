package registry

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

const (
	// reportEvery is how far lastUsed may lag behind: a use within it of the one on record is
	// not reported.
	reportEvery = 10 * time.Minute
	// reportSoon spreads reports, so that of several replicas one writes and the others see it.
	// What decides about a token's life is reported within it.
	reportSoon = 45 * time.Second
	// supersededEvery is reportEvery for superseded tokens and for keys that end when idle.
	supersededEvery = 30 * time.Second
	// lookEvery is how often it is looked for what is due.
	lookEvery = 2 * time.Second
	// reportRate is the budget of a replica, in writes a second, and reportsAtOnce that of one look;
	// what decides about a token's life is outside of it. The writes are spread, since exchanges
	// would have to wait for many at once.
	reportRate    = 20
	reportsAtOnce = reportRate * int(lookEvery/time.Second)
	// reportersAtOnce bounds the writes under way.
	reportersAtOnce = 8
	// flushFor is how long a shutdown may take over what was not written yet.
	flushFor = 10 * time.Second
)

// Use is one exchange of a token.
type Use struct {
	Key  types.NamespacedName
	UID  types.UID
	At   time.Time
	Seen v1alpha1.SeenDevice
	// Revision is that of the token; 0 for a use that does not become lastUsedRevision: of a one-time key
	// Advance alone writes it.
	Revision int64
	// Superseded: a later token had followed it.
	Superseded bool
	// Prompt: the key ends when it is idle, so that its uses are reported within a minute.
	Prompt bool
}

// report is what a replica knows of the use of a key and has not written.
type report struct {
	uid        types.UID
	due        time.Time
	urgent     bool
	lastUsed   time.Time
	revision   int64
	superseded time.Time
	seen       v1alpha1.SeenDevice
}

// uses remembers exchanges, and writes them down so seldom that the API server does not
// notice: at most once per key and reportEvery, and not at all what another replica wrote.
type uses struct {
	cluster *Cluster
	budget  *rate.Limiter

	mu      sync.Mutex
	reports map[types.NamespacedName]*report
}

func newUses(c *Cluster) *uses {
	return &uses{cluster: c, budget: rate.NewLimiter(reportRate, 1), reports: map[types.NamespacedName]*report{}}
}

// Used remembers an exchange. It never waits.
func (c *Cluster) Used(use *Use) {
	u := c.uses
	due := u.dueAt(c.Key(use.Key), use)
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
		r.superseded = latest(r.superseded, use.At)
		return
	}
	r.lastUsed, r.revision = latest(r.lastUsed, use.At), max(r.revision, use.Revision)
}

// dueAt is when a use is to be on record: soon, unless one that is recent enough is there.
func (u *uses) dueAt(key *v1alpha1.JWTRefreshKey, use *Use) time.Time {
	soon := use.At.Add(u.cluster.options.Spread(reportSoon))
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
	return latest(use.At, last.Add(every)).Add(soon.Sub(use.At))
}

// run writes what is due until ctx ends, and then the rest.
func (u *uses) run(ctx context.Context) error {
	ticker := u.cluster.options.Monotonic.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C():
			u.cluster.ReportUses(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushFor)
			defer cancel()
			every := func(*report) bool { return true }
			u.write(last, u.take(every, math.MaxInt), func() error { return nil })
			return nil
		}
	}
}

// ReportUses writes what is due now, within the budget.
func (c *Cluster) ReportUses(ctx context.Context) {
	now := c.options.Clock.Now()
	taken := c.uses.take(func(r *report) bool { return !now.Before(r.due) }, reportsAtOnce)
	c.uses.write(ctx, taken, func() error { return c.uses.budget.Wait(ctx) })
}

// take takes out what is to be written: what is urgent, and so many others. What status shows
// already is done with.
func (u *uses) take(due func(*report) bool, others int) map[types.NamespacedName]*report {
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

// write writes reports, those that are not urgent each after its turn.
func (u *uses) write(ctx context.Context, reports map[types.NamespacedName]*report, turn func() error) {
	var group errgroup.Group
	group.SetLimit(reportersAtOnce)
	report := func(name types.NamespacedName, r *report) {
		group.Go(func() error {
			if u.patch(ctx, name, r) != nil {
				u.putBack(name, r)
			}
			return nil
		})
	}
	for name, r := range reports {
		if r.urgent {
			report(name, r)
		}
	}
	for name, r := range reports {
		switch {
		case r.urgent:
		case turn() != nil:
			u.putBack(name, r)
		default:
			report(name, r)
		}
	}
	_ = group.Wait()
}

// known tells that status shows it already, as another replica was quicker.
func (u *uses) known(name types.NamespacedName, r *report) bool {
	key := u.cluster.Key(name)
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

// errOutdated says that the use is on record, and its revision is not yet.
var errOutdated = errors.New("the refresh key was changed since it was read")

// patch puts a report on record. lastUsedRevision says of a one-time key which token was followed last: a late report must
// not say of a key that has become one meanwhile, and was enrolled anew, that the enrolment was used. So that field is written
// only while the key at the API server is the one of the view, and goes with the next report otherwise.
func (u *uses) patch(ctx context.Context, name types.NamespacedName, r *report) error {
	// One that is never answered must not keep the others from being written.
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	known := u.cluster.Key(name)
	if r.lastUsed.IsZero() || known == nil || known.Status.LastUsedRevision >= r.revision || lifecycle.OneTime(known) {
		return u.record(ctx, name, r, "")
	}
	if err := u.record(ctx, name, r, known.ResourceVersion); !apierrors.IsConflict(err) {
		return err
	}
	if err := u.record(ctx, name, r, ""); err != nil {
		return err
	}
	return errOutdated
}

// record writes these fields and no others: with lastUsedRevision where the key is still of that resourceVersion, and
// otherwise over whatever the rest of status is, since they are the token service's alone. The UID keeps it from a later key
// of the same name.
func (u *uses) record(ctx context.Context, name types.NamespacedName, r *report, resourceVersion string) error {
	metadata, status := map[string]any{"uid": r.uid}, map[string]any{"deviceInfo": seenDevice(&r.seen)}
	if !r.lastUsed.IsZero() {
		status["lastUsed"] = metav1.NewTime(r.lastUsed)
	}
	if !r.superseded.IsZero() {
		status["supersededLastUsed"] = metav1.NewTime(r.superseded)
	}
	if resourceVersion != "" {
		metadata["resourceVersion"], status["lastUsedRevision"] = resourceVersion, r.revision
	}
	body, err := json.Marshal(map[string]any{"metadata": metadata, "status": status})
	if err != nil {
		return err
	}
	key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
	err = u.cluster.client.Status().Patch(ctx, key, client.RawPatch(types.MergePatchType, body))
	switch {
	case err == nil:
		u.cluster.remember(key)
		return nil
	case apierrors.IsConflict(err) && resourceVersion != "":
		return err
	case apierrors.IsNotFound(err), apierrors.IsConflict(err), apierrors.IsInvalid(err):
		return nil
	default:
		return err
	}
}

// seenDevice names all members, so that what is not known of this device is taken away.
func seenDevice(seen *v1alpha1.SeenDevice) map[string]any {
	members := map[string]any{}
	for name, value := range map[string]string{
		"userAgent": seen.UserAgent, "browser": seen.Browser, "os": seen.OS, "id": seen.ID, "ipAddress": seen.IPAddress,
	} {
		members[name] = nil
		if value != "" {
			members[name] = value
		}
	}
	return members
}

// putBack keeps what could not be written for the next time.
func (u *uses) putBack(name types.NamespacedName, r *report) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch later := u.reports[name]; {
	case later == nil:
		u.reports[name] = r
	case later.uid == r.uid:
		later.due, later.urgent = r.due, later.urgent || r.urgent
		later.lastUsed, later.revision = latest(r.lastUsed, later.lastUsed), max(r.revision, later.revision)
		later.superseded = latest(r.superseded, later.superseded)
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

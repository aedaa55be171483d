// Package rollout holds the optional controllers that act after a token changed: propagation makes the pods that mount a Secret
// read it at once, and restarts restart the workloads that keys name.
package rollout

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/controllers/bounded"
)

// Options of the controllers.
type Options struct {
	// Propagation and Restarts select the controllers.
	Propagation, Restarts bool
	// RestartDelay is the delay of a restart after a rotation: rotations in that time share one restart.
	RestartDelay time.Duration
	Clock        clock.PassiveClock
	// SeveralInProcess allows more than one manager in a process.
	SeveralInProcess bool
}

// workersEach is how many Secrets, and how many workloads, are reconciled at the same time.
const workersEach = 4

// SetUp registers the selected controllers.
func SetUp(mgr ctrl.Manager, o Options) error {
	if !o.Propagation && !o.Restarts {
		return nil
	}
	// The manager's client would watch all pods and workloads, since it reads from caches.
	unwatched, err := client.New(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return err
	}
	live := bounded.Live(unwatched)
	if o.Propagation {
		if err := (&propagation{cached: mgr.GetClient(), live: live}).setUp(mgr, &o); err != nil {
			return err
		}
	}
	if !o.Restarts {
		return nil
	}
	reportedFailures, err := lru.New[restartOf, string](rememberedFailures)
	if err != nil {
		return err
	}
	r := &restarts{
		cached: mgr.GetClient(), live: live, events: mgr.GetEventRecorder("refreshkeys"), clock: o.Clock, delay: o.RestartDelay,
		reportedFailures: reportedFailures,
	}
	return r.setUp(mgr, &o)
}

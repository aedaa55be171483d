// Package refreshkey holds the controller of JWTRefreshKeys. A reconciliation observes, decides (internal/lifecycle), applies the
// plan, and reports in status and events.
package refreshkey

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/bounded"
	"github.com/refreshkeys/refreshkeys/controllers/queue"
	"github.com/refreshkeys/refreshkeys/controllers/writes"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// Options of the controller. All fields except Restarts and SeveralInProcess are required.
type Options struct {
	// Namespace is the operator's namespace, with the signing keys.
	Namespace string
	// Workers is how many keys are reconciled at the same time.
	Workers int
	// ReissuePerSecond limits the rotations that the withdrawal of a signing key causes.
	ReissuePerSecond float64
	// Clock is the clock that decisions depend on, and Monotonic measures elapsed time.
	Clock, Monotonic clock.PassiveClock
	// NewID returns the jti of a token, a unique and opaque string.
	NewID func() string
	// Trusted returns the CA bundle that clients of the token service trust, in PEM; TrustChanged signals a change.
	Trusted      func(context.Context) ([]byte, error)
	TrustChanged <-chan event.GenericEvent
	// Restarts is true if another controller restarts the workloads that keys name.
	Restarts bool
	// SeveralInProcess allows more than one manager in a process.
	SeveralInProcess bool
}

// Reconciler reconciles JWTRefreshKeys, their Secrets and their status.
type Reconciler struct {
	Options
	// client reads from the caches, which show the manager's own writes with a delay.
	client client.Client
	// live reads from the API server.
	live   client.Reader
	events events.EventRecorder

	issuers *issuers
	pace    *pacer
	// failures are the writes that fail, and how status reports them.
	failures *writes.Failures
	// own are the manager's writes that the caches do not show yet.
	own *writes.Own
	// altered are the Secrets that admission changes when they are written.
	altered *writes.Alterations

	// began is when the first key was reconciled.
	beganOnce sync.Once
	began     time.Time
}

// New returns the controller, not yet registered.
func New(mgr ctrl.Manager, o Options) *Reconciler {
	live := bounded.Reader(mgr.GetAPIReader())
	return &Reconciler{
		Options: o, client: bounded.Writes(mgr.GetClient()), live: live, events: mgr.GetEventRecorder("refreshkeys"),
		issuers: newIssuers(mgr.GetClient(), live, o.Namespace, o.Clock), pace: newPacer(o.Clock, o.ReissuePerSecond),
		own:     writes.NewOwn(mgr.GetClient(), o.Monotonic, func() client.Object { return &v1alpha1.JWTRefreshKey{} }),
		altered: writes.NewAlterations(o.Monotonic), failures: writes.NewFailures(o.Monotonic),
	}
}

// Reconcile observes one key, decides, and applies the plan.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	wait, live, err := r.own.Behind(ctx, req.NamespacedName)
	if err != nil || wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, err
	}
	result, err := r.reconcile(ctx, req.NamespacedName, live)
	if errors.Is(err, writes.ErrOutdated) && !live {
		result, err = r.reconcile(ctx, req.NamespacedName, true)
	}
	switch {
	case errors.Is(err, writes.ErrOutdated), apierrors.IsConflict(err):
		// Another client changed an object; the next reconciliation observes that change.
		return ctrl.Result{RequeueAfter: queue.ConflictDelay}, nil
	case errors.Is(err, queue.ErrBusy):
		return ctrl.Result{RequeueAfter: queue.BusyDelay}, nil
	case err != nil:
		return ctrl.Result{}, err
	default:
		return result, nil
	}
}

func (r *Reconciler) reconcile(ctx context.Context, name types.NamespacedName, live bool) (ctrl.Result, error) {
	r.beganOnce.Do(func() { r.began = r.Clock.Now() })
	began := r.failures.Now()
	observed, err := r.observe(ctx, name, live)
	if err != nil {
		return ctrl.Result{}, err
	}
	if observed == nil {
		r.pace.forget(name)
		r.failures.Clear(name)
		r.own.Forget(name)
		r.altered.Forget(name)
		return ctrl.Result{}, nil
	}
	plan := lifecycle.Decide(observed.Observed, r.Clock.Now())
	if observed.untrusted != nil && plan.Secret == lifecycle.WriteSecret && !plan.Withdraws {
		return ctrl.Result{}, r.reportUntrusted(ctx, observed, &plan, began)
	}
	ctrl.LoggerFrom(ctx).V(1).Info("decided", "check", plan.Check, "cause", plan.Cause, "reason", plan.Verdict.Reason)
	if !plan.Paced {
		r.pace.forget(name)
	} else if wait := r.pace.turn(name); wait > 0 {
		return queue.Background(wait), nil
	}
	if err := r.apply(ctx, observed, &plan); err != nil {
		return ctrl.Result{}, err
	}
	r.failures.Clear(name)
	if observed.wroteUnseen {
		return ctrl.Result{RequeueAfter: queue.ConflictDelay}, nil
	}
	return r.lookAgain(observed, &plan), nil
}

// lookAgain returns when to reconcile the key again: at the time of its next decision, or for the next read of a Secret without events.
// Requests of users come first: a request that waits in the queue keeps its priority when the key is woken.
func (r *Reconciler) lookAgain(o *observation, plan *lifecycle.Plan) ctrl.Result {
	after := queue.LongestSleep
	switch {
	case !plan.Next.IsZero():
		after = min(max(plan.Next.Sub(r.Clock.Now()), time.Millisecond), queue.LongestSleep)
	case !o.unseen:
		return ctrl.Result{}
	}
	if o.unseen {
		after = min(after, r.altered.LookEvery())
	}
	return queue.Background(after)
}

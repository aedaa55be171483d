// Package controllers holds the two controllers of the operator. Each reconciliation reads
// like a table of contents: observe, decide, apply, report.
package controllers

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

	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// RefreshKeyReconciler keeps JWTRefreshKeys, their Secrets and their status in line.
type RefreshKeyReconciler struct {
	// Client reads from the caches, which show the manager's own writes a little later.
	Client client.Client
	// Live reads from the API server.
	Live   client.Reader
	Events events.EventRecorder
	Clock  clock.PassiveClock
	// NewID makes the jti of a token: unique, and with no meaning.
	NewID func() string

	issuers *issuers
	// trusted is what clients of the token service have to trust, in PEM.
	trusted      func(context.Context) ([]byte, error)
	trustChanged <-chan event.GenericEvent
	pace         *pacer
	// failures are the writes that fail, and how status reports them.
	failures *failures
	// restarts is true if another controller restarts the workloads that keys name.
	restarts bool
	// own are the manager's writes that the caches do not show yet.
	own *ownWrites
	// altered are the Secrets that admission changes when they are written.
	altered *alterations

	// began is when the first key was looked at.
	beganOnce sync.Once
	began     time.Time
}

// Reconcile brings one key to where it should be.
func (r *RefreshKeyReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	wait, live, err := r.own.behind(ctx, req.NamespacedName)
	if err != nil || wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, err
	}
	result, err := r.reconcile(ctx, req.NamespacedName, live)
	if errors.Is(err, errOutdated) && !live {
		result, err = r.reconcile(ctx, req.NamespacedName, true)
	}
	switch {
	case errors.Is(err, errOutdated), apierrors.IsConflict(err):
		// Somebody else was quicker: what they wrote is looked at in its turn.
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	case errors.Is(err, errBusy):
		return ctrl.Result{RequeueAfter: busyDelay}, nil
	case err != nil:
		return ctrl.Result{}, err
	default:
		return result, nil
	}
}

// conflictDelay leaves the cache the time to show what made a write fail.
const conflictDelay = 50 * time.Millisecond

func (r *RefreshKeyReconciler) reconcile(ctx context.Context, name types.NamespacedName, live bool) (ctrl.Result, error) {
	r.beganOnce.Do(func() { r.began = r.Clock.Now() })
	began := r.failures.now()
	observed, err := r.observe(ctx, name, live)
	if err != nil {
		return ctrl.Result{}, err
	}
	if observed == nil {
		r.pace.forget(name)
		r.failures.over(name)
		r.own.forget(name)
		r.altered.forget(name)
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
		return inTheBackground(wait), nil
	}
	if err := r.apply(ctx, observed, &plan); err != nil {
		return ctrl.Result{}, err
	}
	r.failures.over(name)
	if observed.wroteUnseen {
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	}
	return r.lookAgain(observed, &plan), nil
}

// lookAgain returns when to reconcile the key again: at the time of its next decision, or for the next read of a Secret without events.
// Requests of users come first: a request that waits in the queue keeps its priority when the key is woken.
func (r *RefreshKeyReconciler) lookAgain(o *observation, plan *lifecycle.Plan) ctrl.Result {
	after := longestSleep
	switch {
	case !plan.Next.IsZero():
		after = min(max(plan.Next.Sub(r.Clock.Now()), time.Millisecond), longestSleep)
	case !o.unseen:
		return ctrl.Result{}
	}
	if o.unseen {
		after = min(after, r.altered.lookEvery())
	}
	return inTheBackground(after)
}

// longestSleep bounds how late a decision can be where the clock was set forward, or the
// machine slept: timers count neither.
const longestSleep = time.Hour

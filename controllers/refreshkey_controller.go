// Package controllers holds the controllers of the operator. Each reconciliation has the same steps: observe, decide,
// apply, report.
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

	"github.com/refreshkeys/refreshkeys/controllers/queue"
	"github.com/refreshkeys/refreshkeys/controllers/writes"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// RefreshKeyReconciler reconciles JWTRefreshKeys, their Secrets and their status.
type RefreshKeyReconciler struct {
	// Client reads from the caches, which show the manager's own writes with a delay.
	Client client.Client
	// Live reads from the API server.
	Live   client.Reader
	Events events.EventRecorder
	Clock  clock.PassiveClock
	// NewID returns the jti of a token, a unique and opaque string.
	NewID func() string

	issuers *issuers
	// trusted returns the CA bundle that clients of the token service trust, in PEM.
	trusted      func(context.Context) ([]byte, error)
	trustChanged <-chan event.GenericEvent
	pace         *pacer
	// failures are the writes that fail, and how status reports them.
	failures *writes.Failures
	// restarts is true if another controller restarts the workloads that keys name.
	restarts bool
	// own are the manager's writes that the caches do not show yet.
	own *writes.Own
	// altered are the Secrets that admission changes when they are written.
	altered *writes.Alterations

	// began is when the first key was reconciled.
	beganOnce sync.Once
	began     time.Time
}

// Reconcile observes one key, decides, and applies the plan.
func (r *RefreshKeyReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
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

func (r *RefreshKeyReconciler) reconcile(ctx context.Context, name types.NamespacedName, live bool) (ctrl.Result, error) {
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
func (r *RefreshKeyReconciler) lookAgain(o *observation, plan *lifecycle.Plan) ctrl.Result {
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

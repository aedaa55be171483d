package rollout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/queue"
	"github.com/refreshkeys/refreshkeys/controllers/secrets"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/ownership"
	"github.com/refreshkeys/refreshkeys/internal/redact"
)

// restarts is the controller that restarts the workloads that spec.rolloutRestart names, once for each token that the Secret holds.
// Annotations of the workload record the restarts.
type restarts struct {
	// cached reads from the caches.
	cached client.Reader
	// live reads from and writes to the API server, without watches.
	live   client.Client
	events events.EventRecorder
	clock  clock.PassiveClock
	// delay is the delay of a restart after a change: changes in that time share one restart.
	delay time.Duration

	// reportedFailures holds the RestartMark of the last failed restart of a workload for a key that an event has
	// reported. A failure that the cache evicts is reported again.
	reportedFailures *lru.Cache[restartOf, string]
}

// rememberedFailures bounds the size of reportedFailures.
const rememberedFailures = 4096

// restartOf is a workload, and a key whose rotations restart it.
type restartOf struct {
	workload
	key string
}

// workload is a workload that a key names in spec.rolloutRestart.
type workload struct {
	Namespace string
	v1alpha1.WorkloadReference
}

// setUp registers the controller and its watches.
func (r *restarts) setUp(mgr ctrl.Manager, o *Options) error {
	return builder.TypedControllerManagedBy[workload](mgr).
		Named("restart").
		Watches(&v1alpha1.JWTRefreshKey{}, r.wakes(func(_ context.Context, object client.Object) []workload { return workloadsNamedBy(object) })).
		Watches(&corev1.Secret{}, r.wakes(r.workloadsOfSecret)).
		WithOptions(controller.TypedOptions[workload]{
			MaxConcurrentReconciles: workersEach, ReconciliationTimeout: queue.ReconcileTimeout, SkipNameValidation: &o.SeveralInProcess,
			NewQueue: queue.New(mgr.GetLogger(), workersEach, func(which workload) string { return which.Namespace }),
		}).
		Complete(r)
}

// wakes returns a handler that enqueues, after delay, the workloads that a change affects.
func (r *restarts) wakes(concerns func(context.Context, client.Object) []workload) handler.TypedEventHandler[client.Object, workload] {
	wake := func(ctx context.Context, object client.Object, queue workqueue.TypedRateLimitingInterface[workload]) {
		for _, each := range concerns(ctx, object) {
			queue.AddAfter(each, r.delay)
		}
	}
	return handler.TypedFuncs[client.Object, workload]{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, queue workqueue.TypedRateLimitingInterface[workload]) {
			wake(ctx, e.Object, queue)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[workload]) {
			if !sameForRestart(e.ObjectOld, e.ObjectNew) {
				wake(ctx, e.ObjectNew, queue)
			}
		},
	}
}

// sameForRestart reports whether nothing changed that a restart depends on.
func sameForRestart(before, after client.Object) bool {
	switch after := after.(type) {
	case *v1alpha1.JWTRefreshKey:
		before, ok := before.(*v1alpha1.JWTRefreshKey)
		return ok && before.Status.TokenHash == after.Status.TokenHash &&
			equality.Semantic.DeepEqual(before.Spec.RolloutRestart, after.Spec.RolloutRestart)
	case *corev1.Secret:
		before, ok := before.(*corev1.Secret)
		return ok && secrets.HeldHash(before) == secrets.HeldHash(after)
	default:
		return true
	}
}

func workloadsNamedBy(object client.Object) []workload {
	key, ok := object.(*v1alpha1.JWTRefreshKey)
	if !ok {
		return nil
	}
	workloads := make([]workload, 0, len(key.Spec.RolloutRestart))
	for _, reference := range key.Spec.RolloutRestart {
		workloads = append(workloads, workload{key.Namespace, reference})
	}
	return workloads
}

func (r *restarts) workloadsOfSecret(ctx context.Context, object client.Object) []workload {
	owner := ownership.KeyOf(object)
	if owner == "" {
		return nil
	}
	key := &v1alpha1.JWTRefreshKey{}
	if err := r.cached.Get(ctx, types.NamespacedName{Namespace: object.GetNamespace(), Name: owner}, key); err != nil {
		return nil
	}
	return workloadsNamedBy(key)
}

// Reconcile restarts one workload if a key that names it has a new token.
func (r *restarts) Reconcile(ctx context.Context, which workload) (ctrl.Result, error) {
	keys, err := r.keysNaming(ctx, which)
	if err != nil || len(keys) == 0 {
		return ctrl.Result{}, err
	}
	found := &metav1.PartialObjectMetadata{}
	found.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(which.Kind))
	switch err := r.live.Get(ctx, types.NamespacedName{Namespace: which.Namespace, Name: which.Name}, found); {
	case apierrors.IsNotFound(err):
		return ctrl.Result{}, r.missing(ctx, keys, which)
	case err != nil:
		return ctrl.Result{}, err
	}
	due, err := r.due(ctx, keys, found)
	if err != nil || len(due.marks) == 0 {
		return ctrl.Result{}, err
	}
	switch err := r.mark(ctx, found, due); {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: queue.ConflictDelay}, nil
	case err != nil:
		r.failed(due.keys, which, redact.Answer(err.Error()))
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	for _, key := range due.keys {
		r.reportedFailures.Remove(restartOf{which, key.Name})
		restartedEvent(key, which.WorkloadReference).Send(r.events, key)
	}
	return ctrl.Result{}, nil
}

// missing reports a workload that should be restarted and does not exist.
func (r *restarts) missing(ctx context.Context, keys []*v1alpha1.JWTRefreshKey, which workload) error {
	due, err := r.due(ctx, keys, &metav1.PartialObjectMetadata{})
	if err == nil {
		r.failed(due.keys, which, "it does not exist. Create it, or remove it from spec.rolloutRestart.")
	}
	return err
}

// failed sends an event to the keys, once for each token, that a workload could not be restarted.
func (r *restarts) failed(keys []*v1alpha1.JWTRefreshKey, which workload, why string) {
	for _, key := range keys {
		failed, mark := restartOf{which, key.Name}, lifecycle.RestartMark(key)
		if before, _ := r.reportedFailures.Get(failed); before != mark {
			r.reportedFailures.Add(failed, mark)
			restartFailedEvent(key, which.WorkloadReference, why).Send(r.events, key)
		}
	}
}

// dueRestart is the change of a workload: the annotations of the workload (marks) and of its pod template (restarts),
// and the keys whose rotations restart it.
type dueRestart struct {
	marks, restarts map[string]string
	keys            []*v1alpha1.JWTRefreshKey
}

func (r *restarts) due(ctx context.Context, keys []*v1alpha1.JWTRefreshKey, found *metav1.PartialObjectMetadata) (*dueRestart, error) {
	due := &dueRestart{marks: map[string]string{}, restarts: map[string]string{}}
	for _, key := range keys {
		held, err := r.held(ctx, key)
		if err != nil {
			return nil, err
		}
		name := restartAnnotation(key.Name)
		state := lifecycle.Workload{CreatedAt: found.CreationTimestamp.Time, Mark: found.Annotations[name], SecretHolds: held}
		mark, restart := lifecycle.DecideRestart(key, state, r.clock.Now())
		if mark {
			due.marks[name] = lifecycle.RestartMark(key)
		}
		if restart {
			due.restarts[name] = lifecycle.RestartMark(key)
			due.keys = append(due.keys, key)
		}
	}
	return due, nil
}

// mark writes the annotations of a workload and of its pod template in one patch, under the resourceVersion that was
// read.
func (r *restarts) mark(ctx context.Context, found *metav1.PartialObjectMetadata, due *dueRestart) error {
	body := map[string]any{"metadata": map[string]any{"annotations": due.marks, "resourceVersion": found.ResourceVersion}}
	if len(due.restarts) > 0 {
		body["spec"] = map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": due.restarts}}}
	}
	patch, err := annotationsPatch(body)
	if err != nil {
		return err
	}
	return r.live.Patch(ctx, found, patch)
}

// keysNaming returns the keys that name a workload.
func (r *restarts) keysNaming(ctx context.Context, which workload) ([]*v1alpha1.JWTRefreshKey, error) {
	var keys v1alpha1.JWTRefreshKeyList
	if err := r.cached.List(ctx, &keys, client.InNamespace(which.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	var naming []*v1alpha1.JWTRefreshKey
	for i := range keys.Items {
		for _, reference := range keys.Items[i].Spec.RolloutRestart {
			if reference == which.WorkloadReference {
				naming = append(naming, keys.Items[i].DeepCopy())
			}
		}
	}
	return naming, nil
}

// held returns the hash of the token in the key's Secret; empty without one.
func (r *restarts) held(ctx context.Context, key *v1alpha1.JWTRefreshKey) (string, error) {
	if key.Status.SecretName == "" {
		return "", nil
	}
	secret := &corev1.Secret{}
	if err := r.live.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: key.Status.SecretName}, secret); err != nil {
		return "", client.IgnoreNotFound(err)
	}
	return secrets.HeldHash(secret), nil
}

// longestAnnotation is the longest name of an annotation after its prefix.
const longestAnnotation = 63

// restartAnnotation returns the name of the annotation for a key. It shortens the name of a key that is too long.
func restartAnnotation(key string) string {
	if len(key) <= longestAnnotation {
		return v1alpha1.RestartPrefix + key
	}
	sum := sha256.Sum256([]byte(key))
	digest := hex.EncodeToString(sum[:8])
	return v1alpha1.RestartPrefix + key[:longestAnnotation-len(digest)-1] + "-" + digest
}

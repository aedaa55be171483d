package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/queue"
	"github.com/refreshkeys/refreshkeys/controllers/secrets"
	"github.com/refreshkeys/refreshkeys/internal/ownership"
)

// propagation annotates the pods that mount a Secret right after its token changed. A kubelet
// reads the Secrets of a pod again when the pod changes, and otherwise once a minute.
//
// It works on a best-effort basis and keeps no state: a change that it misses while no manager runs reaches the pods
// with the next sync of the kubelet.
type propagation struct {
	// cached reads from the caches.
	cached client.Reader
	// live reads from and writes to the API server, without watches.
	live client.Client
}

// touchesAtOnce is how many pods are patched at the same time.
const touchesAtOnce = 8

// setUp registers the controller and its watches.
func (r *propagation) setUp(mgr ctrl.Manager, o *Options) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("propagation").
		For(&corev1.Secret{}, builder.WithPredicates(tokenChanged())).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workersEach, ReconciliationTimeout: queue.ReconcileTimeout, SkipNameValidation: &o.SeveralInProcess,
			NewQueue: queue.New(mgr.GetLogger(), workersEach, queue.NamespaceOfRequest),
		}).
		Complete(r)
}

// tokenChanged selects changes of the token in a Secret of a key.
func tokenChanged() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok1 := e.ObjectOld.(*corev1.Secret)
			after, ok2 := e.ObjectNew.(*corev1.Secret)
			return ok1 && ok2 && ownership.KeyOf(after) != "" && secrets.HeldHash(before) != secrets.HeldHash(after)
		},
	}
}

// Reconcile patches the pods that mount one Secret.
func (r *propagation) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	secret := &corev1.Secret{}
	if err := r.cached.Get(ctx, req.NamespacedName, secret); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	pods, err := r.mounting(ctx, req.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	state := stateForPods(secret)
	patch, err := annotationsPatch(map[string]any{"metadata": annotated(v1alpha1.AnnotationPropagated, state)})
	if err != nil {
		return ctrl.Result{}, err
	}
	// If there are too many pods for one reconciliation, the next one continues.
	pods = slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return pod.Annotations[v1alpha1.AnnotationPropagated] == state })
	failed := make([]error, len(pods))
	var group errgroup.Group
	group.SetLimit(touchesAtOnce)
	for i := range pods {
		group.Go(func() error {
			// A failed patch does not stop the others.
			failed[i] = client.IgnoreNotFound(r.live.Patch(ctx, &pods[i], patch))
			return nil
		})
	}
	return ctrl.Result{}, errors.Join(group.Wait(), errors.Join(failed...))
}

// mounting returns the pods that mount a Secret and have not ended. The API server answers from its cache: a pod that
// is too new to be in it has just read the Secret.
func (r *propagation) mounting(ctx context.Context, secret types.NamespacedName) ([]corev1.Pod, error) {
	var pods corev1.PodList
	fromCache := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}}
	if err := r.live.List(ctx, &pods, client.InNamespace(secret.Namespace), fromCache); err != nil {
		return nil, fmt.Errorf("list the pods that mount Secret %s: %w", secret, err)
	}
	var mounting []corev1.Pod
	for i := range pods.Items {
		pod := &pods.Items[i]
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed || pod.DeletionTimestamp != nil
		if !ended && mounts(&pod.Spec, secret.Name) {
			mounting = append(mounting, *pod)
		}
	}
	return mounting, nil
}

func mounts(pod *corev1.PodSpec, secret string) bool {
	for i := range pod.Volumes {
		volume := &pod.Volumes[i]
		if volume.Secret != nil && volume.Secret.SecretName == secret {
			return true
		}
		for _, source := range ptr.Deref(volume.Projected, corev1.ProjectedVolumeSource{}).Sources {
			if source.Secret != nil && source.Secret.Name == secret {
				return true
			}
		}
	}
	return false
}

// stateForPods returns the annotation value that identifies the state of a Secret.
func stateForPods(secret *corev1.Secret) string {
	revision := secret.Annotations[v1alpha1.AnnotationRevision]
	if secrets.HeldHash(secret) == "" {
		revision = "none"
	}
	return fmt.Sprintf("%s/%s@%s", secret.Name, revision, secret.ResourceVersion)
}

func annotated(name, value string) map[string]any {
	return map[string]any{"annotations": map[string]string{name: value}}
}

func annotationsPatch(body map[string]any) (client.Patch, error) {
	raw, err := json.Marshal(body)
	return client.RawPatch(types.MergePatchType, raw), err
}

// Package cabundle publishes the CA bundle that clients of the token service trust, in a ConfigMap of each namespace that the
// operator serves: a workload that signs in has no Secret of a key to read it from. It is optional (ADR 27).
package cabundle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/announce"
	"github.com/refreshkeys/refreshkeys/controllers/bounded"
	"github.com/refreshkeys/refreshkeys/controllers/queue"
	"github.com/refreshkeys/refreshkeys/internal/authority"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

const (
	// workers is how many namespaces are reconciled at the same time.
	workers = 4
	// writesPerSecond limits the writes: a new authority concerns all namespaces at once.
	writesPerSecond = 50
	// turnDelay is when a namespace that the limit holds back is reconciled again.
	turnDelay = time.Second
)

// Options of the controller. All fields except Namespaces and SeveralInProcess are required.
type Options struct {
	// Namespaces are those that the manager serves. Empty: all.
	Namespaces []string
	// Trusted returns the bundle, in PEM; TrustChanged signals a change.
	Trusted      func(context.Context) ([]byte, error)
	TrustChanged <-chan event.GenericEvent
	// Clock measures intervals.
	Clock clock.PassiveClock
	// SeveralInProcess allows more than one manager in a process.
	SeveralInProcess bool
}

// Reconciler keeps the ConfigMap of each namespace as it must be.
type Reconciler struct {
	Options
	// client writes to the API server, and reads from the caches.
	client client.Client
	events events.EventRecorder
	pace   *rate.Limiter

	mu sync.Mutex
	// reported are the problems that an event has reported, by namespace.
	reported map[string]string
}

// New returns the controller, not yet registered.
func New(mgr ctrl.Manager, o Options) *Reconciler {
	return &Reconciler{
		Options: o, client: bounded.Writes(mgr.GetClient()), events: mgr.GetEventRecorder("refreshkeys"),
		pace: rate.NewLimiter(writesPerSecond, writesPerSecond), reported: map[string]string{},
	}
}

// Reconcile brings the ConfigMap of one namespace up to date.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	served, err := r.served(ctx, req.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !served {
		r.solved(req.Namespace)
		return ctrl.Result{}, nil
	}
	bundle, err := r.Trusted(ctx)
	if errors.Is(err, queue.ErrBusy) {
		return ctrl.Result{RequeueAfter: queue.BusyDelay}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("find the CA bundle that clients trust: %w", err)
	}
	held := &corev1.ConfigMap{}
	err = r.client.Get(ctx, req.NamespacedName, held)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	step := stateOf(held, err == nil).Step(bundle)
	switch step {
	case authority.KeepPublished:
		r.solved(req.Namespace)
		return ctrl.Result{}, nil
	case authority.ForeignPublished:
		r.report(req.Namespace, held, conflict())
		return ctrl.Result{}, nil
	case authority.CreatePublished, authority.UpdatePublished, authority.RemovePublished:
	}
	if !r.pace.AllowN(r.Clock.Now(), 1) {
		return queue.Background(turnDelay), nil
	}
	return r.apply(ctx, req.NamespacedName, held, step, bundle)
}

// apply carries out a step. It writes under the resourceVersion that was read, and creates: so it changes nothing that another
// client made in between.
func (r *Reconciler) apply(ctx context.Context, name types.NamespacedName, held *corev1.ConfigMap, step authority.PublishStep, bundle []byte) (ctrl.Result, error) {
	var err error
	switch step {
	case authority.CreatePublished:
		err = r.client.Create(ctx, wanted(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}, bundle))
	case authority.UpdatePublished:
		err = r.client.Update(ctx, wanted(held.DeepCopy(), bundle))
	case authority.RemovePublished:
		err = client.IgnoreNotFound(r.client.Delete(ctx, held, client.Preconditions{UID: ptr.To(held.UID), ResourceVersion: ptr.To(held.ResourceVersion)}))
	case authority.KeepPublished, authority.ForeignPublished:
	}
	switch {
	case err == nil:
		r.solved(name.Namespace)
		return ctrl.Result{}, nil
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		// The caches do not show the change of another client yet.
		return ctrl.Result{RequeueAfter: queue.ConflictDelay}, nil
	}
	r.report(name.Namespace, wanted(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}, nil), refused(err))
	return ctrl.Result{}, err
}

// served reports whether a namespace exists, is not terminating, and is one of those that the manager serves.
func (r *Reconciler) served(ctx context.Context, name string) (bool, error) {
	if len(r.Namespaces) > 0 && !slices.Contains(r.Namespaces, name) {
		return false, nil
	}
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := r.client.Get(ctx, types.NamespacedName{Name: name}, namespace); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return namespace.DeletionTimestamp == nil, nil
}

// stateOf returns the state of a ConfigMap that the cache holds.
func stateOf(held *corev1.ConfigMap, found bool) authority.Published {
	if !found {
		return authority.Published{}
	}
	digest, has := held.Data[authority.PublishedEntry]
	entries := len(held.Data) + len(held.BinaryData)
	return authority.Published{Found: true, Own: Own(held), Digest: digest, More: entries > 1 || (entries == 1 && !has)}
}

// Own reports whether the operator made a ConfigMap.
func Own(held client.Object) bool {
	return held.GetLabels()[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy
}

// wanted returns a ConfigMap with the wanted content. Labels and annotations of others stay.
func wanted(config *corev1.ConfigMap, bundle []byte) *corev1.ConfigMap {
	config.Labels = maps.Clone(config.Labels)
	if config.Labels == nil {
		config.Labels = map[string]string{}
	}
	config.Labels[v1alpha1.LabelManagedBy] = v1alpha1.ManagedBy
	config.Data, config.BinaryData = map[string]string{authority.PublishedEntry: string(bundle)}, nil
	return config
}

// Digest is a cache transform: it replaces the certificates by their SHA-256.
func Digest(object any) (any, error) {
	config, ok := object.(*corev1.ConfigMap)
	if !ok {
		return object, nil
	}
	config.ManagedFields = nil
	for name, value := range config.Data {
		config.Data[name] = authority.PublishedDigest([]byte(value))
	}
	for name := range config.BinaryData {
		config.BinaryData[name] = nil
	}
	return config, nil
}

// report sends an event about a problem of a namespace, once.
func (r *Reconciler) report(namespace string, about *corev1.ConfigMap, problem *announce.Event) {
	r.mu.Lock()
	before := r.reported[namespace]
	r.reported[namespace] = problem.Note
	r.mu.Unlock()
	if before != problem.Note {
		problem.Send(r.events, about)
	}
}

// solved forgets the problem of a namespace.
func (r *Reconciler) solved(namespace string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.reported, namespace)
}

func conflict() *announce.Event {
	return &announce.Event{Kind: corev1.EventTypeWarning, Reason: "ConfigMapConflict", Action: "PublishCA", Note: fmt.Sprintf(
		"ConfigMap %q exists, and the operator did not make it: it stays as it is, and clients of this namespace cannot read the CA bundle of the token service from it. Delete it, and the operator makes its own.",
		v1alpha1.PublishedCA)}
}

func refused(err error) *announce.Event {
	return &announce.Event{Kind: corev1.EventTypeWarning, Reason: "CANotPublished", Action: "PublishCA", Note: fmt.Sprintf(
		"ConfigMap %q cannot be written: %s. The operator retries at least every %s.", v1alpha1.PublishedCA, err.Error(), lifecycle.RetryInterval)}
}

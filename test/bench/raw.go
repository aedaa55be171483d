package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
)

// rawClient makes only the writes of an issue: it decides nothing, signs
// nothing and caches nothing. It is the limit against which the manager is measured.
type rawClient struct {
	client.WithWatch
	template *template
}

// template is one key as the manager has issued it, so that the raw client's writes have the same size.
type template struct {
	secret *corev1.Secret
	status *v1alpha1.JWTRefreshKeyStatus
	event  *eventsv1.Event
}

// newRawClient returns a client with the manager's ServiceAccount, so that the API server makes the same checks.
func newRawClient(asManager *rest.Config, t *template) (*rawClient, error) {
	c, err := client.NewWithWatch(asManager, client.Options{Scheme: controllers.Scheme()})
	return &rawClient{WithWatch: c, template: t}, err
}

// issue makes the manager's writes for one key: it creates the Secret, writes the status, and
// creates an Event.
func (r *rawClient) issue(ctx context.Context, key *v1alpha1.JWTRefreshKey) error {
	if err := r.Create(ctx, r.template.secretOf(key)); err != nil {
		return err
	}
	// The manager does not send them either.
	key.ManagedFields = nil
	key.Status = *r.template.status.DeepCopy()
	if err := r.Status().Update(ctx, key); err != nil {
		return err
	}
	return r.Create(ctx, r.template.eventOf(key))
}

func (t *template) secretOf(key *v1alpha1.JWTRefreshKey) *corev1.Secret {
	secret := t.secret.DeepCopy()
	secret.ObjectMeta = metav1.ObjectMeta{
		Namespace: key.Namespace, Name: key.Name,
		Labels: secret.Labels, Annotations: secret.Annotations, OwnerReferences: secret.OwnerReferences,
	}
	secret.OwnerReferences[0].Name, secret.OwnerReferences[0].UID = key.Name, key.UID
	return secret
}

func (t *template) eventOf(key *v1alpha1.JWTRefreshKey) *eventsv1.Event {
	event := t.event.DeepCopy()
	now := time.Now()
	event.ObjectMeta = metav1.ObjectMeta{Namespace: key.Namespace, Name: fmt.Sprintf("%s.%x", key.Name, now.UnixNano())}
	event.EventTime = metav1.MicroTime{Time: now}
	event.Regarding.Namespace, event.Regarding.Name = key.Namespace, key.Name
	event.Regarding.UID, event.Regarding.ResourceVersion = key.UID, key.ResourceVersion
	return event
}

// watch opens the same watches as the manager, and decodes the events.
func (r *rawClient) watch(ctx context.Context) (stop func(), err error) {
	kinds := []struct {
		list    client.ObjectList
		options []client.ListOption
	}{
		{&corev1.SecretList{}, []client.ListOption{client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}}},
		{&v1alpha1.JWTRefreshKeyList{}, nil},
	}
	var open []watch.Interface
	stop = func() {
		for _, watcher := range open {
			watcher.Stop()
		}
	}
	for _, kind := range kinds {
		// Start from now, without the existing objects.
		if err := r.List(ctx, kind.list, append(kind.options, client.Limit(1))...); err != nil {
			return stop, err
		}
		from := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: kind.list.GetResourceVersion()}}
		watcher, err := r.Watch(ctx, kind.list, append(kind.options, from)...)
		if err != nil {
			return stop, err
		}
		open = append(open, watcher)
		go func() {
			for range watcher.ResultChan() {
			}
		}()
	}
	return stop, nil
}

// takeTemplate lets the manager issue one key and reads what it wrote.
func (l *lab) takeTemplate(ctx context.Context) (*template, error) {
	b := batch{name: "sample0", keys: 1}
	if err := l.create(ctx, b); err != nil {
		return nil, err
	}
	if err := l.startManager(ctx); err != nil {
		return nil, err
	}
	if err := l.awaitRest(ctx, b.keys, time.Second); err != nil {
		return nil, err
	}
	keys, err := l.listIssued(ctx, b)
	if err != nil {
		return nil, err
	}
	t := &template{secret: &corev1.Secret{}, status: &keys[0].Status}
	if err := l.admin.Get(ctx, client.ObjectKeyFromObject(&keys[0]), t.secret); err != nil {
		return nil, err
	}
	events, err := l.events(ctx, b)
	if err != nil {
		return nil, err
	}
	if len(events) != 1 || len(t.secret.OwnerReferences) != 1 {
		return nil, fmt.Errorf("the manager has written %d Events and %d owners for one key, want one of each", len(events), len(t.secret.OwnerReferences))
	}
	t.event = &events[0]
	if err := l.stopManager(ctx); err != nil {
		return nil, err
	}
	return t, l.remove(ctx, b)
}

func (l *lab) events(ctx context.Context, b batch) ([]eventsv1.Event, error) {
	var all []eventsv1.Event
	for i := range namespacesPerBatch {
		var some eventsv1.EventList
		if err := l.admin.List(ctx, &some, client.InNamespace(b.namespace(i))); err != nil {
			return nil, err
		}
		all = append(all, some.Items...)
	}
	return all, nil
}

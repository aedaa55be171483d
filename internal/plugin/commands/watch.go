package commands

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// keyWatcher watches the keys that a list selected.
type keyWatcher struct {
	*cluster
	where []client.ListOption
}

// WatchWithContext implements cache.WatcherWithContext.
func (k *keyWatcher) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return k.Watch(ctx, &v1alpha1.JWTRefreshKeyList{}, append(k.where, &client.ListOptions{Raw: &options})...)
}

// follow prints a list, and then each change of its keys until ctx ends. A watch that breaks is begun again where it was.
func (l *lister) follow(ctx context.Context, k *cluster, list *v1alpha1.JWTRefreshKeyList, where []client.ListOption) error {
	header := l.header()
	if l.noHeaders {
		header = make([]string, len(header))
	}
	table := cli.NewTable(l.Out, l.Colours(), header)
	if err := l.changed(table, list.Items...); err != nil {
		return err
	}
	changes, err := watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &keyWatcher{k, where})
	if err != nil {
		return err
	}
	defer changes.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-changes.ResultChan():
			switch {
			case !open && ctx.Err() != nil:
				return nil
			case !open:
				return errors.New("the API server ended the watch: run the command again")
			case event.Type == watch.Error:
				return apierrors.FromObject(event.Object)
			}
			key, ok := event.Object.(*v1alpha1.JWTRefreshKey)
			if !ok || !l.filter.matches(key, l.Clock.Now()) {
				continue
			}
			if event.Type == watch.Deleted && key.DeletionTimestamp == nil {
				// The last state of a key without finalizers.
				key.DeletionTimestamp = &metav1.Time{Time: l.Clock.Now()}
			}
			key.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(keyKind))
			if err := l.changed(table, *key); err != nil {
				return err
			}
		}
	}
}

// changed prints keys: as lines of the table, or as the objects that -o asks for.
func (l *lister) changed(table *cli.Table, keys ...v1alpha1.JWTRefreshKey) error {
	rows := make([][]cli.Cell, 0, len(keys))
	for i := range keys {
		if !l.output.IsText() {
			if err := l.output.Print(l.Out, &keys[i]); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, l.row(&keys[i], l.Clock.Now()))
	}
	if l.output.IsText() {
		table.Write(rows)
	}
	return nil
}

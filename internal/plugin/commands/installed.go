package commands

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// installed is a client whose errors say so if the API server does not know the kinds of Refresh Keys.
type installed struct {
	client.WithWatch
	server string
}

// notInstalled reports whether an error says that the API server does not know a resource. An object that does not exist has another
// error: the API server itself wrote that answer.
func notInstalled(err error) bool {
	return meta.IsNoMatchError(err) || apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// translate returns the error for people.
func (i *installed) translate(err error) error {
	if !notInstalled(err) {
		return err
	}
	return cli.Fail(cli.ExitError, "Refresh Keys is not installed in this cluster (%s): it does not serve %s. Install it there, or choose another cluster with "+
		"--context; `kubectl refreshkey check --pre` says whether this one is ready for it", i.server, v1alpha1.GroupVersion)
}

// Get is part of client.Client.
func (i *installed) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	return i.translate(i.WithWatch.Get(ctx, key, into, options...))
}

// List is part of client.Client.
func (i *installed) List(ctx context.Context, into client.ObjectList, options ...client.ListOption) error {
	return i.translate(i.WithWatch.List(ctx, into, options...))
}

// Create is part of client.Client.
func (i *installed) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	return i.translate(i.WithWatch.Create(ctx, object, options...))
}

// Patch is part of client.Client.
func (i *installed) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	return i.translate(i.WithWatch.Patch(ctx, object, patch, options...))
}

// Watch is part of client.WithWatch.
func (i *installed) Watch(ctx context.Context, list client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
	w, err := i.WithWatch.Watch(ctx, list, options...)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", i.translate(err))
	}
	return w, nil
}

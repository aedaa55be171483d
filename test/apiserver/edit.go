package apiserver

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Edit changes an object as a user does, in its newest state. It fails where somebody is quicker, and may
// then be tried again.
func Edit(ctx context.Context, c client.Client, object client.Object, change func()) error {
	if err := c.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
		return err
	}
	change()
	return c.Update(ctx, object)
}

// Annotate sets an annotation of an object, as a change for Edit.
func Annotate(object client.Object, name, value string) func() {
	return func() {
		annotations := object.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[name] = value
		object.SetAnnotations(annotations)
	}
}

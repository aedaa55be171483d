package apiserver

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Edit reads an object, changes it and updates it, as a user does. It fails after a concurrent change, and may
// then be retried.
func Edit(ctx context.Context, c client.Client, object client.Object, change func()) error {
	if err := c.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
		return err
	}
	change()
	return c.Update(ctx, object)
}

// Annotate returns a change for Edit that sets an annotation.
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

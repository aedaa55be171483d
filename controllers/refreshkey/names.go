package refreshkey

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// wantedIndex indexes keys by the name of their Secret if it differs from their own name. Most keys have no entry and
// use no memory for it.
const wantedIndex = "wanted-secret"

func wantedName(object client.Object) []string {
	key, ok := object.(*v1alpha1.JWTRefreshKey)
	if !ok {
		return nil
	}
	if name := lifecycle.SecretName(key); name != "" && name != key.Name {
		return []string{name}
	}
	return nil
}

// keysWanting returns the requests for the keys that want a Secret of this name.
func (r *Reconciler) keysWanting(ctx context.Context, object client.Object) []reconcile.Request {
	// The key of the same name has no entry. If it does not exist or wants another Secret, reconciling it is cheap.
	same := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}}
	named := func(key *v1alpha1.JWTRefreshKey) bool { return key.Name != object.GetName() }
	return append(r.keysWhere(ctx, named, client.InNamespace(object.GetNamespace()), client.MatchingFields{wantedIndex: object.GetName()}), same)
}

// nameIsFreed selects the events that can free the name of a Secret for another key: the Secret is deleted, or its
// owner changes.
func nameIsFreed() builder.Predicates {
	return builder.WithPredicates(predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return !slices.Equal(ownerOf(e.ObjectOld), ownerOf(e.ObjectNew)) || controllerUID(e.ObjectOld) != controllerUID(e.ObjectNew)
		},
	})
}

func controllerUID(object client.Object) types.UID {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return ""
	}
	if owner := metav1.GetControllerOfNoCopy(secret); owner != nil {
		return owner.UID
	}
	return ""
}

package refreshkey

import (
	"maps"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// issuerMatters selects the changes of an issuer that its keys depend on.
func issuerMatters() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok1 := e.ObjectOld.(*v1alpha1.JWTIssuer)
		after, ok2 := e.ObjectNew.(*v1alpha1.JWTIssuer)
		return !ok1 || !ok2 || before.Generation != after.Generation ||
			(before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil) ||
			!sameCondition(before, after, v1alpha1.ConditionReady) || !sameCondition(before, after, v1alpha1.ConditionStalled)
	}}
}

func sameCondition(before, after *v1alpha1.JWTIssuer, kind string) bool {
	return equality.Semantic.DeepEqual(
		meta.FindStatusCondition(before.Status.Conditions, kind), meta.FindStatusCondition(after.Status.Conditions, kind))
}

// namespaceMatters selects changes of the labels of a namespace, which policies select by, and the start of its deletion.
func namespaceMatters() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) || terminating(e.ObjectOld) != terminating(e.ObjectNew)
		},
	}
}

func terminating(object client.Object) bool { return object.GetDeletionTimestamp() != nil }

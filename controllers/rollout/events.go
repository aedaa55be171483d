package rollout

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers/announce"
)

func restartedEvent(key *v1alpha1.JWTRefreshKey, reference v1alpha1.WorkloadReference) *announce.Event {
	return &announce.Event{Kind: corev1.EventTypeNormal, Reason: "Restarted", Action: "Restart",
		Note: fmt.Sprintf("Restarted %s %s for revision %d.", reference.Kind, reference.Name, key.Status.Revision), Related: workloadOf(key, reference)}
}

func restartFailedEvent(key *v1alpha1.JWTRefreshKey, reference v1alpha1.WorkloadReference, why string) *announce.Event {
	return &announce.Event{Kind: corev1.EventTypeWarning, Reason: "RestartFailed", Action: "Restart",
		Note: fmt.Sprintf("Could not restart %s %s for revision %d: %s", reference.Kind, reference.Name, key.Status.Revision, why), Related: workloadOf(key, reference)}
}

func workloadOf(key *v1alpha1.JWTRefreshKey, reference v1alpha1.WorkloadReference) runtime.Object {
	workload := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: reference.Name}}
	workload.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(reference.Kind))
	return workload
}

package commands

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// TestMadeFor checks that a key's Secret is still the key's after a policy changes its label, and that a Secret of others is not.
func TestMadeFor(t *testing.T) {
	key := issued()
	owner := []metav1.OwnerReference{*metav1.NewControllerRef(key, v1alpha1.GroupVersion.WithKind("JWTRefreshKey"))}
	another := issued(func(key *v1alpha1.JWTRefreshKey) { key.UID = "another" })
	managedBy := func(value string) map[string]string { return map[string]string{v1alpha1.LabelManagedBy: value} }
	for _, tt := range []struct {
		name string
		meta metav1.ObjectMeta
		want bool
	}{
		{"labelled", metav1.ObjectMeta{Labels: managedBy(v1alpha1.ManagedBy)}, true},
		{"owned, and labelled by a policy", metav1.ObjectMeta{Labels: managedBy("platform"), OwnerReferences: owner}, true},
		{"labelled by others", metav1.ObjectMeta{Labels: managedBy("platform")}, false},
		{"owned by another key", metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(another, v1alpha1.GroupVersion.WithKind("JWTRefreshKey"))}}, false},
		{"without a mark", metav1.ObjectMeta{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := madeFor(key, &corev1.Secret{ObjectMeta: tt.meta}); got != tt.want {
				t.Errorf("made by the operator: %v, want %v", got, tt.want)
			}
		})
	}
}

package install

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/uninstall"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// TestRemovalIsBegunAgain checks that a removal names what blocks it, and that it completes once that is removed; in a
// cluster with nothing to remove, it succeeds. test/chart checks the rights of a
// removal and that it is complete.
func TestRemovalIsBegunAgain(t *testing.T) {
	if server.Existing() {
		t.Skip("the test does not remove the keys of an existing cluster")
	}
	scheme := clientgoscheme.Scheme
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(server.Admin, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	held := key("held")
	held.Finalizers = []string{"example.com/hold"}
	signing := secret(apiserver.Namespace, "refreshkeys-signing-default")
	foreign := secret(apiserver.Namespace, "foreign")
	foreign.Labels = nil
	issuer := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: v1alpha1.JWTIssuerSpec{URL: "https://tokens.example.com"}}
	create(t, admin, held, key("free"), issuer, signing, foreign)
	// No garbage collector runs here that would delete the Secret with its key.
	owned, retained := secret("default", "held"), secret("default", "retained")
	owned.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "JWTRefreshKey", Name: held.Name, UID: held.UID, Controller: ptr.To(true),
	}}
	retained.Annotations = map[string]string{v1alpha1.AnnotationOwner: "free"}
	// A retained Secret of a refresh key in the operator's namespace is not a signing key.
	own := secret(apiserver.Namespace, "retained-too")
	own.Annotations = retained.Annotations
	// Nor is a Secret that has lost its ownerReference.
	stranded := secret(apiserver.Namespace, "stranded")
	stranded.Annotations = map[string]string{v1alpha1.AnnotationJTI: "of-a-token", v1alpha1.AnnotationSecretName: "stranded"}
	create(t, admin, owned, retained, own, stranded)

	if err := server.Apply(t.Context(), "config/default"); err != nil {
		t.Fatal(err)
	}
	manager := &appsv1.Deployment{}

	fails(t, "1 keys are still there", "default/held")
	if err := admin.Get(t.Context(), client.ObjectKey{Namespace: apiserver.Namespace, Name: "refreshkeys-manager"}, manager); err != nil || *manager.Spec.Replicas != 0 {
		t.Errorf("the manager would recreate the removed objects: %d replicas, %v", *manager.Spec.Replicas, err)
	}
	held.ResourceVersion = ""
	if err := admin.Patch(t.Context(), held, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
		t.Fatal(err)
	}
	fails(t, "1 Secrets of keys", "default/held", "garbage collector")
	exists(t, admin, signing, true)
	if err := admin.Delete(t.Context(), owned); err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []string{"1 Secrets with signing keys", "0 Secrets with signing keys"} {
		printed, err := remove(t, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range []string{wanted, "2 Secrets stay", "default/retained", "retained-too", "1 Secrets stay, since they have lost", "stranded", "the CRDs stay"} {
			if !strings.Contains(printed, piece) {
				t.Errorf("the output does not contain %q:\n%s", piece, printed)
			}
		}
	}
	exists(t, admin, signing, false)
	exists(t, admin, issuer, false)
	exists(t, admin, retained, true)
	exists(t, admin, own, true)
	exists(t, admin, stranded, true)
	exists(t, admin, foreign, true)
}

func fails(t *testing.T, pieces ...string) {
	t.Helper()
	_, err := remove(t, 3*time.Second)
	if err == nil {
		t.Fatal("the removal succeeds")
	}
	for _, piece := range pieces {
		if !strings.Contains(err.Error(), piece) {
			t.Errorf("the output does not contain %q: %v", piece, err)
		}
	}
}

func remove(t *testing.T, within time.Duration) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var printed bytes.Buffer
	removal := uninstall.Removal{Client: metadata.NewForConfigOrDie(server.Admin), Namespace: apiserver.Namespace, Report: &printed}
	err := removal.Run(ctx)
	return printed.String(), err
}

func key(name string) *v1alpha1.JWTRefreshKey {
	return &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       v1alpha1.JWTRefreshKeySpec{Audience: "https://orders.example.com"},
	}
}

func secret(namespace, name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
	}}
}

func create(t *testing.T, admin client.Client, all ...client.Object) {
	t.Helper()
	for _, object := range all {
		if err := admin.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

func exists(t *testing.T, admin client.Client, object client.Object, wanted bool) {
	t.Helper()
	err := admin.Get(t.Context(), client.ObjectKeyFromObject(object), object)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	if there := err == nil; there != wanted {
		t.Errorf("%T %s exists: %t", object, object.GetName(), there)
	}
}

package install

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/uninstall"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestRemovalIsBegunAgain checks that a removal names what blocks it, and that it completes once that is removed; in a
// cluster with nothing to remove, it succeeds. test/chart checks the rights of a
// removal and that it is complete.
func TestRemovalIsBegunAgain(t *testing.T) {
	if server.Existing() {
		t.Skip("the test does not remove the keys of an existing cluster")
	}
	h := harness.New(t, server, clock.RealClock{})
	held := key("held")
	held.Finalizers = []string{"example.com/hold"}
	signing := secret(apiserver.Namespace, "refreshkeys-signing-default")
	foreign := secret(apiserver.Namespace, "foreign")
	foreign.Labels = nil
	issuer := harness.NewIssuer("default")
	h.Create(held, key("free"), issuer, signing, foreign)
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
	published, theirs := configMap("default"), configMap(apiserver.Namespace)
	theirs.Labels = nil
	h.Create(owned, retained, own, stranded, published, theirs)

	if err := server.Apply(t.Context(), "config/default"); err != nil {
		t.Fatal(err)
	}
	manager := &appsv1.Deployment{}

	fails(t, "1 keys are still there", "default/held")
	if err := h.Admin.Get(h.Ctx, client.ObjectKey{Namespace: apiserver.Namespace, Name: "refreshkeys-manager"}, manager); err != nil || *manager.Spec.Replicas != 0 {
		t.Errorf("the manager would recreate the removed objects: %d replicas, %v", *manager.Spec.Replicas, err)
	}
	held.ResourceVersion = ""
	h.Expect(h.Admin.Patch(h.Ctx, held, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))).To(gomega.Succeed())
	fails(t, "1 Secrets of keys", "default/held", "garbage collector")
	exists(h, signing, true)
	h.Expect(h.Admin.Delete(h.Ctx, owned)).To(gomega.Succeed())
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
	exists(h, signing, false)
	exists(h, issuer, false)
	exists(h, retained, true)
	exists(h, own, true)
	exists(h, stranded, true)
	exists(h, foreign, true)
	exists(h, published, false)
	exists(h, theirs, true)
}

// fails checks that a removal that is not possible says what it waits for. A slow machine gets more time until it waits for that.
func fails(t *testing.T, pieces ...string) {
	t.Helper()
	var missing []string
	var err error
	for within := 3 * time.Second; within < harness.Patience; within *= 3 {
		if _, err = remove(t, within); err == nil {
			t.Fatal("the removal succeeds")
		}
		missing = slices.DeleteFunc(slices.Clone(pieces), func(piece string) bool { return strings.Contains(err.Error(), piece) })
		if len(missing) == 0 {
			return
		}
	}
	t.Errorf("the output does not contain %q: %v", missing, err)
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

func key(name string) *v1alpha1.JWTRefreshKey { return harness.NewKey("default", name) }

func secret(namespace, name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
	}}
}

// configMap returns a published CA bundle.
func configMap(namespace string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: v1alpha1.PublishedCA, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
	}}
}

func exists(h *harness.Harness, object client.Object, wanted bool) {
	h.T.Helper()
	err := h.Reload(object)
	h.Expect(client.IgnoreNotFound(err)).To(gomega.Succeed())
	if there := err == nil; there != wanted {
		h.T.Errorf("%T %s exists: %t", object, object.GetName(), there)
	}
}

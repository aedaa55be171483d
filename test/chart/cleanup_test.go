package chart

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// cleanUp leaves a cluster in which nothing was ever installed.
func cleanUp(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	_, err := suite.Kubectl(ctx, "delete", "--ignore-not-found", "--wait", "--timeout=1m", "-k", filepath.Join(suite.root, "config/default"))
	if err != nil {
		t.Error(err)
	}
}

// find returns an object, or nil if it does not exist.
func find(h *harness.Harness, kind schema.GroupVersionKind, namespace, name string) *unstructured.Unstructured {
	h.T.Helper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	object.SetNamespace(namespace)
	object.SetName(name)
	err := h.Reload(object)
	h.Expect(client.IgnoreNotFound(err)).To(gomega.Succeed())
	if err != nil {
		return nil
	}
	return object
}

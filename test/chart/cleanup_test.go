package chart

import (
	"context"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// cleanUp leaves a cluster in which nothing was ever installed.
func cleanUp(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	_, err := suite.cluster.Kubectl(ctx, "delete", "--ignore-not-found", "--wait", "--timeout=1m", "-k", filepath.Join(suite.root, "config/default"))
	if err != nil {
		t.Error(err)
	}
}

// find is nil where there is none.
func find(t *testing.T, kind schema.GroupVersionKind, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	err := suite.admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, object)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return object
}

// Package cel shows what the API server accepts of the two kinds, and what it refuses.
//
// The manifests in this folder must be accepted, those in ../invalid refused with the
// message that each names. Everything runs against one real API server.
package cel

import (
	"context"
	"os"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// manager is one of the two users that may write status.
const manager = "system:serviceaccount:" + apiserver.Namespace + ":" + apiserver.Manager

var server *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Main(m, &server)) }

// as returns a client for a user, or the administrator's when user is empty. Every
// user has all rights here, so that what refuses is never authorization: the subject
// is what the API and its admission policy say.
func as(t *testing.T, user string) client.Client {
	t.Helper()
	config := server.Admin
	if user != "" {
		config = server.As(user, "system:masters")
	}
	return newClient(t, config)
}

func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	// A misspelt field must not pass for an accepted one.
	return client.WithFieldValidation(c, "Strict")
}

// create makes an object for real, until the test ends.
func create(t *testing.T, c client.Client, object *unstructured.Unstructured) {
	t.Helper()
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatalf("create %s %s: %v", object.GetKind(), object.GetName(), err)
	}
	t.Cleanup(func() {
		if err := c.Delete(context.WithoutCancel(t.Context()), object); err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("clean up %s %s: %v", object.GetKind(), object.GetName(), err)
		}
	})
}

func get(t *testing.T, c client.Client, object *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	stored := &unstructured.Unstructured{}
	stored.SetGroupVersionKind(object.GroupVersionKind())
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(object), stored); err != nil {
		t.Fatal(err)
	}
	return stored
}

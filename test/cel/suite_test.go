// Package cel shows what the API server accepts of the two kinds, and what it refuses.
//
// The folders hold pairs of manifests for each field: valid_*.yaml must be accepted, and invalid_*.yaml
// refused with the message that each names. Everything runs against one real API server.
package cel

import (
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// manager is one of the two users that may write status.
const manager = "system:serviceaccount:" + apiserver.Namespace + ":" + apiserver.Manager

var server *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Main(m, &server)) }

// fixture is the API server for one test. Objects are in the namespace default, which the manifests name.
type fixture struct{ *harness.Harness }

// newFixture returns a fixture with the rights of an administrator.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	return on(t, server.Admin)
}

// on returns a fixture whose Admin has the rights of a configuration.
func on(t *testing.T, config *rest.Config) *fixture {
	t.Helper()
	h := harness.On(t, config, clock.RealClock{})
	h.Server, h.Admin = server, strict(h.Admin)
	return &fixture{h}
}

// in returns the fixture for a subtest.
func (f *fixture) in(t *testing.T) *fixture { return &fixture{f.In(t)} }

// strict returns a client that refuses unknown fields: a misspelt field must not pass for an accepted one.
func strict(c client.Client) client.Client { return client.WithFieldValidation(c, "Strict") }

// as returns a client for a user, or the administrator's when user is empty. Every
// user has all rights here, so that what refuses is never authorization: the subject
// is what the API and its admission policy say.
func (f *fixture) as(user string) client.Client {
	f.T.Helper()
	if user == "" {
		return f.Admin
	}
	return strict(f.As(user, "system:masters"))
}

// stored returns an object as the API server has it.
func (f *fixture) stored(object *unstructured.Unstructured) *unstructured.Unstructured {
	f.T.Helper()
	stored := &unstructured.Unstructured{}
	stored.SetGroupVersionKind(object.GroupVersionKind())
	stored.SetNamespace(object.GetNamespace())
	stored.SetName(object.GetName())
	return harness.MustGet(f.Harness, stored)
}

// Package gitops checks the health that GitOps tools report for refresh keys and issuers, with the tools' own libraries:
// kstatus, which Flux and Helm use, and the Lua of Argo CD. A manager and a token service write the objects at a real
// API server.
package gitops

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

var server *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Main(m, &server)) }

// fixture is a namespace and an issuer of its own.
type fixture struct {
	*harness.Harness
	clock *clocktesting.FakePassiveClock
}

func newFixture(t *testing.T, name string) *fixture {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(time.Now())
	s := &fixture{Harness: harness.New(t, server, clock), clock: clock}
	s.Name = harness.UniqueName(name)
	s.CreateNamespace(s.Name, nil)
	return s
}

// newManaged returns a fixture with a manager and an issuer whose signing keys exist.
func newManaged(t *testing.T, name string) (*fixture, *v1alpha1.JWTIssuer) {
	t.Helper()
	s := newFixture(t, name)
	issuer := s.issuer()
	s.Manage()
	s.becomes(issuer, "Ready=True KeysReady")
	return s, issuer
}

// create creates an object, and removes it with its finalizers when the test ends.
func (s *fixture) create(object client.Object) {
	s.T.Helper()
	s.Expect(s.Admin.Create(s.Ctx, object)).To(gomega.Succeed())
	s.T.Cleanup(func() {
		_ = s.Admin.Patch(context.Background(), object, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
		_ = s.Admin.Delete(context.Background(), object)
	})
}

// serve runs a replica with the clock of the machine.
func (s *fixture) serve() *operator.Replica {
	s.T.Helper()
	return s.Replica(func(_ *rest.Config, options *registry.Options) { options.Clock = clock.RealClock{} })
}

func (s *fixture) issuer() *v1alpha1.JWTIssuer {
	s.T.Helper()
	issuer := harness.NewIssuer(s.Name)
	s.create(issuer)
	return issuer
}

func (s *fixture) key(name string, options ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	s.T.Helper()
	key := harness.NewKey(s.Name, name, append([]func(*v1alpha1.JWTRefreshKey){harness.WithIssuer(s.Name)}, options...)...)
	s.create(key)
	return key
}

// becomes waits until the conditions of an object say something, by their types, values and reasons.
func (s *fixture) becomes(object client.Object, conditions ...string) {
	s.T.Helper()
	s.Eventually(func() (says []string, err error) {
		if err := s.Admin.Get(s.Ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return nil, err
		}
		for _, condition := range harness.ConditionsOf(object) {
			says = append(says, fmt.Sprintf("%s=%s %s", condition.Type, condition.Status, condition.Reason))
		}
		return says, nil
	}).Should(gomega.ConsistOf(conditions))
}

// held is the token in a key's Secret.
func (s *fixture) held(key *v1alpha1.JWTRefreshKey) string {
	s.T.Helper()
	var secret corev1.Secret
	s.Expect(s.Admin.Get(s.Ctx, client.ObjectKeyFromObject(key), &secret)).To(gomega.Succeed())
	return string(secret.Data[v1alpha1.SecretToken])
}

// refresh exchanges a refresh token, and returns the next one where there is one.
func (s *fixture) refresh(r *operator.Replica, held string) (outcome, next string) {
	s.T.Helper()
	answer := s.Refresh(r, held)
	return answer.Outcome(), answer.Text("refresh_token")
}

// is checks the health that each tool reports for the current state of an object, as the API server returns it.
func (s *fixture) is(object client.Object, current status.Status, health string) {
	s.T.Helper()
	gvk, err := s.Admin.GroupVersionKindFor(object)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(gvk)
	s.Expect(s.Admin.Get(s.Ctx, client.ObjectKeyFromObject(object), live)).To(gomega.Succeed())
	computed, err := status.Compute(live)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	s.Expect(computed.Status).To(gomega.Equal(current), "kstatus: %s", computed.Message)
	shown := argo(s.T, live)
	s.Expect(shown.status).To(gomega.Equal(health), "Argo CD: %s", shown.message)
	for _, condition := range harness.ConditionsOf(object) {
		if condition.Type == v1alpha1.ConditionReady && live.GetDeletionTimestamp() == nil && condition.ObservedGeneration == live.GetGeneration() {
			s.Expect(shown.message).To(gomega.Equal(condition.Reason + ": " + condition.Message))
		}
	}
}

func script(t *testing.T, kind string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(server.Root, "config", "argocd", map[string]string{"JWTRefreshKey": "jwtrefreshkey.lua", "JWTIssuer": "jwtissuer.lua"}[kind]))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

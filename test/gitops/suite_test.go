// Package gitops checks the health that GitOps tools report for refresh keys and issuers, with the tools' own libraries:
// kstatus, which Flux and Helm use, and the Lua of Argo CD. A manager and a token service write the objects at a real
// API server.
package gitops

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

const (
	patience  = 30 * time.Second
	pollEvery = 20 * time.Millisecond
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(apiserver.Main(m, &server))
}

// stage is a namespace and an issuer of its own.
type stage struct {
	*gomega.WithT
	t     *testing.T
	ctx   context.Context
	admin client.Client
	// name is that of the namespace and of the issuer.
	name  string
	clock *clocktesting.FakePassiveClock
}

func newStage(t *testing.T, name string) *stage {
	t.Helper()
	admin, err := client.New(server.Admin, client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{WithT: gomega.NewWithT(t), t: t, ctx: t.Context(), admin: admin, name: fmt.Sprint(name, "-", os.Getpid()),
		clock: clocktesting.NewFakePassiveClock(time.Now())}
	s.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.name}})
	return s
}

func (s *stage) create(object client.Object) {
	s.t.Helper()
	s.Expect(s.admin.Create(s.ctx, object)).To(gomega.Succeed())
	s.t.Cleanup(func() {
		_ = s.admin.Patch(context.Background(), object, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
		_ = s.admin.Delete(context.Background(), object)
	})
}

func (s *stage) manage() (stop func()) {
	s.t.Helper()
	config, err := server.Manager(s.ctx)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	return operator.Manage(s.t, config, logr.Discard(), controllers.Options{Clock: s.clock})
}

func (s *stage) serve() *operator.Replica {
	s.t.Helper()
	config, err := server.TokenServer(s.ctx)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	return operator.Serve(s.t, config, registry.Options{Clock: clock.RealClock{}})
}

func (s *stage) issuer() *v1alpha1.JWTIssuer {
	s.t.Helper()
	issuer := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: s.name}, Spec: v1alpha1.JWTIssuerSpec{URL: "https://tokens.example.com/" + s.name}}
	s.create(issuer)
	return issuer
}

func (s *stage) key(name string, change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	s.t.Helper()
	key := &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: name},
		Spec:       v1alpha1.JWTRefreshKeySpec{Audience: "https://orders.example.com", IssuerRef: &v1alpha1.IssuerReference{Name: s.name}},
	}
	for _, c := range change {
		c(key)
	}
	s.create(key)
	return key
}

// edit changes an object as a user does: after a conflict, it retries with the newest state.
func (s *stage) edit(object client.Object, change func()) {
	s.t.Helper()
	s.Eventually(func() error { return apiserver.Edit(s.ctx, s.admin, object, change) }, patience, pollEvery).Should(gomega.Succeed())
}

func (s *stage) annotate(object client.Object, name, value string) {
	s.t.Helper()
	s.edit(object, apiserver.Annotate(object, name, value))
}

// becomes waits until the conditions of an object say something, by their types, values and reasons.
func (s *stage) becomes(object client.Object, conditions ...string) {
	s.t.Helper()
	s.Eventually(func() (says []string, err error) {
		if err := s.admin.Get(s.ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return nil, err
		}
		for _, condition := range conditionsOf(object) {
			says = append(says, fmt.Sprintf("%s=%s %s", condition.Type, condition.Status, condition.Reason))
		}
		return says, nil
	}, patience, pollEvery).Should(gomega.ConsistOf(conditions))
}

func conditionsOf(object client.Object) []metav1.Condition {
	switch object := object.(type) {
	case *v1alpha1.JWTRefreshKey:
		return object.Status.Conditions
	case *v1alpha1.JWTIssuer:
		return object.Status.Conditions
	default:
		return nil
	}
}

// held is the token in a key's Secret.
func (s *stage) held(key *v1alpha1.JWTRefreshKey) string {
	s.t.Helper()
	var secret corev1.Secret
	s.Expect(s.admin.Get(s.ctx, client.ObjectKeyFromObject(key), &secret)).To(gomega.Succeed())
	return string(secret.Data[v1alpha1.SecretToken])
}

// refresh exchanges a refresh token, and returns the next one where there is one.
func (s *stage) refresh(r *operator.Replica, held string) (outcome, next string) {
	s.t.Helper()
	answer := r.Post(s.t, "/"+s.name+"/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {held}})
	return answer.Outcome(), answer.Text("refresh_token")
}

// is checks the health that each tool reports for the current state of an object, as the API server returns it.
func (s *stage) is(object client.Object, current status.Status, health string) {
	s.t.Helper()
	gvk, err := s.admin.GroupVersionKindFor(object)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(gvk)
	s.Expect(s.admin.Get(s.ctx, client.ObjectKeyFromObject(object), live)).To(gomega.Succeed())
	computed, err := status.Compute(live)
	s.Expect(err).NotTo(gomega.HaveOccurred())
	s.Expect(computed.Status).To(gomega.Equal(current), "kstatus: %s", computed.Message)
	told := argo(s.t, live)
	s.Expect(told.status).To(gomega.Equal(health), "Argo CD: %s", told.message)
	for _, condition := range conditionsOf(object) {
		if condition.Type == v1alpha1.ConditionReady && live.GetDeletionTimestamp() == nil && condition.ObservedGeneration == live.GetGeneration() {
			s.Expect(told.message).To(gomega.Equal(condition.Reason + ": " + condition.Message))
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

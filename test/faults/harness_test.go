package faults

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/acceptance"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// waitTimeout bounds each wait. It is long enough for a busy machine.
const waitTimeout = 60 * time.Second

const pollEvery = 25 * time.Millisecond

// harness gives a test an API server, with the rights of a cluster administrator.
type harness struct {
	*gomega.WithT
	t        *testing.T
	ctx      context.Context
	admin    client.Client
	config   *rest.Config
	manager  *rest.Config
	clock    clock.PassiveClock
	log      *logbook
	journal  *journal
	verifier *acceptance.Verifier
}

// newHarness returns a harness on the API server that the tests share.
func newHarness(t *testing.T, clock clock.PassiveClock) *harness {
	t.Helper()
	return newHarnessOn(t, server, clock)
}

// newHarnessOn returns a harness on the given API server.
func newHarnessOn(t *testing.T, server *apiserver.Server, clock clock.PassiveClock) *harness {
	t.Helper()
	admin, err := client.New(server.Admin, client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	manager, err := server.Manager(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{
		WithT: gomega.NewWithT(t), t: t, ctx: t.Context(), admin: admin, config: server.Admin, manager: manager, clock: clock,
		log: &logbook{}, journal: newJournal(),
		verifier: &acceptance.Verifier{Reader: admin, Namespace: apiserver.Namespace, Now: clock.Now},
	}
	// Every test checks I6.
	t.Cleanup(func() {
		if found := h.journal.scanner(t).find(h.log.text()); len(found) > 0 {
			t.Errorf("I6: the manager's log contains %s", strings.Join(found, "\nand "))
		}
	})
	return h
}

var nameCount atomic.Int64

// uniqueName returns a name that no other test uses.
func uniqueName(about string) string {
	return fmt.Sprintf("%s-%d-%03d", about, os.Getpid(), nameCount.Add(1))
}

// createNamespace creates a namespace, and deletes it with its content at the end of the test.
func (h *harness) createNamespace(name string) {
	h.t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	h.Expect(h.admin.Create(h.ctx, namespace)).To(gomega.Succeed())
	h.t.Cleanup(func() {
		ctx := context.Background()
		_ = h.admin.DeleteAllOf(ctx, &v1alpha1.JWTRefreshKey{}, client.InNamespace(name))
		_ = h.admin.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(name))
		_ = h.admin.Delete(ctx, namespace)
	})
}

// createIssuer creates an issuer, and deletes it with its signing keys at the end of the test.
func (h *harness) createIssuer(name string, change ...func(*v1alpha1.JWTIssuer)) *v1alpha1.JWTIssuer {
	h.t.Helper()
	issuer := newIssuer(name, change...)
	h.Expect(h.admin.Create(h.ctx, issuer)).To(gomega.Succeed())
	h.t.Cleanup(func() { h.removeIssuer(name) })
	return issuer
}

func newIssuer(name string, change ...func(*v1alpha1.JWTIssuer)) *v1alpha1.JWTIssuer {
	issuer := &v1alpha1.JWTIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.JWTIssuerSpec{URL: "https://" + name + ".example.com"},
	}
	for _, c := range change {
		c(issuer)
	}
	return issuer
}

func (h *harness) removeIssuer(name string) {
	ctx := context.Background()
	_ = h.admin.Delete(ctx, &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: name}})
	_ = h.admin.Delete(ctx, signingKeysSecret(name))
}

// signingKeysSecret returns an empty Secret with the name of the one that holds an issuer's signing keys.
func signingKeysSecret(issuer string) *corev1.Secret {
	return secretNamed(apiserver.Namespace, signingKeysPrefix+issuer)
}

func secretNamed(namespace, name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

func newKey(namespace, name, issuer string, change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	key := &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.JWTRefreshKeySpec{
			Audience:  "https://orders.example.com",
			IssuerRef: &v1alpha1.IssuerReference{Name: issuer},
		},
	}
	for _, c := range change {
		c(key)
	}
	return key
}

// createKey creates a refresh key. createNamespace deletes it.
func (h *harness) createKey(namespace, name, issuer string, change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	h.t.Helper()
	key := newKey(namespace, name, issuer, change...)
	h.Expect(h.admin.Create(h.ctx, key)).To(gomega.Succeed())
	return key
}

// edit changes an object as a user does. After a conflict it tries again with the newest state.
func edit[T client.Object](h *harness, object T, change func(T)) {
	h.t.Helper()
	h.Eventually(func() error {
		if err := h.admin.Get(h.ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
		change(object)
		return h.admin.Update(h.ctx, object)
	}, waitTimeout, pollEvery).Should(gomega.Succeed(), "cannot edit %s", object.GetName())
}

func annotate[T client.Object](h *harness, object T, name, value string) {
	h.t.Helper()
	edit(h, object, func(o T) {
		annotations := o.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[name] = value
		o.SetAnnotations(annotations)
	})
}

// touch makes the manager reconcile an object. The test sets the clock, and the work queue does not follow
// that clock.
func touch[T client.Object](h *harness, object T) {
	h.t.Helper()
	annotate(h, object, "faults.example.com/touched", uniqueName("at"))
}

// startManager runs a manager until the test ends or stop is called. The manager has only the rights of its
// ServiceAccount. Its requests pass through wrap.
func (h *harness) startManager(wrap transport.WrapperFunc, change ...func(*controllers.Options)) (stop func()) {
	h.t.Helper()
	return h.startManagerWith(ctrl.Options{Logger: h.log.logger(1), Metrics: metricsserver.Options{BindAddress: "0"}}, wrap, change...)
}

func (h *harness) startManagerWith(base ctrl.Options, wrap transport.WrapperFunc, change ...func(*controllers.Options)) (stop func()) {
	h.t.Helper()
	config := rest.CopyConfig(h.manager)
	config.Wrap(wrap)
	options := controllers.Options{Namespace: apiserver.Namespace, Clock: h.clock, SeveralInProcess: true}
	for _, c := range change {
		c(&options)
	}
	mgr, err := controllers.NewManager(config, base, options)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return apiserver.Run(h.t, mgr)
}

// get reads an object from the API server.
func get[T client.Object](h *harness, object T) (T, error) {
	return object, h.admin.Get(h.ctx, client.ObjectKeyFromObject(object), object)
}

// readyOf returns the reason and the status of the condition Ready.
func readyOf(conditions []metav1.Condition) (reason string, ready bool) {
	condition := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if condition == nil {
		return "no condition Ready", false
	}
	return condition.Reason, condition.Status == metav1.ConditionTrue
}

// exists reports whether the object of a read exists. It returns every error other than NotFound.
func exists(err error) (bool, error) {
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

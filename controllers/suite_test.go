package controllers_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", testsAtOnce); err != nil {
		panic(err)
	}
	os.Exit(apiserver.Main(m, &server))
}

// harness is one test's view of the cluster: a namespace and an issuer of its own, a clock
// that it moves, and managers that it starts and stops.
type harness struct {
	*gomega.WithT
	t         *testing.T
	ctx       context.Context
	admin     client.Client
	namespace string
	issuer    string
	// operator is the operator's namespace. isolated is true if the managers see only this harness.
	operator string
	isolated bool
	clock    *clocktesting.FakePassiveClock
}

var harnesses atomic.Int64

func newHarness(t *testing.T) *harness {
	t.Helper()
	admin, err := client.New(server.Admin, client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("harness-%d-%d", os.Getpid(), harnesses.Add(1))
	w := &harness{
		WithT: gomega.NewWithT(t), t: t, ctx: t.Context(), admin: admin, namespace: name, issuer: name, operator: apiserver.Namespace,
		clock: clocktesting.NewFakePassiveClock(time.Now()),
	}
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	return w
}

func (w *harness) create(object client.Object) {
	w.t.Helper()
	w.Expect(w.admin.Create(w.ctx, object)).To(gomega.Succeed())
	w.t.Cleanup(func() {
		_ = w.admin.Delete(context.Background(), object)
	})
}

// createIssuer creates the issuer of the harness.
func (w *harness) createIssuer(change ...func(*v1alpha1.JWTIssuer)) *v1alpha1.JWTIssuer {
	w.t.Helper()
	issuer := &v1alpha1.JWTIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: w.issuer},
		Spec:       v1alpha1.JWTIssuerSpec{URL: "https://" + w.issuer + ".example.com"},
	}
	if w.isolated {
		issuer.Labels = map[string]string{harnessLabel: w.issuer}
	}
	for _, c := range change {
		c(issuer)
	}
	w.create(issuer)
	return issuer
}

// newKey returns a key of the harness's issuer, not yet created.
func (w *harness) newKey(name string, change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	key := &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec: v1alpha1.JWTRefreshKeySpec{
			Audience:  "https://orders.example.com",
			IssuerRef: &v1alpha1.IssuerReference{Name: w.issuer},
		},
	}
	for _, c := range change {
		c(key)
	}
	return key
}

func (w *harness) createKey(name string, change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	w.t.Helper()
	key := w.newKey(name, change...)
	w.create(key)
	return key
}

// start runs a manager with its own ServiceAccount until the test ends or stop is called.
func (w *harness) start(change ...func(*rest.Config, *controllers.Options)) (stop func()) {
	w.t.Helper()
	config, err := server.Manager(w.ctx)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	options := controllers.Options{Namespace: w.operator, Clock: w.clock, SeveralInProcess: true}
	for _, c := range change {
		c(config, &options)
	}
	if w.isolated {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &isolation{next, w.namespace, w.issuer} })
	}
	mgr, err := controllers.NewManager(config, ctrl.Options{
		Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
	}, options)
	w.Expect(err).NotTo(gomega.HaveOccurred())
	stop = apiserver.Run(w.t, mgr)
	w.Expect(mgr.GetCache().WaitForCacheSync(w.ctx)).To(gomega.BeTrue())
	return stop
}

// get reads an object from the API server.
func get[T client.Object](w *harness, object T) T {
	w.t.Helper()
	w.Expect(w.admin.Get(w.ctx, client.ObjectKeyFromObject(object), object)).To(gomega.Succeed())
	return object
}

// reason returns the reason of a key's condition Ready, as kubectl shows it.
func (w *harness) reason(key *v1alpha1.JWTRefreshKey) func() string {
	return func() string {
		current := key.DeepCopy()
		if err := w.admin.Get(w.ctx, client.ObjectKeyFromObject(key), current); err != nil {
			return err.Error()
		}
		ready := meta.FindStatusCondition(current.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil {
			return "no condition Ready"
		}
		return ready.Reason
	}
}

const patience = 20 * time.Second

func (w *harness) becomes(key *v1alpha1.JWTRefreshKey, reason string) {
	w.t.Helper()
	w.Eventually(w.reason(key), patience, 20*time.Millisecond).Should(gomega.Equal(reason))
	get(w, key)
}

func (w *harness) secret(name string) *corev1.Secret {
	w.t.Helper()
	return get(w, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}})
}

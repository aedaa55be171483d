package controllers_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// BenchmarkReconcileAtRest measures the reconciliation of a key without changes, with the
// client and the caches of a manager that has issued it. It fails on any API call.
func BenchmarkReconcileAtRest(b *testing.B) {
	key := createBenchmarkKey(b)
	mgr, requests := startBenchmarkManager(b)
	reconciler := controllers.NewRefreshKeyReconciler(mgr, controllers.Options{Namespace: apiserver.Namespace})
	awaitRest(b, mgr.GetClient(), key, requests)
	request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(key)}
	// The first reconciliation ensures the serving certificate.
	if _, err := reconciler.Reconcile(b.Context(), request); err != nil {
		b.Fatal(err)
	}

	// Many short windows with one manager: those on a busy machine are outliers.
	const windows = 20
	for range windows {
		b.Run("window", func(b *testing.B) { lookAtRest(b, reconciler, request, requests) })
	}
}

func lookAtRest(b *testing.B, reconciler reconcile.Reconciler, request ctrl.Request, requests *atomic.Int64) {
	before := requests.Load()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := reconciler.Reconcile(b.Context(), request); err != nil {
			b.Fatal(err)
		}
	}
	made := requests.Load() - before
	b.ReportMetric(float64(made), "requests")
	if made != 0 {
		b.Errorf("%d API calls were made for a key at rest", made)
	}
}

// createBenchmarkKey creates a key as in the README, with an issuer of its own.
func createBenchmarkKey(b *testing.B) *v1alpha1.JWTRefreshKey {
	b.Helper()
	admin, err := client.New(server.Admin, client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		b.Fatal(err)
	}
	name := fmt.Sprintf("bench-%d-%d", os.Getpid(), time.Now().UnixNano())
	key := &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "orders"},
		Spec: v1alpha1.JWTRefreshKeySpec{
			Audience:  "https://orders.example.com",
			Lifetime:  &metav1.Duration{Duration: 720 * time.Hour},
			IssuerRef: &v1alpha1.IssuerReference{Name: name},
		},
	}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
		&v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.JWTIssuerSpec{URL: "https://" + name + ".example.com"}},
		key,
	} {
		if err := admin.Create(b.Context(), object); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = admin.Delete(context.Background(), object) })
	}
	return key
}

// startBenchmarkManager runs a manager until the benchmark ends, and counts its requests.
func startBenchmarkManager(b *testing.B) (ctrl.Manager, *atomic.Int64) {
	b.Helper()
	config, err := server.Manager(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	requests := &atomic.Int64{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &requestCounter{next: next, requests: requests} })
	mgr, err := controllers.NewManager(config, ctrl.Options{
		Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
	}, controllers.Options{Namespace: apiserver.Namespace, SeveralInProcess: true})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Errorf("the manager ended with: %v", err)
		}
	})
	return mgr, requests
}

type requestCounter struct {
	next     http.RoundTripper
	requests *atomic.Int64
}

func (c *requestCounter) RoundTrip(request *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	return c.next.RoundTrip(request)
}

// awaitRest waits until the manager's own cache shows the key as Ready and no request was
// made for a second: its Event follows late.
func awaitRest(b *testing.B, cached client.Reader, key *v1alpha1.JWTRefreshKey, requests *atomic.Int64) {
	b.Helper()
	before := int64(-1)
	err := wait.PollUntilContextTimeout(b.Context(), time.Second, time.Minute, false, func(ctx context.Context) (bool, error) {
		current := &v1alpha1.JWTRefreshKey{}
		if err := cached.Get(ctx, client.ObjectKeyFromObject(key), current); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		ready := meta.IsStatusConditionTrue(current.Status.Conditions, v1alpha1.ConditionReady)
		quiet := requests.Load() == before
		before = requests.Load()
		return ready && quiet, nil
	})
	if err != nil {
		b.Fatalf("the key did not settle: %v", err)
	}
}

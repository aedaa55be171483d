package tenancy

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// floodSize returns how many refresh keys are created at once.
func floodSize() int {
	if os.Getenv("SOAK") == "true" {
		return 10_000
	}
	return 150
}

// TestSoakFlood creates very many refresh keys in one namespace at once. A key in another namespace does
// not wait for them, and the operator issues all of them with bounded memory.
func TestSoakFlood(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	issuer := newIssuer(h)
	// One worker makes the operator as slow as one with much other work.
	operator.Manage(t, h.ManagerConfig(), logr.Discard(), controllers.Options{Workers: 1})
	quiet, flooded := h.Namespace(nil), h.Namespace(nil)
	h.AwaitIssuer(issuer.Name)
	warm := time.Now()
	h.AwaitRevision(harness.Created(h, harness.NewKey(quiet, "before", harness.WithIssuer(issuer.Name))), 1)
	alone := time.Since(warm)

	count := floodSize()
	before := heapSize()
	makeKeys(h, flooded, issuer.Name, count)
	began := time.Now()
	h.AwaitRevision(harness.Created(h, harness.NewKey(quiet, "meanwhile", harness.WithIssuer(issuer.Name))), 1)
	took := time.Since(began)
	if waiting := count - issuedIn(h, flooded); waiting < count/4 {
		t.Errorf("the key in the other namespace was issued after all but %d of %d keys of the flood", waiting, count)
	} else {
		t.Logf("with %d keys of the flood waiting, a key in another namespace took %s; without a flood %s", waiting, took, alone)
	}
	// One worker issues more than fifty per second; on a busy machine, fewer.
	within := waitTimeout + time.Duration(count)*20*time.Millisecond
	h.Eventually(func() int { return issuedIn(h, flooded) }, within, time.Second).Should(gomega.Equal(count), "issued keys of the flood")
	// The test's own clients keep nothing, so this is the manager's memory per key.
	if each := (heapSize() - before) / int64(count); each > 32<<10 {
		t.Errorf("memory per key of the flood: got %d bytes, want at most %d", each, 32<<10)
	}
	h.AwaitRevision(harness.Created(h, harness.NewKey(quiet, "after", harness.WithIssuer(issuer.Name))), 1)
}

func makeKeys(h *harness.Harness, namespace, issuer string, count int) {
	h.T.Helper()
	admin := h.Admin
	var group errgroup.Group
	group.SetLimit(32)
	for i := range count {
		group.Go(func() error {
			return admin.Create(h.Ctx, harness.NewKey(namespace, fmt.Sprint("flood-", i), harness.WithIssuer(issuer)))
		})
	}
	if err := group.Wait(); err != nil {
		h.T.Fatal(err)
	}
}

func issuedIn(h *harness.Harness, namespace string) (issued int) {
	h.T.Helper()
	var keys v1alpha1.JWTRefreshKeyList
	h.Expect(h.Admin.List(h.Ctx, &keys, client.InNamespace(namespace))).To(gomega.Succeed())
	for i := range keys.Items {
		if keys.Items[i].Status.Revision > 0 {
			issued++
		}
	}
	return issued
}

func heapSize() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

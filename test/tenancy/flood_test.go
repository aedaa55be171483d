package tenancy

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
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
	issuer := newIssuer(t)
	// One worker makes the operator as slow as one with much other work.
	operator.Manage(t, managerConfig(t), logr.Discard(), controllers.Options{Workers: 1})
	quiet, flooded := newNamespace(t, nil), newNamespace(t, nil)
	awaitIssuer(t, issuer.Name)
	warm := time.Now()
	awaitRevision(t, create(t, newKey(quiet, "before", withIssuer(issuer.Name))), 1)
	alone := time.Since(warm)

	count := floodSize()
	before := heapSize()
	makeKeys(t, flooded, issuer.Name, count)
	began := time.Now()
	awaitRevision(t, create(t, newKey(quiet, "meanwhile", withIssuer(issuer.Name))), 1)
	took := time.Since(began)
	if waiting := count - issuedIn(t, flooded); waiting < count/4 {
		t.Errorf("the key in the other namespace was issued after all but %d of %d keys of the flood", waiting, count)
	} else {
		t.Logf("with %d keys of the flood waiting, a key in another namespace took %s; without a flood %s", waiting, took, alone)
	}
	// One worker issues more than fifty per second.
	deadline := time.Now().Add(waitTimeout + time.Duration(count)*20*time.Millisecond)
	for issued := 0; issued < count; issued = issuedIn(t, flooded) {
		if time.Now().After(deadline) {
			t.Fatalf("got %d issued keys of the flood, want %d", issued, count)
		}
		time.Sleep(time.Second)
	}
	// The test's own clients keep nothing, so this is the manager's memory per key.
	if each := (heapSize() - before) / int64(count); each > 32<<10 {
		t.Errorf("memory per key of the flood: got %d bytes, want at most %d", each, 32<<10)
	}
	awaitRevision(t, create(t, newKey(quiet, "after", withIssuer(issuer.Name))), 1)
}

func makeKeys(t *testing.T, namespace, issuer string, count int) {
	t.Helper()
	admin := clientOf(t, "")
	var group errgroup.Group
	group.SetLimit(32)
	for i := range count {
		group.Go(func() error {
			return admin.Create(t.Context(), newKey(namespace, fmt.Sprint("flood-", i), withIssuer(issuer)))
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

func issuedIn(t *testing.T, namespace string) (issued int) {
	t.Helper()
	var keys v1alpha1.JWTRefreshKeyList
	if err := clientOf(t, "").List(t.Context(), &keys, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
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

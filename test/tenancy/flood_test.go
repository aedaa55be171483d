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
	"github.com/refreshkeys/refreshkeys/test/operator"
)

// floods is how many keys are made at once.
func floodSize() int {
	if os.Getenv("SOAK") == "true" {
		return 10_000
	}
	return 150
}

// TestSoakFlood: one namespace makes very many keys at once. Another's key does not wait for
// them, and the operator takes what it can bear.
func TestSoakFlood(t *testing.T) {
	issuer := newIssuer(t)
	// As slow as an operator that has much else to do.
	operator.Manage(t, managerConfig(t), logr.Discard(), controllers.Options{Workers: 1})
	quiet, flooded := newNamespace(t, nil), newNamespace(t, nil)
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
		t.Errorf("the other's key came after all but %d of %d keys of the flood", waiting, count)
	} else {
		t.Logf("with %d keys of a flood waiting, another's took %s, and alone %s", waiting, took, alone)
	}
	// Fifty a second is less than one worker does.
	deadline := time.Now().Add(waitTimeout + time.Duration(count)*20*time.Millisecond)
	for issued := 0; issued < count; issued = issuedIn(t, flooded) {
		if time.Now().After(deadline) {
			t.Fatalf("of %d keys of the flood %d are issued", count, issued)
		}
		time.Sleep(time.Second)
	}
	// What a key costs the manager: the test's own clients keep nothing.
	if each := (heapSize() - before) / int64(count); each > 32<<10 {
		t.Errorf("each key of the flood costs %d bytes", each)
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

package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestOutageInTheMiddleOfIssues stops etcd and then kills the API server while 500 refresh keys are issued, or 200 in its short form.
// The manager keeps running. All keys become Ready without help, and none is issued twice.
func TestOutageInTheMiddleOfIssues(t *testing.T) {
	keys := 500
	if testing.Short() {
		keys = 200
	}
	if server.Existing() {
		t.Skip("an existing cluster is not stopped")
	}
	away := 20 * time.Second
	if soak() {
		away = 2 * time.Minute
	}
	o := newOutage(t, keys)
	o.startManager(newWire(o.journal, 1).wrap)
	o.Eventually(o.readyCount).Should(gomega.BeNumerically(">=", keys/5))
	o.stopControlPlane(away)
	o.awaitRecovery()
	o.check()
}

// outage is a control plane of its own, with many refresh keys.
type outage struct {
	*fixture
	control   *cluster.Cluster
	watcher   *invariantWatcher
	name      string
	keys      []*v1alpha1.JWTRefreshKey
	stoppedAt time.Time
}

func newOutage(t *testing.T, keys int) *outage {
	t.Helper()
	control, err := cluster.Start(t.Context(), cluster.Options{Dir: t.TempDir(), Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := control.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := cluster.Install(t.Context(), control); err != nil {
		t.Fatal(err)
	}
	o := &outage{
		fixture: newFixtureOn(t, &apiserver.Server{Admin: control.Config()}, clock.RealClock{}),
		control: control, name: harness.UniqueName("outage"),
	}
	o.watcher = o.startWatcher(onlyNamespace(o.name))
	o.CreateNamespace(o.name, nil)
	o.CreateIssuer(o.name)
	// The signing keys are created first. Otherwise each refresh key would report their absence in one more write.
	stop := o.startManager(newWire(o.journal, 0).wrap)
	o.awaitIssuerReason(o.name, v1alpha1.ReasonKeysReady)
	stop()
	for i := range keys {
		o.keys = append(o.keys, newKey(o.name, fmt.Sprintf("key-%03d", i), o.name))
	}
	inParallel(o.keys, func(key *v1alpha1.JWTRefreshKey) { o.Expect(o.Admin.Create(o.Ctx, key)).To(gomega.Succeed()) })
	return o
}

// readyCount returns how many refresh keys are Ready.
func (o *outage) readyCount() (int, error) {
	var keys v1alpha1.JWTRefreshKeyList
	if err := o.Admin.List(o.Ctx, &keys, client.InNamespace(o.name)); err != nil {
		return 0, err
	}
	count := 0
	for i := range keys.Items {
		if _, ready := readyOf(keys.Items[i].Status.Conditions); ready {
			count++
		}
	}
	return count, nil
}

// stopControlPlane stops etcd for the given duration, and then kills the API server.
func (o *outage) stopControlPlane(away time.Duration) {
	o.T.Helper()
	before, err := o.readyCount()
	o.Expect(err).NotTo(gomega.HaveOccurred())
	o.stoppedAt = time.Now()
	o.Expect(o.control.Etcd.Stop(o.Ctx)).To(gomega.Succeed())
	short, cancel := context.WithTimeout(o.Ctx, away)
	defer cancel()
	o.Expect(o.Admin.Get(short, clientKey(o.keys[0]), o.keys[0].DeepCopy())).NotTo(gomega.Succeed(), "a read succeeded without etcd")
	<-short.Done()
	o.Expect(o.control.Etcd.Start(o.Ctx)).To(gomega.Succeed())
	o.Expect(o.control.APIServer.Kill()).To(gomega.Succeed())
	o.Expect(o.control.APIServer.Start(o.Ctx)).To(gomega.Succeed())
	o.T.Logf("etcd and the API server stopped after %d of %d issues, for %s", before, len(o.keys), time.Since(o.stoppedAt).Round(time.Millisecond))
	o.Expect(before).To(gomega.BeNumerically("<", len(o.keys)), "all keys were issued before the outage")
}

func (o *outage) awaitRecovery() {
	o.T.Helper()
	back := time.Now()
	o.Eventually(o.readyCount, 2*harness.Patience, 4*harness.PollEvery).Should(gomega.Equal(len(o.keys)), func() string { return o.log.tail(o.name) })
	o.T.Logf("all %d are Ready %s after the API server was back", len(o.keys), time.Since(back).Round(time.Millisecond))
}

func (o *outage) check() {
	o.T.Helper()
	o.watcher.catchUp(o.name)
	list := acceptList{}
	effective := map[string]int{}
	var faults []error
	for _, key := range o.keys {
		_, err := harness.Get(o.Harness, key)
		o.Expect(err).NotTo(gomega.HaveOccurred())
		list.add(key)
		if key.Status.Revision != 1 {
			faults = append(faults, fmt.Errorf("key %s: got revision %d, want 1", key.Name, key.Status.Revision))
		}
		cost, refused := map[kind]int{}, 0
		mine := o.journal.filter(func(e *entry) bool { return e.owner == o.name && e.name == key.Name })
		for _, e := range mine {
			if e.effective() {
				cost[e.kind]++
			} else if e.kind == keySecret && e.refused() {
				refused = 1
			}
		}
		effective[fmt.Sprintf("%d of the Secret and %d of status", cost[keySecret], cost[keyStatus])]++
		// A write whose answer was lost is not counted, although it took effect. An API server that starts may refuse
		// the Secret before it has read the roles. Reporting that in status is one more write.
		if cost[keySecret] > 1 || cost[keyStatus] > 1+refused {
			faults = append(faults, fmt.Errorf("key %s: too many effective writes:\n%s\n%s", key.Name, formatEntries(mine), o.log.tail(`"`+key.Name+`"`)))
		}
	}
	attempts := o.journal.ofOwner(o.name)
	o.T.Logf("%d writes, %d of them without effect", len(attempts), len(slices.DeleteFunc(attempts, (*entry).effective)))
	for _, cost := range slices.Sorted(maps.Keys(effective)) {
		o.T.Logf("answered writes per key: %s: %d keys", cost, effective[cost])
	}
	faults = append(faults, list.verify(o.fixture, o.name, o.name), list.verifyRecorded(o.fixture, o.name), o.watcher.violationsIn(o.name))
	if err := errors.Join(faults...); err != nil {
		o.T.Error(err)
	}
}

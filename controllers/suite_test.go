package controllers_test

import (
	"flag"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", testsAtOnce); err != nil {
		panic(err)
	}
	os.Exit(apiserver.Main(m, &server))
}

// patience bounds each wait that names no other time. It is shorter than the longest time between two tries, so that a
// test that waits for the effect of an event does not pass because of a retry.
const patience = 20 * time.Second

// fixture is a namespace with an issuer, a clock that the test moves, and managers that it starts and stops.
type fixture struct {
	*harness.Harness
	clock *clocktesting.FakePassiveClock
	// operator is the operator's namespace. isolated is true if the managers see only this fixture.
	operator string
	isolated bool
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(time.Now())
	w := &fixture{Harness: harness.New(t, server, clock), clock: clock, operator: apiserver.Namespace}
	w.SetDefaultEventuallyTimeout(patience)
	w.CreateNamespace(w.Name, nil)
	return w
}

// start runs a manager with its own ServiceAccount until the test ends or stop is called. It returns once the caches of
// the manager are filled.
func (w *fixture) start(change ...func(*rest.Config, *controllers.Options)) (stop func()) {
	w.T.Helper()
	config, options := w.ManagerConfig(), controllers.Options{Namespace: w.operator, Clock: w.clock}
	for _, c := range change {
		c(config, &options)
	}
	if w.isolated {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &isolation{next, w.Name} })
	}
	mgr := operator.NewManager(w.T, config, logr.Discard(), options)
	stop = apiserver.Run(w.T, mgr)
	w.Expect(mgr.GetCache().WaitForCacheSync(w.Ctx)).To(gomega.BeTrue())
	return stop
}

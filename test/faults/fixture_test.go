package faults

import (
	"strings"
	"testing"

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
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// fixture gives a test an API server, with the rights of a cluster administrator, and what it checks of its managers.
type fixture struct {
	*harness.Harness
	config   *rest.Config
	manager  *rest.Config
	log      *logbook
	journal  *journal
	verifier *acceptance.Verifier
}

// newFixture returns a fixture on the API server that the tests share.
func newFixture(t *testing.T, clock clock.PassiveClock) *fixture {
	t.Helper()
	return newFixtureOn(t, server, clock)
}

// newFixtureOn returns a fixture on the given API server.
func newFixtureOn(t *testing.T, server *apiserver.Server, clock clock.PassiveClock) *fixture {
	t.Helper()
	base := harness.New(t, server, clock)
	h := &fixture{
		Harness: base, config: server.Admin, manager: base.ManagerConfig(), log: &logbook{}, journal: newJournal(),
		verifier: &acceptance.Verifier{Reader: newFrugalReader(base.Admin), Namespace: apiserver.Namespace, Now: clock.Now},
	}
	// Every test checks I6.
	t.Cleanup(func() {
		if found := h.journal.scanner(t).find(h.log.text()); len(found) > 0 {
			t.Errorf("I6: the manager's log contains %s", strings.Join(found, "\nand "))
		}
	})
	return h
}

// signingKeysSecret returns an empty Secret with the name of the one that holds an issuer's signing keys.
func signingKeysSecret(issuer string) *corev1.Secret {
	return secretNamed(apiserver.Namespace, signingKeysPrefix+issuer)
}

func secretNamed(namespace, name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// newKey returns a refresh key at an issuer, without creating it.
func newKey(namespace, name, issuer string, options ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	return harness.NewKey(namespace, name, append([]func(*v1alpha1.JWTRefreshKey){harness.WithIssuer(issuer)}, options...)...)
}

// createKey creates a refresh key. CreateNamespace deletes it.
func (h *fixture) createKey(namespace, name, issuer string, options ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	h.T.Helper()
	key := newKey(namespace, name, issuer, options...)
	h.Expect(h.Admin.Create(h.Ctx, key)).To(gomega.Succeed())
	return key
}

// touch makes the manager reconcile an object. The test sets the clock, and the work queue does not follow
// that clock.
func (h *fixture) touch(object client.Object) {
	h.T.Helper()
	h.Annotate(object, "faults.example.com/touched", harness.UniqueName("at"))
}

// startManager runs a manager until the test ends or stop is called. The manager has only the rights of its
// ServiceAccount. Its requests pass through wrap.
func (h *fixture) startManager(wrap transport.WrapperFunc, change ...func(*controllers.Options)) (stop func()) {
	h.T.Helper()
	return h.startManagerWith(ctrl.Options{Logger: h.log.logger(1), Metrics: metricsserver.Options{BindAddress: "0"}}, wrap, change...)
}

func (h *fixture) startManagerWith(base ctrl.Options, wrap transport.WrapperFunc, change ...func(*controllers.Options)) (stop func()) {
	h.T.Helper()
	config := rest.CopyConfig(h.manager)
	config.Wrap(wrap)
	options := controllers.Options{Namespace: apiserver.Namespace, Clock: h.Clock, SeveralInProcess: true}
	for _, c := range change {
		c(&options)
	}
	mgr, err := controllers.NewManager(config, base, options)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return apiserver.Run(h.T, mgr)
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

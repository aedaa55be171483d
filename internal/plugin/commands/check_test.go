package commands

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// inOperator returns the metadata of an object in the operator's namespace.
func inOperator(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: operatorNamespace, Name: name}
}

// healthy adds what an installation has: the policy, the Lease of a manager, a replica outside the cluster, its certificate, and an issuer
// that is ready.
func healthy(w *harness) {
	outside(w)
	w.issuer.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonKeysReady}}
	certificate := certificateOf(w.tokens.Server)
	w.objects = append(w.objects,
		&admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: policyName}},
		&admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: policyName}},
		lease(-5*time.Second),
		&corev1.Secret{ObjectMeta: inOperator(servingSecret), Data: map[string][]byte{"ca.crt": certificate, "tls.crt": certificate}},
	)
}

// lease returns the Lease of a manager that renewed it at a time from noon.
func lease(renewed time.Duration) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: inOperator(managerLease), Spec: coordinationv1.LeaseSpec{
		HolderIdentity: ptr.To("manager-1"), LeaseDurationSeconds: ptr.To[int32](15), RenewTime: &metav1.MicroTime{Time: at(renewed).Time},
	}}
}

// without removes the objects of healthy that have a name.
func without(name string) func(*harness) {
	return func(w *harness) {
		kept := w.objects[:0]
		for _, object := range w.objects {
			if object.GetName() != name {
				kept = append(kept, object)
			}
		}
		w.objects = kept
	}
}

// clusterOf returns a change of the cluster.
func clusterOf(change func(*fakeCluster)) func(*harness) {
	return func(w *harness) { w.prepare = change }
}

func TestCheck(t *testing.T) {
	administrator := func(f *fakeCluster) { f.bare, f.mayIntrospect = true, true }
	webhook := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "check", errors.New("admission webhook \"quota.example.com\" denied the request"))
	play(t, "check", []row{
		{name: "all is well", args: "check", with: healthy},
		{name: "all is well, in JSON", args: "check -o json", with: healthy},
		{name: "not installed", args: "check", with: bare, code: cli.ExitError},
		{name: "the API server is unavailable", args: "check --server https://127.0.0.1:1", code: cli.ExitError},
		{name: "no manager, no policy", args: "check", with: all(healthy, without(managerLease), without(policyName)), code: cli.ExitError},
		{name: "the manager stopped", args: "check", with: all(healthy, without(managerLease), func(w *harness) { w.objects = append(w.objects, lease(-time.Hour)) }), code: cli.ExitError},
		{name: "no replica", args: "check", with: all(healthy, without("outside")), code: cli.ExitError},
		{name: "a replica that does not answer", args: "check --replica https://127.0.0.1:1", with: healthy, code: cli.ExitError},
		{name: "pods, through the API server", args: "check", with: all(healthy, without("outside"), func(w *harness) {
			w.objects = append(w.objects, pod("tokenserver-1", corev1.ConditionTrue), pod("tokenserver-2", corev1.ConditionTrue))
			w.prepare = func(f *fakeCluster) { f.proxy = w.tokens }
		})},
		{name: "the token service is unavailable", args: "check", with: all(healthy, func(w *harness) { w.tokens.unavailable = true }), code: cli.ExitError},
		{name: "its clock is ahead", args: "check", with: all(healthy, func(w *harness) { w.tokens.ahead = 2 * time.Minute }), code: cli.ExitError},
		{name: "the clock of this machine is ahead", args: "check", with: all(healthy, func(w *harness) { w.tokens.ahead = -30 * time.Second }, clusterOf(func(f *fakeCluster) { f.ahead = -30 * time.Second }))},
		{name: "an authority that is not trusted", args: "check --replica $TOKENS", with: all(healthy, without(servingSecret)), code: cli.ExitError},
		{name: "an issuer that is not ready", args: "check", with: all(healthy, func(w *harness) {
			w.issuer.Status.Conditions[0].Status, w.issuer.Status.Conditions[0].Reason, w.issuer.Status.Conditions[0].Message = metav1.ConditionFalse, v1alpha1.ReasonKeysLost, "The Secret is missing."
		}), code: cli.ExitError},
		{name: "an issuer with a name of the cluster", args: "check", with: all(healthy, func(w *harness) { w.issuer.Spec.URL = "https://refreshkeys-tokenserver.refreshkeys-system.svc" })},
		{name: "no issuer", args: "check", with: all(healthy, without("default"))},
		{name: "no rights", args: "check --as guest", with: healthy},
		{name: "before", args: "check --pre", with: clusterOf(administrator)},
		{name: "before, for a URL that does not answer yet", args: "check --pre --url https://127.0.0.1:1", with: clusterOf(administrator)},
		{name: "before, for a URL that answers", args: "check --pre --url $TOKENS", with: clusterOf(administrator)},
		{name: "before, for a name of the cluster", args: "check --pre --url https://tokens.shop.svc", with: clusterOf(administrator)},
		{name: "before, for a wrong URL", args: "check --pre --url tokens.example.com", with: clusterOf(administrator), code: cli.ExitError},
		{name: "before, as a user", args: "check --pre", with: clusterOf(func(f *fakeCluster) { f.bare = true }), code: cli.ExitError},
		{name: "before, an old cluster", args: "check --pre", with: clusterOf(func(f *fakeCluster) { administrator(f); f.version = "v1.29.9+k3s1" }), code: cli.ExitError},
		{name: "before, admission refuses", args: "check --pre", with: clusterOf(func(f *fakeCluster) { administrator(f); f.refuses = webhook }), code: cli.ExitError},
		{name: "before, it is installed", args: "check --pre", with: clusterOf(func(f *fakeCluster) { f.mayIntrospect = true })},
		{name: "a URL after the installation", args: "check --url https://tokens.example.com", code: cli.ExitUsage},
		{name: "an unknown format", args: "check -o name", code: cli.ExitUsage},
		{name: "an argument", args: "check all", code: cli.ExitUsage},
	})
}

func TestVersion(t *testing.T) {
	deployments := func(w *harness) {
		for component, image := range map[string]string{"manager": "registry.example.com:5000/refreshkeys/manager:v0.1.9", "tokenserver": "tokenserver@sha256:0000", "console": "console"} {
			one := &appsv1.Deployment{ObjectMeta: inOperator(component)}
			one.Labels = map[string]string{"app.kubernetes.io/name": "refreshkeys", "app.kubernetes.io/component": component}
			one.Spec.Template.Spec.Containers = []corev1.Container{{Name: component, Image: image}}
			if component == "console" {
				one.Labels["app.kubernetes.io/version"] = "v0.2.0"
			}
			w.objects = append(w.objects, one)
		}
	}
	play(t, "version", []row{
		{name: "all", args: "version", with: deployments},
		{name: "in YAML", args: "version -o yaml", with: deployments},
		{name: "the plugin alone", args: "version --client --server https://127.0.0.1:1"},
		{name: "no Deployments", args: "version"},
		{name: "not installed", args: "version", with: bare},
		{name: "no rights", args: "version --as guest"},
		{name: "the API server is unavailable", args: "version --server https://127.0.0.1:1", code: cli.ExitError},
		{name: "an argument", args: "version all", code: cli.ExitUsage},
	})
}

// TestJudgeClock checks which differences of clocks are accepted. The header Date has whole seconds, and a request takes time.
func TestJudgeClock(t *testing.T) {
	for _, c := range []struct {
		name  string
		ahead time.Duration
		took  time.Duration
		want  verdict
		says  string
	}{
		{"the same", 0, 0, passed, "the same"},
		{"a second", time.Second, 0, passed, "the same"},
		{"ahead", 20 * time.Second, 0, passed, "ahead"},
		{"behind", -20 * time.Second, 0, passed, "behind"},
		{"far ahead", token.Skew + 2*time.Second, 0, failed, "refused"},
		{"far behind", -token.Skew - 2*time.Second, 0, failed, "refused"},
		{"a slow answer", token.Skew, time.Minute, passed, "the same"},
	} {
		got := judgeClock("clock", noon.Add(c.ahead).Format(timeFormat), noon, c.took)
		if got.Verdict != c.want || !strings.Contains(got.Reason, c.says) {
			t.Errorf("%s: %+v, want %s and %q", c.name, got, c.want, c.says)
		}
	}
	if got := judgeClock("clock", "", noon, 0); got.Verdict != unknown {
		t.Errorf("without a header: %+v", got)
	}
}

// timeFormat is that of the header Date.
const timeFormat = "Mon, 02 Jan 2006 15:04:05 GMT"

// TestJudgeCertificate checks the ends of certificates.
func TestJudgeCertificate(t *testing.T) {
	for left, want := range map[time.Duration]verdict{-time.Second: failed, 0: failed, day: unknown, 8 * day: passed} {
		if got := judgeCertificate("certificate", noon.Add(left), noon); got.Verdict != want {
			t.Errorf("%s left: %+v, want %s", left, got, want)
		}
	}
}

// TestOldestKubernetes checks that the chart has the same oldest version.
func TestOldestKubernetes(t *testing.T) {
	chart, err := os.ReadFile(filepath.Join("..", "..", "..", "charts", "refreshkeys", "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if want := `kubeVersion: ">=` + oldestKubernetes + `-0"`; !strings.Contains(string(chart), want) {
		t.Errorf("Chart.yaml has no %s", want)
	}
}

package chart

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestLifecycle is the life of an installation, in the order in which it happens: a first install, upgrades,
// an uninstall that keeps what was issued, an install after it, and uninstalls that remove it. The manager and
// the token service of the release run beside the cluster, which has no nodes, with the release's ServiceAccounts.
func TestLifecycle(t *testing.T) {
	l := newLife(t)
	t.Cleanup(func() { l.stopOperator(context.Background()) })
	url, err := suite.TokenServerURL(1)
	if err != nil {
		t.Fatal(err)
	}
	l.values = fmt.Sprintf("{issuer: {create: true, spec: {url: %q}}}", url)

	l.install()
	l.podsAreAdmitted()
	l.upgradeChangesNothing()
	l.upgradeToAnotherVersion()

	l.startOperator()
	l.issue("orders", v1alpha1.DeletionDelete)
	l.issue("kept", v1alpha1.DeletionRetain)
	before := l.secret("orders")
	l.exchanges(before)

	l.stopOperator(t.Context())
	l.uninstallThatKeeps(before)
	l.install()
	l.startOperator()
	if after := l.secret("orders"); !maps.EqualFunc(before.Data, after.Data, bytes.Equal) || before.UID != after.UID {
		t.Error("after an uninstall that keeps tokens and another install, the Secret is not what it was")
	}
	l.exchanges(before)

	l.values = fmt.Sprintf("{issuer: {create: true, spec: {url: %q}}, uninstall: {keepTokens: false}}", url)
	l.upgrade("charts/refreshkeys")
	l.uninstallThatRemoves(before, false)

	// The same with rights in some namespaces only.
	l.values = "{namespaces: [default, refreshkeys-system], uninstall: {keepTokens: false, removeCRDs: true}}"
	l.install()
	l.uninstallThatRemoves(nil, true)
}

// life is the release and what is around it.
type life struct {
	*harness.Harness
	values string
	// binary is the Helm that is used.
	binary string
}

// newLife returns a cluster without a release, as it is again after the test.
func newLife(t *testing.T) *life {
	t.Helper()
	t.Cleanup(func() { cleanUp(t) })
	return &life{Harness: newHarness(t), binary: suite.helm}
}

func (l *life) helm(arguments ...string) string {
	l.T.Helper()
	said, err := runHelm(l.Ctx, l.binary, arguments...)
	if err != nil {
		l.T.Fatal(err)
	}
	return said
}

func (l *life) install() {
	l.T.Helper()
	said := l.helm("install", release, "charts/refreshkeys", "--namespace", namespace, "--create-namespace", "--values", valuesFile(l.T, l.values))
	keeps := !strings.Contains(l.values, "keepTokens: false")
	if keeps != strings.Contains(said, "`helm uninstall` LEAVES the CRDs") || keeps == strings.Contains(said, "`helm uninstall` REMOVES all refresh keys") {
		l.T.Errorf("the notes do not say what an uninstall does:\n%s", said)
	}
	kubectl(l.T, "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
	kubectl(l.T, "wait", "--for=condition=Established", "--timeout=1m", "crd/jwtissuers.jwt.refreshkeys.dev", "crd/jwtrefreshkeys.jwt.refreshkeys.dev")
}

func (l *life) upgrade(chart string) {
	l.T.Helper()
	l.helm("upgrade", release, chart, "--namespace", namespace, "--values", valuesFile(l.T, l.values))
}

// podsAreAdmitted: the Deployments have all their pods, in a namespace that enforces Pod Security `restricted`.
// Without nodes they are not run.
func (l *life) podsAreAdmitted() {
	l.T.Helper()
	l.AwaitState("the Deployments have their pods", func() (bool, string) {
		pods := &corev1.PodList{}
		if err := l.Admin.List(l.Ctx, pods, client.InNamespace(namespace), client.MatchingLabels{"app.kubernetes.io/name": "refreshkeys"}); err != nil {
			return false, err.Error()
		}
		count := map[string]int{}
		for i := range pods.Items {
			count[pods.Items[i].Labels["app.kubernetes.io/component"]]++
		}
		return count["manager"] == 2 && count["tokenserver"] == 3, fmt.Sprint(count)
	})
}

// versions are the resourceVersions of all objects of the release, by name. What controllers write is left out.
func (l *life) versions() map[string]string {
	l.T.Helper()
	all := map[string]string{}
	for _, object := range objects(l.T, l.helm("get", "manifest", release, "--namespace", namespace)) {
		found := find(l.Harness, object.GroupVersionKind(), object.GetNamespace(), object.GetName())
		if found == nil {
			l.T.Fatalf("there is no %s", name(object))
		}
		all[name(object)] = found.GetResourceVersion()
	}
	return all
}

// upgradeChangesNothing: the same values and the same chart are the same objects.
func (l *life) upgradeChangesNothing() {
	l.T.Helper()
	// The issuer, whose kind is known now, becomes a part of the release.
	l.upgrade("charts/refreshkeys")
	l.AwaitState("the writes end", func() (bool, string) {
		first := l.versions()
		l.upgrade("charts/refreshkeys")
		var changed []string
		for name, version := range l.versions() {
			if first[name] != version {
				changed = append(changed, name)
			}
		}
		if len(first) < 30 || first["JWTIssuer default"] == "" {
			l.T.Fatalf("the release has %d objects: %v", len(first), slices.Sorted(maps.Keys(first)))
		}
		return len(changed) == 0, fmt.Sprintf("an upgrade with the same values changed %v", changed)
	})
}

// upgradeToAnotherVersion: a later chart brings later CRDs with it, and leaves alone what it does not change.
func (l *life) upgradeToAnotherVersion() {
	l.T.Helper()
	later := filepath.Join(l.T.TempDir(), "refreshkeys")
	if out, err := exec.Command("cp", "-r", filepath.Join(suite.root, "charts/refreshkeys"), later).CombinedOutput(); err != nil {
		l.T.Fatalf("%v: %s", err, out)
	}
	l.replace(filepath.Join(later, "Chart.yaml"), "\nversion: 0.1.0", "\nversion: 0.1.1")
	l.replace(filepath.Join(later, "files/crd.yaml"), "shortNames:\n    - jrk", "shortNames:\n    - jrk\n    - later")
	pods := l.podNames()
	l.upgrade(later)
	l.AwaitState("the CRD is the later one", func() (bool, string) {
		said, err := suite.Kubectl(l.Ctx, "get", "crd", "jwtrefreshkeys.jwt.refreshkeys.dev", "--output=jsonpath={.spec.names.shortNames}")
		return strings.Contains(string(said), "later"), fmt.Sprint(string(said), err)
	})
	l.upgrade("charts/refreshkeys")
	if after := l.podNames(); !slices.Equal(pods, after) {
		l.T.Errorf("another version of the chart alone has restarted %v to %v", pods, after)
	}
}

func (l *life) replace(file, old, new string) {
	l.T.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		l.T.Fatal(err)
	}
	if strings.Count(string(text), old) != 1 {
		l.T.Fatalf("%s does not hold %q once", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		l.T.Fatal(err)
	}
}

func (l *life) podNames() []string {
	l.T.Helper()
	return strings.Fields(kubectl(l.T, "get", "pods", "--namespace", namespace, "--output=jsonpath={.items[*].metadata.name}"))
}

func (l *life) startOperator() {
	l.T.Helper()
	if _, err := cluster.RunManager(l.Ctx, suite.Cluster); err != nil {
		l.T.Fatal(err)
	}
	l.AwaitIssuer(cluster.DefaultIssuer)
	if _, err := cluster.RunTokenServers(l.Ctx, suite.Cluster, 1); err != nil {
		l.T.Fatal(err)
	}
}

func (l *life) stopOperator(ctx context.Context) {
	l.T.Helper()
	for _, name := range []string{"tokenserver-1", "manager"} {
		if process := suite.Process(name); process != nil && process.Running() {
			if err := process.Stop(ctx); err != nil {
				l.T.Error(err)
			}
		}
	}
}

func (l *life) issue(name string, deletion v1alpha1.DeletionPolicy) {
	l.T.Helper()
	key := harness.NewKey("default", name, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Secret = &v1alpha1.SecretSpec{DeletionPolicy: deletion} })
	l.AwaitRevision(harness.Created(l.Harness, key), 1)
}

func (l *life) secret(name string) *corev1.Secret {
	l.T.Helper()
	secret, err := l.Secret("default", name)
	l.Expect(err).NotTo(gomega.HaveOccurred())
	return secret
}

// exchanges: the token in a Secret is good for an access token.
func (l *life) exchanges(secret *corev1.Secret) {
	l.T.Helper()
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(secret.Data["ca.crt"])
	clients := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}, Timeout: 10 * time.Second}
	defer clients.CloseIdleConnections()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {string(secret.Data["token"])}}
	answer, err := clients.PostForm(string(secret.Data["token-endpoint"]), form)
	if err != nil {
		l.T.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var got struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error"`
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || json.Unmarshal(body, &got) != nil || answer.StatusCode != http.StatusOK || got.AccessToken == "" {
		l.T.Fatalf("the exchange gets %d %s (%v)", answer.StatusCode, got.Error, err)
	}
}

// uninstallThatKeeps: Helm says what it leaves, and all that was issued is left as it was.
func (l *life) uninstallThatKeeps(before *corev1.Secret) {
	l.T.Helper()
	said := l.helm("uninstall", release, "--namespace", namespace)
	for _, kept := range []string{"jwtrefreshkeys.jwt.refreshkeys.dev", "jwtissuers.jwt.refreshkeys.dev", "[JWTIssuer] default"} {
		if !strings.Contains(said, kept) {
			l.T.Errorf("Helm does not say that it keeps %s:\n%s", kept, said)
		}
	}
	if after := l.secret("orders"); after.ResourceVersion != before.ResourceVersion {
		l.T.Error("the Secret with the token was touched")
	}
	kubectl(l.T, "get", "--namespace=default", "jrk/orders", "jrk/kept", "jwtissuer/default", "validatingadmissionpolicy/refreshkeys.jwt.refreshkeys.dev")
	if signing := kubectl(l.T, "get", "secrets", "--namespace", namespace, "--selector=jwt.refreshkeys.dev/signing-keys-of=default", "--output=name"); signing == "" {
		l.T.Error("the signing keys are gone")
	}
	if left := kubectl(l.T, "get", "deployments,serviceaccounts,roles,services,poddisruptionbudgets,networkpolicies", "--namespace", namespace,
		"--selector=app.kubernetes.io/name=refreshkeys", "--output=name"); left != "" {
		l.T.Errorf("these are left: %s", left)
	}
	if left := kubectl(l.T, "get", "clusterroles,clusterrolebindings,priorityclasses", "--selector=app.kubernetes.io/name=refreshkeys", "--output=name"); left != "" {
		l.T.Errorf("these are left: %s", left)
	}
}

// uninstallThatRemoves: before the release goes, so does all that was issued, and it is said what stays.
func (l *life) uninstallThatRemoves(issued *corev1.Secret, kinds bool) {
	l.T.Helper()
	done := make(chan string, 1)
	go func() {
		said, err := helm(l.Ctx, "uninstall", release, "--namespace", namespace, "--timeout=2m")
		done <- fmt.Sprint(said, err)
	}()
	printed := l.playJob()
	if said := <-done; !strings.HasSuffix(said, "<nil>") {
		l.T.Fatalf("%s", said)
	}
	for _, wanted := range []string{"the manager is stopped", "no Secret of a key is left"} {
		if !strings.Contains(printed, wanted) {
			l.T.Errorf("the removal does not say %q:\n%s", wanted, printed)
		}
	}
	if signing := kubectl(l.T, "get", "secrets", "--namespace", namespace, "--output=name"); strings.Contains(signing, "/") {
		l.T.Errorf("these Secrets are left: %s", signing)
	}
	if left := kubectl(l.T, "get", "all,serviceaccounts,roles,networkpolicies", "--namespace", namespace, "--selector=app.kubernetes.io/name=refreshkeys", "--output=name"); left != "" {
		l.AwaitState("the pods are gone", func() (bool, string) {
			left := kubectl(l.T, "get", "all,serviceaccounts,roles,networkpolicies", "--namespace", namespace, "--selector=app.kubernetes.io/name=refreshkeys", "--output=name")
			return left == "", left
		})
	}
	l.kindsAreThere(!kinds)
	if issued == nil {
		return
	}
	if _, err := l.Secret("default", issued.Name); !apierrors.IsNotFound(err) {
		l.T.Errorf("the Secret %s: %v", issued.Name, err)
	}
	for _, wanted := range []string{"2 keys are deleted", "1 issuers are deleted", "1 Secrets stay", "default/kept", "the CRDs stay"} {
		if !strings.Contains(printed, wanted) {
			l.T.Errorf("the removal does not say %q:\n%s", wanted, printed)
		}
	}
	if left := kubectl(l.T, "get", "jrk,jwtissuers", "--all-namespaces", "--output=name"); left != "" {
		l.T.Errorf("these are left: %s", left)
	}
	l.secret("kept")
}

func (l *life) kindsAreThere(wanted bool) {
	l.T.Helper()
	said := kubectl(l.T, "get", "crd,validatingadmissionpolicies,validatingadmissionpolicybindings", "--output=name")
	if strings.Contains(said, "jwt.refreshkeys.dev") != wanted {
		l.T.Errorf("of the kinds and their policy there is: %s", said)
	}
}

// playJob is the controller and the node that the cluster has not: it runs the hook's container as a process
// with the rights of its ServiceAccount, and returns what that printed.
func (l *life) playJob() string {
	l.T.Helper()
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "refreshkeys-uninstall"}}
	l.Await("Helm creates the Job", func() error { return l.Reload(job) })
	kubeconfig := filepath.Join(l.T.TempDir(), "uninstall.kubeconfig")
	if err := suite.ServiceAccountKubeconfig(l.Ctx, namespace, job.Spec.Template.Spec.ServiceAccountName, kubeconfig); err != nil {
		l.T.Fatal(err)
	}
	binary, err := cluster.BuildManager(l.Ctx)
	if err != nil {
		l.T.Fatal(err)
	}
	// The operator that runs beside the cluster ends as its pods would, when it is scaled down.
	l.stopOperator(l.Ctx)
	run := exec.CommandContext(l.Ctx, binary, append(slices.Clone(job.Spec.Template.Spec.Containers[0].Args), "--kubeconfig="+kubeconfig)...)
	run.Env = []string{"POD_NAMESPACE=" + namespace}
	printed, err := output(run)
	if err != nil {
		l.T.Fatal(err)
	}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "refreshkeys-manager"}}
	if err := l.Reload(deployment); err != nil || *deployment.Spec.Replicas != 0 {
		l.T.Errorf("the manager was not stopped: %v", err)
	}
	now := metav1.Now()
	job.Status = batchv1.JobStatus{StartTime: &now, CompletionTime: &now, Succeeded: 1, Conditions: []batchv1.JobCondition{
		{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue, LastTransitionTime: now},
		{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: now},
	}, UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{}}
	l.Expect(l.Admin.Status().Update(l.Ctx, job)).To(gomega.Succeed())
	return printed
}

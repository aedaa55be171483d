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

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

// TestLifecycle is the life of an installation, in the order in which it happens: a first install, upgrades,
// an uninstall that keeps what was issued, an install after it, and uninstalls that remove it. The manager and
// the token service of the release run beside the cluster, which has no nodes, with the release's ServiceAccounts.
func TestLifecycle(t *testing.T) {
	l := &life{T: t, clients: kubernetes.NewForConfigOrDie(suite.cluster.Config())}
	t.Cleanup(func() { l.stopOperator(context.Background()); cleanUp(t) })
	url, err := suite.cluster.TokenServerURL(1)
	if err != nil {
		t.Fatal(err)
	}
	l.values = fmt.Sprintf("{issuer: {create: true, spec: {url: %q}}}", url)

	l.install()
	l.podsAreAdmitted()
	l.upgradeChangesNothing()
	l.upgradeToAnotherVersion()

	l.startOperator()
	l.issue("orders", "")
	l.issue("kept", "secret: {deletionPolicy: Retain}")
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
	*testing.T
	clients *kubernetes.Clientset
	values  string
}

func (l *life) helm(arguments ...string) string {
	l.Helper()
	said, err := helm(l.Context(), arguments...)
	if err != nil {
		l.Fatal(err)
	}
	return said
}

func (l *life) install() {
	l.Helper()
	said := l.helm("install", release, "charts/refreshkeys", "--namespace", namespace, "--create-namespace", "--values", valuesFile(l.T, l.values))
	keeps := !strings.Contains(l.values, "keepTokens: false")
	if keeps != strings.Contains(said, "`helm uninstall` LEAVES the CRDs") || keeps == strings.Contains(said, "`helm uninstall` REMOVES all refresh keys") {
		l.Errorf("the notes do not say what an uninstall does:\n%s", said)
	}
	kubectl(l.T, "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
	kubectl(l.T, "wait", "--for=condition=Established", "--timeout=1m", "crd/jwtissuers.jwt.refreshkeys.dev", "crd/jwtrefreshkeys.jwt.refreshkeys.dev")
}

func (l *life) upgrade(chart string) {
	l.Helper()
	l.helm("upgrade", release, chart, "--namespace", namespace, "--values", valuesFile(l.T, l.values))
}

// podsAreAdmitted: the Deployments have all their pods, in a namespace that enforces Pod Security `restricted`.
// Without nodes they are not run.
func (l *life) podsAreAdmitted() {
	l.Helper()
	until(l.T, "the Deployments have their pods", func() (bool, string) {
		pods, err := l.clients.CoreV1().Pods(namespace).List(l.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=refreshkeys"})
		if err != nil {
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
	l.Helper()
	all := map[string]string{}
	for _, object := range objects(l.T, l.helm("get", "manifest", release, "--namespace", namespace)) {
		found := find(l.T, object.GroupVersionKind(), object.GetNamespace(), object.GetName())
		if found == nil {
			l.Fatalf("there is no %s", name(object))
		}
		all[name(object)] = found.GetResourceVersion()
	}
	return all
}

// upgradeChangesNothing: the same values and the same chart are the same objects.
func (l *life) upgradeChangesNothing() {
	l.Helper()
	// The issuer, whose kind is known now, becomes a part of the release.
	l.upgrade("charts/refreshkeys")
	until(l.T, "the writes end", func() (bool, string) {
		first := l.versions()
		l.upgrade("charts/refreshkeys")
		var changed []string
		for name, version := range l.versions() {
			if first[name] != version {
				changed = append(changed, name)
			}
		}
		if len(first) < 30 || first["JWTIssuer default"] == "" {
			l.Fatalf("the release has %d objects: %v", len(first), slices.Sorted(maps.Keys(first)))
		}
		return len(changed) == 0, fmt.Sprintf("an upgrade with the same values changed %v", changed)
	})
}

// upgradeToAnotherVersion: a later chart brings later CRDs with it, and leaves alone what it does not change.
func (l *life) upgradeToAnotherVersion() {
	l.Helper()
	later := filepath.Join(l.TempDir(), "refreshkeys")
	if out, err := exec.Command("cp", "-r", filepath.Join(suite.root, "charts/refreshkeys"), later).CombinedOutput(); err != nil {
		l.Fatalf("%v: %s", err, out)
	}
	l.replace(filepath.Join(later, "Chart.yaml"), "\nversion: 0.1.0", "\nversion: 0.1.1")
	l.replace(filepath.Join(later, "files/crd.yaml"), "shortNames:\n    - jrk", "shortNames:\n    - jrk\n    - later")
	pods := l.podNames()
	l.upgrade(later)
	until(l.T, "the CRD is the later one", func() (bool, string) {
		said, err := suite.cluster.Kubectl(l.Context(), "get", "crd", "jwtrefreshkeys.jwt.refreshkeys.dev", "--output=jsonpath={.spec.names.shortNames}")
		return strings.Contains(string(said), "later"), fmt.Sprint(string(said), err)
	})
	l.upgrade("charts/refreshkeys")
	if after := l.podNames(); !slices.Equal(pods, after) {
		l.Errorf("another version of the chart alone has restarted %v to %v", pods, after)
	}
}

func (l *life) replace(file, old, new string) {
	l.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		l.Fatal(err)
	}
	if strings.Count(string(text), old) != 1 {
		l.Fatalf("%s does not hold %q once", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		l.Fatal(err)
	}
}

func (l *life) podNames() []string {
	l.Helper()
	return strings.Fields(kubectl(l.T, "get", "pods", "--namespace", namespace, "--output=jsonpath={.items[*].metadata.name}"))
}

func (l *life) startOperator() {
	l.Helper()
	if _, err := cluster.RunManager(l.Context(), suite.cluster); err != nil {
		l.Fatal(err)
	}
	kubectl(l.T, "wait", "--for=condition=Ready", "--timeout=1m", "jwtissuer/default")
	if _, err := cluster.RunTokenServers(l.Context(), suite.cluster, 1); err != nil {
		l.Fatal(err)
	}
}

func (l *life) stopOperator(ctx context.Context) {
	l.Helper()
	for _, name := range []string{"tokenserver-1", "manager"} {
		if process := suite.cluster.Process(name); process != nil && process.Running() {
			if err := process.Stop(ctx); err != nil {
				l.Error(err)
			}
		}
	}
}

func (l *life) issue(name, more string) {
	l.Helper()
	file := filepath.Join(l.TempDir(), "key.yaml")
	text := fmt.Sprintf("{apiVersion: jwt.refreshkeys.dev/v1alpha1, kind: JWTRefreshKey, metadata: {name: %s, namespace: default},\nspec: {audience: https://orders.example.com, %s}}", name, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
	kubectl(l.T, "apply", "--server-side", "-f", file)
	kubectl(l.T, "wait", "--for=condition=Ready", "--timeout=1m", "jrk/"+name, "--namespace=default")
}

func (l *life) secret(name string) *corev1.Secret {
	l.Helper()
	secret, err := l.clients.CoreV1().Secrets("default").Get(l.Context(), name, metav1.GetOptions{})
	if err != nil {
		l.Fatal(err)
	}
	return secret
}

// exchanges: the token in a Secret is good for an access token.
func (l *life) exchanges(secret *corev1.Secret) {
	l.Helper()
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(secret.Data["ca.crt"])
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {string(secret.Data["token"])}}
	answer, err := client.PostForm(string(secret.Data["token-endpoint"]), form)
	if err != nil {
		l.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var got struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error"`
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || json.Unmarshal(body, &got) != nil || answer.StatusCode != http.StatusOK || got.AccessToken == "" {
		l.Fatalf("the exchange gets %d %s (%v)", answer.StatusCode, got.Error, err)
	}
}

// uninstallThatKeeps: Helm says what it leaves, and all that was issued is left as it was.
func (l *life) uninstallThatKeeps(before *corev1.Secret) {
	l.Helper()
	said := l.helm("uninstall", release, "--namespace", namespace)
	for _, kept := range []string{"jwtrefreshkeys.jwt.refreshkeys.dev", "jwtissuers.jwt.refreshkeys.dev", "[JWTIssuer] default"} {
		if !strings.Contains(said, kept) {
			l.Errorf("Helm does not say that it keeps %s:\n%s", kept, said)
		}
	}
	if after := l.secret("orders"); after.ResourceVersion != before.ResourceVersion {
		l.Error("the Secret with the token was touched")
	}
	kubectl(l.T, "get", "--namespace=default", "jrk/orders", "jrk/kept", "jwtissuer/default", "validatingadmissionpolicy/refreshkeys.jwt.refreshkeys.dev")
	if signing := kubectl(l.T, "get", "secrets", "--namespace", namespace, "--selector=jwt.refreshkeys.dev/signing-keys-of=default", "--output=name"); signing == "" {
		l.Error("the signing keys are gone")
	}
	if left := kubectl(l.T, "get", "deployments,serviceaccounts,roles,services,poddisruptionbudgets,networkpolicies", "--namespace", namespace,
		"--selector=app.kubernetes.io/name=refreshkeys", "--output=name"); left != "" {
		l.Errorf("these are left: %s", left)
	}
	if left := kubectl(l.T, "get", "clusterroles,clusterrolebindings,priorityclasses", "--selector=app.kubernetes.io/name=refreshkeys", "--output=name"); left != "" {
		l.Errorf("these are left: %s", left)
	}
}

// uninstallThatRemoves: before the release goes, so does all that was issued, and it is said what stays.
func (l *life) uninstallThatRemoves(issued *corev1.Secret, kinds bool) {
	l.Helper()
	done := make(chan string, 1)
	go func() {
		said, err := helm(l.Context(), "uninstall", release, "--namespace", namespace, "--timeout=2m")
		done <- fmt.Sprint(said, err)
	}()
	printed := l.playJob()
	if said := <-done; !strings.HasSuffix(said, "<nil>") {
		l.Fatalf("%s", said)
	}
	for _, wanted := range []string{"the manager is stopped", "no Secret of a key is left"} {
		if !strings.Contains(printed, wanted) {
			l.Errorf("the removal does not say %q:\n%s", wanted, printed)
		}
	}
	if signing := kubectl(l.T, "get", "secrets", "--namespace", namespace, "--output=name"); strings.Contains(signing, "/") {
		l.Errorf("these Secrets are left: %s", signing)
	}
	if left := kubectl(l.T, "get", "all,serviceaccounts,roles,networkpolicies", "--namespace", namespace, "--selector=app.kubernetes.io/name=refreshkeys", "--output=name"); left != "" {
		until(l.T, "the pods are gone", func() (bool, string) {
			left := kubectl(l.T, "get", "all,serviceaccounts,roles,networkpolicies", "--namespace", namespace, "--selector=app.kubernetes.io/name=refreshkeys", "--output=name")
			return left == "", left
		})
	}
	l.kindsAreThere(!kinds)
	if issued == nil {
		return
	}
	if _, err := l.clients.CoreV1().Secrets("default").Get(l.Context(), issued.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		l.Errorf("the Secret %s: %v", issued.Name, err)
	}
	for _, wanted := range []string{"2 keys are deleted", "1 issuers are deleted", "1 Secrets stay", "default/kept", "the CRDs stay"} {
		if !strings.Contains(printed, wanted) {
			l.Errorf("the removal does not say %q:\n%s", wanted, printed)
		}
	}
	if left := kubectl(l.T, "get", "jrk,jwtissuers", "--all-namespaces", "--output=name"); left != "" {
		l.Errorf("these are left: %s", left)
	}
	l.secret("kept")
}

func (l *life) kindsAreThere(wanted bool) {
	l.Helper()
	said := kubectl(l.T, "get", "crd,validatingadmissionpolicies,validatingadmissionpolicybindings", "--output=name")
	if strings.Contains(said, "jwt.refreshkeys.dev") != wanted {
		l.Errorf("of the kinds and their policy there is: %s", said)
	}
}

// playJob is the controller and the node that the cluster has not: it runs the hook's container as a process
// with the rights of its ServiceAccount, and returns what that printed.
func (l *life) playJob() string {
	l.Helper()
	var job *batchv1.Job
	until(l.T, "Helm makes the Job", func() (bool, string) {
		found, err := l.clients.BatchV1().Jobs(namespace).Get(l.Context(), "refreshkeys-uninstall", metav1.GetOptions{})
		job = found
		return err == nil, fmt.Sprint(err)
	})
	kubeconfig := filepath.Join(l.TempDir(), "uninstall.kubeconfig")
	if err := suite.cluster.ServiceAccountKubeconfig(l.Context(), namespace, job.Spec.Template.Spec.ServiceAccountName, kubeconfig); err != nil {
		l.Fatal(err)
	}
	binary, err := cluster.BuildManager(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	// The operator that runs beside the cluster ends as its pods would, when it is scaled down.
	l.stopOperator(l.Context())
	run := exec.CommandContext(l.Context(), binary, append(slices.Clone(job.Spec.Template.Spec.Containers[0].Args), "--kubeconfig="+kubeconfig)...)
	run.Env = []string{"POD_NAMESPACE=" + namespace}
	printed, err := output(run)
	if err != nil {
		l.Fatal(err)
	}
	if deployment, err := l.clients.AppsV1().Deployments(namespace).Get(l.Context(), "refreshkeys-manager", metav1.GetOptions{}); err != nil || *deployment.Spec.Replicas != 0 {
		l.Errorf("the manager was not stopped: %v", err)
	}
	now := metav1.Now()
	job.Status = batchv1.JobStatus{StartTime: &now, CompletionTime: &now, Succeeded: 1, Conditions: []batchv1.JobCondition{
		{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue, LastTransitionTime: now},
		{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: now},
	}, UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{}}
	if _, err := l.clients.BatchV1().Jobs(namespace).UpdateStatus(l.Context(), job, metav1.UpdateOptions{}); err != nil {
		l.Fatal(err)
	}
	return printed
}

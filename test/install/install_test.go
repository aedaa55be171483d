// Package install applies config/default to a real API server, as a user does.
package install

import (
	"os"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) { os.Exit(apiserver.Main(m, &server)) }

// TestConfigDefault applies config/default twice, as in the README, and checks that the pods that it
// deploys are admitted: their namespace enforces the Pod Security Standard `restricted`.
func TestConfigDefault(t *testing.T) {
	if server.Existing() {
		t.Skip("the test does not deploy into an existing cluster")
	}
	for range 2 {
		if err := server.Apply(t.Context(), "config/default"); err != nil {
			t.Fatal(err)
		}
	}
	clients := kubernetes.NewForConfigOrDie(server.Admin)
	deployments, err := clients.AppsV1().Deployments(apiserver.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(deployments.Items) == 0 {
		t.Fatalf("%d Deployments, error %v", len(deployments.Items), err)
	}
	for i := range deployments.Items {
		checkPods(t, clients, &deployments.Items[i])
	}
}

func checkPods(t *testing.T, clients kubernetes.Interface, deployment *appsv1.Deployment) {
	t.Helper()
	template := deployment.Spec.Template
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.GenerateName = deployment.Name + "-"
	if _, err := clients.CoreV1().Pods(deployment.Namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Errorf("a pod of Deployment %s is not admitted: %v", deployment.Name, err)
	}
	for _, container := range pod.Spec.Containers {
		limits := container.SecurityContext
		if limits == nil || limits.ReadOnlyRootFilesystem == nil || !*limits.ReadOnlyRootFilesystem {
			t.Errorf("Deployment %s, container %s: its root file system is writable", deployment.Name, container.Name)
		}
		if container.Resources.Requests.Cpu().IsZero() || container.Resources.Limits.Memory().IsZero() {
			t.Errorf("Deployment %s, container %s: it requests no resources", deployment.Name, container.Name)
		}
	}
}

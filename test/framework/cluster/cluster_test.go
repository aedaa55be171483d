package cluster

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

func TestClusterSurvivesItsProcesses(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	c := startOrSkip(t, Options{Dir: dir, ControllerManager: true, Log: t.Output()})
	client := kubernetes.NewForConfigOrDie(c.Config())
	keep := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "keep"}, Data: map[string]string{"a": "b"}}
	if _, err := client.CoreV1().ConfigMaps("default").Create(ctx, keep, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	if err := c.Etcd.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if c.Running() {
		t.Error("the cluster counts as running without etcd")
	}
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := client.CoreV1().ConfigMaps("default").Get(short, "keep", metav1.GetOptions{}); err == nil {
		t.Error("a read succeeds without etcd")
	}
	if err := c.Etcd.Start(ctx); err != nil {
		t.Fatal(err)
	}
	eventuallyReads(t, client)

	if err := c.APIServer.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().ConfigMaps("default").Get(ctx, "keep", metav1.GetOptions{}); err == nil {
		t.Error("a read succeeds without an API server")
	}
	if err := c.APIServer.Start(ctx); err != nil {
		t.Fatal(err)
	}
	eventuallyReads(t, client)
	if !c.Running() {
		t.Error("the controller manager did not survive the loss of the others")
	}

	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	again := startOrSkip(t, Options{Dir: dir, Log: t.Output()})
	if again.APIServer.Pid() == 0 || !again.Running() {
		t.Error("the cluster does not run after the second Start")
	}
	eventuallyReads(t, kubernetes.NewForConfigOrDie(again.Config()))

	taken, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if taken.Etcd.Pid() != again.Etcd.Pid() || !taken.Running() {
		t.Error("Load does not know the running processes")
	}
	if err := taken.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	for _, process := range again.Processes() {
		if process.Running() {
			t.Errorf("%s runs after Stop", process.Name())
		}
	}
}

func TestClusterCollectsGarbageAndServesAccounts(t *testing.T) {
	ctx := t.Context()
	c := startOrSkip(t, Options{Dir: t.TempDir(), ControllerManager: true, Log: t.Output()})
	client := kubernetes.NewForConfigOrDie(c.Config())

	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the default ServiceAccount and the root CA", func(ctx context.Context) error {
		if _, err := client.CoreV1().ServiceAccounts("shop").Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return err
		}
		_, err := client.CoreV1().ConfigMaps("shop").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return err
	})

	path := filepath.Join(c.Dir(), "shop.kubeconfig")
	if err := c.ServiceAccountKubeconfig(ctx, "shop", "default", path); err != nil {
		t.Fatal(err)
	}
	assertUser(t, path, "system:serviceaccount:shop:default")
	assertUser(t, c.Kubeconfig(), "admin")

	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owner"}}
	owner, err := client.CoreV1().ConfigMaps("shop").Create(ctx, owner, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	owned := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owned", OwnerReferences: []metav1.OwnerReference{
		*metav1.NewControllerRef(owner, corev1.SchemeGroupVersion.WithKind("ConfigMap")),
	}}}
	if _, err := client.CoreV1().ConfigMaps("shop").Create(ctx, owned, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if out, err := c.Kubectl(ctx, "delete", "configmap", "owner", "-n", "shop"); err != nil || !strings.Contains(string(out), "deleted") {
		t.Fatalf("kubectl: %s, %v", out, err)
	}
	eventually(t, "garbage collection", func(ctx context.Context) error {
		return stillThere(client.CoreV1().ConfigMaps("shop").Get(ctx, "owned", metav1.GetOptions{}))
	})
	if err := client.CoreV1().Namespaces().Delete(ctx, "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace's end", func(ctx context.Context) error {
		return stillThere(client.CoreV1().Namespaces().Get(ctx, "shop", metav1.GetOptions{}))
	})
	if _, err := c.Kubectl(ctx, "get", "configmap", "nothing"); err == nil || !strings.Contains(err.Error(), "NotFound") {
		t.Errorf("kubectl's error output is not in %v", err)
	}
}

func startOrSkip(t *testing.T, options Options) *Cluster {
	t.Helper()
	began := time.Now()
	c, err := Start(t.Context(), options)
	if errors.Is(err, ErrNotBuilt) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %s", time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() {
		began := time.Now()
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		t.Logf("stopped in %s", time.Since(began).Round(time.Millisecond))
	})
	return c
}

func eventually(t *testing.T, what string, attempt func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		last = attempt(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v, %v", what, err, last)
	}
}

func eventuallyReads(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	eventually(t, "the ConfigMap", func(ctx context.Context) error {
		_, err := client.CoreV1().ConfigMaps("default").Get(ctx, "keep", metav1.GetOptions{})
		return err
	})
}

func stillThere[T any](_ T, err error) error {
	switch {
	case err == nil:
		return errors.New("still there")
	case apierrors.IsNotFound(err):
		return nil
	default:
		return err
	}
}

func assertUser(t *testing.T, kubeconfig, want string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if got := whoAmI(t, config); got != want {
		t.Errorf("%s is %q, want %q", kubeconfig, got, want)
	}
}

func whoAmI(t *testing.T, config *rest.Config) string {
	t.Helper()
	client := kubernetes.NewForConfigOrDie(config)
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.UserInfo.Username
}

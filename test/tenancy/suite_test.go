// Package tenancy tests who may get what in a cluster that several teams share: by RBAC, and against the
// owner of one namespace who wants more.
//
// All tests run against a real control plane with garbage collection and deletion of namespaces. They use
// the rights of the operator's own ServiceAccounts, and of users with only the rights that a test grants.
package tenancy

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	// The tests make many forbidden requests, which would fill the output.
	klog.SetLogger(logr.Discard())
	os.Exit(apiserver.MainWith(m, &server, apiserver.Options{ControllerManager: true}))
}

const (
	waitTimeout = 30 * time.Second
	pollEvery   = 20 * time.Millisecond
	audience    = "https://orders.example.com"
)

var clients sync.Map

// clientOf returns a client for a user, or for the cluster administrator if user is empty.
func clientOf(t *testing.T, user string) client.Client {
	t.Helper()
	if known, ok := clients.Load(user); ok {
		return known.(client.Client)
	}
	config := server.Admin
	if user != "" {
		config = server.As(user)
	}
	c, err := client.New(config, client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	clients.Store(user, c)
	return c
}

// asMember returns a client for a user in a group.
func asMember(t *testing.T, user, group string) client.Client {
	t.Helper()
	c, err := client.New(server.As(user, group), client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// create creates an object as the cluster administrator, and deletes it when the test ends.
func create[T client.Object](t *testing.T, object T) T {
	t.Helper()
	admin := clientOf(t, "")
	if err := admin.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Delete(context.Background(), object) })
	return object
}

var names atomic.Int64

// newName returns a name that is not in use, even in a cluster that is used again.
func newName(prefix string) string {
	return fmt.Sprintf("%s-%d-%d", prefix, os.Getpid(), names.Add(1))
}

func newNamespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	return create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: newName("tenant"), Labels: labels}}).Name
}

// newRole creates a ClusterRole with these rules.
func newRole(t *testing.T, rules ...rbacv1.PolicyRule) string {
	t.Helper()
	return create(t, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: newName("role")}, Rules: rules}).Name
}

// bind binds a ClusterRole to a user in a namespace, or cluster-wide if namespace is empty.
func bind(t *testing.T, user, role, namespace string) {
	t.Helper()
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	meta := metav1.ObjectMeta{Name: newName("binding"), Namespace: namespace}
	if namespace == "" {
		create(t, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
		return
	}
	create(t, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
}

func newKey(namespace, name string, change ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	key := &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: v1alpha1.JWTRefreshKeySpec{Audience: audience},
	}
	for _, c := range change {
		c(key)
	}
	return key
}

func withIssuer(issuer string) func(*v1alpha1.JWTRefreshKey) {
	return func(key *v1alpha1.JWTRefreshKey) { key.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: issuer} }
}

// eventually waits until done returns true. Otherwise the test fails with the last state that done
// returned.
func eventually(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	var last string
	err := wait.PollUntilContextTimeout(context.WithoutCancel(t.Context()), pollEvery, waitTimeout, true, func(context.Context) (ok bool, _ error) {
		ok, last = done()
		return ok, nil
	})
	if err != nil {
		t.Fatalf("timeout: %s; last state: %s", what, last)
	}
}

// expectRefusal checks that an error is a refusal that contains all texts.
func expectRefusal(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Error("the request was accepted, and must be refused")
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the refusal lacks %q: %v", text, err)
		}
	}
}

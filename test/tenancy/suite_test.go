// Package tenancy tests who may get what in a cluster that several teams share: by RBAC, and against the
// owner of one namespace who wants more.
//
// All tests run against a real control plane with garbage collection and deletion of namespaces. They use
// the rights of the operator's own ServiceAccounts, and of users with only the rights that a test grants.
package tenancy

import (
	"os"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	// The tests make many forbidden requests, which would fill the output.
	klog.SetLogger(logr.Discard())
	os.Exit(apiserver.MainWith(m, &server, apiserver.Options{ControllerManager: true}))
}

// waitTimeout bounds how long many keys may take together. It is long enough for a busy machine.
const waitTimeout = 2 * harness.Patience

// newRole creates a ClusterRole with these rules.
func newRole(h *harness.Harness, rules ...rbacv1.PolicyRule) string {
	h.T.Helper()
	return harness.Created(h, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: harness.UniqueName("role")}, Rules: rules}).Name
}

// bind binds a ClusterRole to a user in a namespace, or cluster-wide if namespace is empty.
func bind(h *harness.Harness, user, role, namespace string) {
	h.T.Helper()
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	meta := metav1.ObjectMeta{Name: harness.UniqueName("binding"), Namespace: namespace}
	if namespace == "" {
		h.Create(&rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
		return
	}
	h.Create(&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
}

// expectRefusal checks that an error is a refusal that contains all texts.
func expectRefusal(h *harness.Harness, err error, texts ...string) {
	h.T.Helper()
	if err == nil {
		h.T.Error("the request was accepted, and must be refused")
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			h.T.Errorf("the refusal lacks %q: %v", text, err)
		}
	}
}

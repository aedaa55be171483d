package tenancy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// right is a verb and a resource, written `verb resource`.
type right string

func (r right) attributes(namespace string) *authorizationv1.ResourceAttributes {
	verb, resource, _ := strings.Cut(string(r), " ")
	resource, subresource, _ := strings.Cut(resource, "/")
	a := &authorizationv1.ResourceAttributes{Verb: verb, Resource: resource, Subresource: subresource, Namespace: namespace}
	if strings.HasPrefix(resource, "jwt") {
		a.Group = v1alpha1.Group
	}
	if resource == "jwtissuers" {
		a.Namespace = ""
	}
	return a
}

// allRights returns all rights that the tests check. Most of them no role grants.
func allRights() []right {
	var all []right
	for _, resource := range []string{"jwtrefreshkeys", "jwtrefreshkeys/status", "jwtrefreshkeys/finalizers", "jwtissuers", "jwtissuers/status", "secrets"} {
		for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "use", "escalate"} {
			all = append(all, right(verb+" "+resource))
		}
	}
	return append(all, "create jwtrefreshkeys/introspect", "get jwtrefreshkeys/introspect", "create serviceaccounts/token")
}

var (
	readsKeys    = []right{"get jwtrefreshkeys", "list jwtrefreshkeys", "watch jwtrefreshkeys"}
	readsIssuers = []right{"get jwtissuers", "list jwtissuers", "watch jwtissuers"}
	writesKeys   = []right{"create jwtrefreshkeys", "update jwtrefreshkeys", "patch jwtrefreshkeys", "delete jwtrefreshkeys"}
	runsKeys     = []right{"deletecollection jwtrefreshkeys", "create jwtrefreshkeys/introspect"}
	runsIssuers  = []right{"create jwtissuers", "update jwtissuers", "patch jwtissuers", "delete jwtissuers", "use jwtissuers"}
)

// expectExactRights checks that a user has these of allRights in a namespace, and no others.
func expectExactRights(h *harness.Harness, user, namespace string, rights ...[]right) {
	h.T.Helper()
	wanted := slices.Concat(rights...)
	h.AwaitState("the rights are in force", func() (bool, string) {
		for _, r := range wanted {
			if !isAllowed(h, user, r.attributes(namespace)) {
				return false, "may not " + string(r)
			}
		}
		return true, ""
	})
	for _, r := range allRights() {
		if !slices.Contains(wanted, r) && isAllowed(h, user, r.attributes(namespace)) {
			h.T.Errorf("%s may %s", user, r)
		}
	}
}

func isAllowed(h *harness.Harness, user string, what *authorizationv1.ResourceAttributes) bool {
	h.T.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: what}}
	h.Expect(h.Admin.Create(h.Ctx, review)).To(gomega.Succeed())
	return review.Status.Allowed
}

// TestRoles checks the exact rights of each role, in a namespace and cluster-wide.
func TestRoles(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	namespace, elsewhere := h.Namespace(nil), h.Namespace(nil)
	for role, rights := range map[string]struct{ inNamespace, everywhere []right }{
		"refreshkeys-viewer": {readsKeys, slices.Concat(readsKeys, readsIssuers)},
		"refreshkeys-editor": {slices.Concat(readsKeys, writesKeys), slices.Concat(readsKeys, writesKeys, readsIssuers)},
		"refreshkeys-admin": {
			slices.Concat(readsKeys, writesKeys, runsKeys), slices.Concat(readsKeys, writesKeys, runsKeys, readsIssuers, runsIssuers),
		},
	} {
		t.Run(role, func(t *testing.T) {
			h := h.In(t)
			local, global := harness.UniqueName("local"), harness.UniqueName("global")
			bind(h, local, role, namespace)
			bind(h, global, role, "")
			expectExactRights(h, local, namespace, rights.inNamespace)
			expectExactRights(h, local, elsewhere)
			expectExactRights(h, global, elsewhere, rights.everywhere)
		})
	}
}

// TestRolesWithRealCalls checks that an editor can create, change and delete a refresh key, but not write
// its status.
func TestRolesWithRealCalls(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	namespace := h.Namespace(nil)
	user := h.As(editor(h, namespace))
	key := harness.NewKey(namespace, "orders")
	if err := user.Create(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	key.Labels = map[string]string{"team": "shop"}
	if err := user.Update(t.Context(), key); err != nil {
		t.Error(err)
	}
	key.Status.JTI = "forged"
	expectRefusal(h, user.Status().Update(t.Context(), key), "jwtrefreshkeys/status")
	if err := user.Delete(t.Context(), key); err != nil {
		t.Error(err)
	}
}

// TestAdministratorsPassRightsOn checks that the administrator of a namespace can grant the right to
// introspect tokens. RBAC lets no user grant rights that they do not have.
func TestAdministratorsPassRightsOn(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	namespace := h.Namespace(nil)
	admin := harness.UniqueName("admin")
	bind(h, admin, "refreshkeys-admin", namespace)
	bind(h, admin, newRole(h, rbacv1.PolicyRule{
		APIGroups: []string{rbacv1.GroupName}, Resources: []string{"rolebindings"}, Verbs: []string{"create"},
	}), namespace)
	grant := func(role string) error {
		return h.As(admin).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: harness.NewKey(namespace, harness.UniqueName("passed")).ObjectMeta,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "gateway"}},
		})
	}
	h.AwaitState("the administrator grants the right to introspect", func() (bool, string) {
		err := grant("refreshkeys-introspector")
		return err == nil, fmt.Sprint(err)
	})
	expectRefusal(h, grant("refreshkeys-tokenserver"), "attempting to grant RBAC permissions not currently held")
}

// TestAggregation checks that the built-in roles include rights on refresh keys only while
// config/multitenant is installed.
func TestAggregation(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	if server.Existing() {
		t.Skip("the test does not change the roles of an existing cluster")
	}
	aggregated := func(builtin string) []right {
		role := &rbacv1.ClusterRole{}
		h.Expect(h.Admin.Get(t.Context(), types.NamespacedName{Name: builtin}, role)).To(gomega.Succeed())
		var rights []right
		for _, rule := range role.Rules {
			if !slices.Contains(rule.APIGroups, v1alpha1.Group) {
				continue
			}
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					rights = append(rights, right(verb+" "+resource))
				}
			}
		}
		slices.Sort(rights)
		return slices.Compact(rights)
	}
	reads := slices.Concat(readsKeys, readsIssuers)
	wanted := map[string][]right{
		"view": reads, "edit": slices.Concat(reads, writesKeys), "admin": slices.Concat(reads, writesKeys, runsKeys, runsIssuers),
	}
	check := func(state string, wanted map[string][]right) {
		for _, builtin := range []string{"view", "edit", "admin"} {
			want := slices.Sorted(slices.Values(wanted[builtin]))
			h.AwaitState(state+": "+builtin, func() (bool, string) {
				got := aggregated(builtin)
				return slices.Equal(got, want), fmt.Sprint(got)
			})
		}
	}
	check("as installed", nil)
	unprivileged := h.As(editor(h, "default"))
	t.Cleanup(func() { removeOptions(h, unprivileged) })
	if err := server.Apply(t.Context(), "config/multitenant"); err != nil {
		t.Fatal(err)
	}
	check("switched on", wanted)
	user, namespace := harness.UniqueName("user"), h.Namespace(nil)
	bind(h, user, "edit", namespace)
	h.AwaitState("a user with role edit may create keys", func() (bool, string) {
		return isAllowed(h, user, right("create jwtrefreshkeys").attributes(namespace)), ""
	})
	if err := server.Apply(t.Context(), "config/rbac"); err != nil {
		t.Fatal(err)
	}
	check("switched off again", nil)
}

package tenancy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
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
func expectExactRights(t *testing.T, user, namespace string, rights ...[]right) {
	t.Helper()
	wanted := slices.Concat(rights...)
	eventually(t, "the rights are in force", func() (bool, string) {
		for _, r := range wanted {
			if !isAllowed(t, user, r.attributes(namespace)) {
				return false, "may not " + string(r)
			}
		}
		return true, ""
	})
	for _, r := range allRights() {
		if !slices.Contains(wanted, r) && isAllowed(t, user, r.attributes(namespace)) {
			t.Errorf("%s may %s", user, r)
		}
	}
}

func isAllowed(t *testing.T, user string, what *authorizationv1.ResourceAttributes) bool {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: what}}
	if err := clientOf(t, "").Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

// TestRoles checks the exact rights of each role, in a namespace and cluster-wide.
func TestRoles(t *testing.T) {
	namespace, elsewhere := newNamespace(t, nil), newNamespace(t, nil)
	for role, rights := range map[string]struct{ inNamespace, everywhere []right }{
		"refreshkeys-viewer": {readsKeys, slices.Concat(readsKeys, readsIssuers)},
		"refreshkeys-editor": {slices.Concat(readsKeys, writesKeys), slices.Concat(readsKeys, writesKeys, readsIssuers)},
		"refreshkeys-admin": {
			slices.Concat(readsKeys, writesKeys, runsKeys), slices.Concat(readsKeys, writesKeys, runsKeys, readsIssuers, runsIssuers),
		},
	} {
		t.Run(role, func(t *testing.T) {
			local, global := newName("local"), newName("global")
			bind(t, local, role, namespace)
			bind(t, global, role, "")
			expectExactRights(t, local, namespace, rights.inNamespace)
			expectExactRights(t, local, elsewhere)
			expectExactRights(t, global, elsewhere, rights.everywhere)
		})
	}
}

// TestRolesWithRealCalls checks that an editor can create, change and delete a refresh key, but not write
// its status.
func TestRolesWithRealCalls(t *testing.T) {
	namespace := newNamespace(t, nil)
	user := clientOf(t, editor(t, namespace))
	key := newKey(namespace, "orders")
	if err := user.Create(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	key.Labels = map[string]string{"team": "shop"}
	if err := user.Update(t.Context(), key); err != nil {
		t.Error(err)
	}
	key.Status.JTI = "forged"
	expectRefusal(t, user.Status().Update(t.Context(), key), "jwtrefreshkeys/status")
	if err := user.Delete(t.Context(), key); err != nil {
		t.Error(err)
	}
}

// TestAdministratorsPassRightsOn checks that the administrator of a namespace can grant the right to
// introspect tokens. RBAC lets no user grant rights that they do not have.
func TestAdministratorsPassRightsOn(t *testing.T) {
	namespace := newNamespace(t, nil)
	admin := newName("admin")
	bind(t, admin, "refreshkeys-admin", namespace)
	bind(t, admin, newRole(t, rbacv1.PolicyRule{
		APIGroups: []string{rbacv1.GroupName}, Resources: []string{"rolebindings"}, Verbs: []string{"create"},
	}), namespace)
	grant := func(role string) error {
		return clientOf(t, admin).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: newKey(namespace, newName("passed")).ObjectMeta,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "gateway"}},
		})
	}
	eventually(t, "the administrator grants the right to introspect", func() (bool, string) {
		err := grant("refreshkeys-introspector")
		return err == nil, fmt.Sprint(err)
	})
	expectRefusal(t, grant("refreshkeys-tokenserver"), "attempting to grant RBAC permissions not currently held")
}

// TestAggregation checks that the built-in roles include rights on refresh keys only while
// config/multitenant is installed.
func TestAggregation(t *testing.T) {
	if server.Existing() {
		t.Skip("the test does not change the roles of an existing cluster")
	}
	aggregated := func(builtin string) []right {
		role := &rbacv1.ClusterRole{}
		if err := clientOf(t, "").Get(t.Context(), types.NamespacedName{Name: builtin}, role); err != nil {
			t.Fatal(err)
		}
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
			eventually(t, state+": "+builtin, func() (bool, string) {
				got := aggregated(builtin)
				return slices.Equal(got, want), fmt.Sprint(got)
			})
		}
	}
	check("as installed", nil)
	unprivileged := clientOf(t, editor(t, "default"))
	t.Cleanup(func() { removeOptions(t, unprivileged) })
	if err := server.Apply(t.Context(), "config/multitenant"); err != nil {
		t.Fatal(err)
	}
	check("switched on", wanted)
	user, namespace := newName("user"), newNamespace(t, nil)
	bind(t, user, "edit", namespace)
	eventually(t, "a user with role edit may create keys", func() (bool, string) {
		return isAllowed(t, user, right("create jwtrefreshkeys").attributes(namespace)), ""
	})
	if err := server.Apply(t.Context(), "config/rbac"); err != nil {
		t.Fatal(err)
	}
	check("switched off again", nil)
}

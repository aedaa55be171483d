package consoleserver

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/console"
	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestRightsAreRememberedForAMinute checks the answers about rights, and how long they are remembered.
func TestRightsAreRememberedForAMinute(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	f := newFixture(t, func(o *console.Options) { o.Clock = clock })
	v, other := f.visitor(allow(v1alpha1.Group, "jwtrefreshkeys", "list")), f.visitor(everything)
	checks := wire.Can{Checks: []wire.Check{
		{Verb: "list", Resource: "jwtrefreshkeys"}, {Verb: "create", Resource: "jwtrefreshkeys", Namespace: f.Name}, {Verb: "get", Resource: "secrets", Namespace: f.Name, Name: "orders"},
	}}
	asked := func(v *visitor) []wire.Answer {
		return ask[wire.Answers](v, http.MethodPost, "api/can", checks).Answers
	}
	want := []wire.Answer{
		{Allowed: true},
		{Ask: "kubectl auth can-i create jwtrefreshkeys.jwt.refreshkeys.dev --namespace " + f.Name},
		{Ask: "kubectl auth can-i get secrets/orders --namespace " + f.Name},
	}
	f.Expect(asked(v)).To(gomega.Equal(want))
	f.Expect(asked(other)).To(gomega.Equal([]wire.Answer{{Allowed: true}, {Allowed: true}, {Allowed: true}}))
	role := harness.MustGet(f.Harness, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: v.account}})
	harness.Edit(f.Harness, role, func(r *rbacv1.ClusterRole) { r.Rules = []rbacv1.PolicyRule{everything} })
	clock.Step(59 * time.Second)
	f.Expect(asked(v)).To(gomega.Equal(want))
	clock.Step(2 * time.Second)
	f.AwaitState("the new rights", func() (bool, string) {
		clock.Step(2 * time.Minute)
		answers := asked(v)
		return answers[1].Allowed && answers[2].Allowed, answers[1].Reason
	})
	for name, check := range map[string]wire.Check{
		"a verb": {Verb: "impersonate", Resource: "jwtrefreshkeys"}, "a resource": {Verb: "get", Resource: "pods"}, "a namespace": {Verb: "get", Resource: "secrets", Namespace: "../x"},
	} {
		if refused := v.send(http.MethodPost, "api/can", wire.Can{Checks: []wire.Check{check}}); refused.code() != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, refused.code(), refused.body)
		}
	}
}

// TestNamespacesAreThoseWhoseKeysCanBeListed checks the namespaces of people with different rights.
func TestNamespacesAreThoseWhoseKeysCanBeListed(t *testing.T) {
	f := newFixture(t)
	elsewhere := f.Namespace(nil)
	names := func(v *visitor) []string { return ask[wire.Namespaces](v, http.MethodGet, "api/namespaces", nil).Names }
	f.Expect(names(f.visitor(everything))).To(gomega.ContainElements(f.Name, elsewhere))
	v := f.visitor(allow("", "namespaces", "list"))
	f.Expect(names(v)).To(gomega.BeEmpty())
	f.Create(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: elsewhere, Name: "reader"}, Rules: []rbacv1.PolicyRule{allow(v1alpha1.Group, "jwtrefreshkeys", "list")}},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: elsewhere, Name: "reader"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: f.Name, Name: v.account}},
		})
	f.AwaitState("the new right", func() (bool, string) {
		v.signIn() // another session asks again
		found := names(v)
		return len(found) == 1 && found[0] == elsewhere, "no namespace"
	})
}

// TestNamesAreCheckedBeforeTheyArePartOfAPath sends names that stand for other paths.
func TestNamesAreCheckedBeforeTheyArePartOfAPath(t *testing.T) {
	v := newFixture(t).visitor(everything)
	for _, name := range []string{"..", "a/b", "a?b", "a#b", "A", "a b", "a%2fb"} {
		escaped := url.PathEscape(name)
		for _, path := range []string{"api/keys/" + escaped + "/orders", "api/keys/default/" + escaped, "api/issuers/" + escaped, "api/issuers/" + escaped + "/jwks"} {
			if refused := v.send(http.MethodGet, path, nil); refused.code() < http.StatusBadRequest || refused.code() >= http.StatusInternalServerError {
				t.Errorf("%s: %d %s", path, refused.code(), refused.body)
			}
		}
		if refused := v.send(http.MethodGet, "api/stream?kind=keys&ns="+url.QueryEscape(name), nil); refused.code() != http.StatusBadRequest {
			t.Errorf("stream of %s: %d %s", name, refused.code(), refused.body)
		}
	}
}

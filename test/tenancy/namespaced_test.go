package tenancy

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/apiserver"
	"github.com/refreshkeys/refreshkeys/test/operator"
)

// listed are the namespaces of config/namespaced.
var listed = []string{"shop", "billing"}

const (
	managerUser     = "system:serviceaccount:" + apiserver.Namespace + ":" + apiserver.Manager
	tokenServerUser = "system:serviceaccount:" + apiserver.Namespace + ":" + apiserver.TokenServer
)

// confine installs config/namespaced, and gives the operator its usual rights back afterwards.
func confine(t *testing.T) {
	t.Helper()
	if server.Existing() {
		t.Skip("the operator's rights in somebody's cluster are left as they are")
	}
	usual := map[string][]rbacv1.PolicyRule{}
	for _, account := range []string{apiserver.Manager, apiserver.TokenServer} {
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: account}}
		if err := read(t, role); err != nil {
			t.Fatal(err)
		}
		usual[account] = role.Rules
	}
	for _, name := range listed {
		err := clientOf(t, "").Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := server.Apply(context.Background(), "config/rbac"); err != nil {
			t.Error(err)
		}
	})
	if err := server.Apply(t.Context(), "config/namespaced"); err != nil {
		t.Fatal(err)
	}
	// Who installs it over config/default removes this, as docs/hardening.md says.
	if _, err := server.Kubectl(t.Context(), "", "delete", "clusterrolebinding,clusterrole", "refreshkeys-metrics-auth"); err != nil {
		t.Fatal(err)
	}
	until(t, "the rights are those of config/namespaced", func() (bool, string) {
		for _, user := range []string{managerUser, tokenServerUser} {
			if may(t, user, right("list jwtrefreshkeys").attributes("")) || !may(t, user, right("list jwtrefreshkeys").attributes("billing")) {
				return false, user
			}
		}
		return !may(t, managerUser, right("list secrets").attributes("")), ""
	})
	for account, rules := range usual {
		enoughIn(t, "billing", account, rules)
	}
}

// enoughIn: what the operator may do everywhere by config/rbac, it may do in a listed namespace.
func enoughIn(t *testing.T, namespace, account string, rules []rbacv1.PolicyRule) {
	t.Helper()
	user := "system:serviceaccount:" + apiserver.Namespace + ":" + account
	for _, rule := range rules {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				what := right(verb + " " + resource).attributes(namespace)
				if what.Group = rule.APIGroups[0]; !may(t, user, what) {
					t.Errorf("%s may %s %s everywhere by config/rbac, and not in a namespace by config/namespaced", account, verb, resource)
				}
			}
		}
	}
}

// TestNamespaced: with --namespaces and the rights of config/namespaced, keys of these namespaces
// are issued, exchanged, rotated and revoked; others are not touched, and nothing is tried that is
// forbidden.
func TestNamespaced(t *testing.T) {
	confine(t)
	t.Run("rights", clusterWideRights)
	elsewhere := newNamespace(t, nil)
	untouched := create(t, newKey(elsewhere, "orders"))

	var forbidden refusals
	operator.Manage(t, forbidden.of(managerConfig(t)), logr.Discard(), controllers.Options{Namespaces: listed})
	r := operator.Serve(t, forbidden.of(tokenServerConfig(t)), registry.Options{Namespaces: listed})
	issuer := newIssuer(t)
	edit(t, untouched, func(key *v1alpha1.JWTRefreshKey) { of(issuer.Name)(key) })
	version := untouched.ResourceVersion
	keys, tokens := map[string]*v1alpha1.JWTRefreshKey{}, map[string]string{}
	for _, namespace := range listed {
		keys[namespace] = create(t, newKey(namespace, "orders", of(issuer.Name)))
		tokens[namespace] = holds(t, keys[namespace], 1)
		gets(t, r, issuer, tokens[namespace], "200")
	}
	edit(t, keys["shop"], func(key *v1alpha1.JWTRefreshKey) {
		key.Annotations = map[string]string{v1alpha1.AnnotationRotate: "1"}
	})
	gets(t, r, issuer, holds(t, keys["shop"], 2), "200")
	if got := r.Post(t, "/"+issuer.Name+"/revoke", url.Values{"token": {tokens["billing"]}}); got.Outcome() != "200" {
		t.Errorf("the logout gets %s", got.Outcome())
	}
	gets(t, r, issuer, tokens["billing"], "400 invalid_grant")
	says(t, keys["billing"], v1alpha1.ReasonRevoked)

	shopOnly := operator.Serve(t, forbidden.of(tokenServerConfig(t)), registry.Options{Namespaces: listed[:1]})
	gets(t, shopOnly, issuer, tokens["shop"], "200")
	if got := exchange(t, shopOnly, issuer, tokens["billing"]); got.Outcome() != "503 temporarily_unavailable" {
		t.Errorf("a token of a namespace that a replica does not serve gets %s: its client must keep it", got.Outcome())
	}
	shopOnly.Stop()
	r.Stop()
	if err := read(t, keys["shop"]); err != nil || keys["shop"].Status.LastUsed == nil {
		t.Errorf("the use is not on record: %v", err)
	}
	if err := read(t, untouched); err != nil || untouched.ResourceVersion != version || len(untouched.Status.Conditions) > 0 {
		t.Errorf("a key elsewhere was touched: %v", err)
	}
	if _, err := secretOf(t, elsewhere, "orders"); !apierrors.IsNotFound(err) {
		t.Errorf("a key elsewhere has a Secret: %v", err)
	}
	if seen := forbidden.seen(); len(seen) > 0 {
		t.Errorf("it was forbidden: %v", seen)
	}
}

// clusterWideRights: each ServiceAccount is bound to one ClusterRole, which knows no Secrets and
// no keys.
func clusterWideRights(t *testing.T) {
	var bindings rbacv1.ClusterRoleBindingList
	if err := clientOf(t, "").List(t.Context(), &bindings); err != nil {
		t.Fatal(err)
	}
	bound := map[string][]string{}
	for _, binding := range bindings.Items {
		for _, subject := range binding.Subjects {
			if subject.Kind == rbacv1.ServiceAccountKind && subject.Namespace == apiserver.Namespace {
				bound[subject.Name] = append(bound[subject.Name], binding.RoleRef.Name)
			}
		}
	}
	for _, account := range []string{apiserver.Manager, apiserver.TokenServer} {
		if !slices.Equal(bound[account], []string{account}) {
			t.Errorf("%s is bound to the ClusterRoles %v", account, bound[account])
		}
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: account}}
		if err := read(t, role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				if !slices.Contains([]string{"jwtissuers", "jwtissuers/status", "namespaces", "tokenreviews", "subjectaccessreviews"}, resource) {
					t.Errorf("ClusterRole %s grants %v on %s", account, rule.Verbs, resource)
				}
			}
		}
	}
}

// TestOneNamespaceDoesNotStopTheOthers: who owns one of the namespaces takes the operator's rights
// in it away. The others' keys are worked on and exchanged, also by what is started then; and
// once the rights are back, so are that namespace's.
func TestOneNamespaceDoesNotStopTheOthers(t *testing.T) {
	confine(t)
	admin := clientOf(t, "")
	issuer := newIssuer(t)
	stop := operator.Manage(t, managerConfig(t), logr.Discard(), controllers.Options{Namespaces: listed})
	ofBilling := holds(t, create(t, newKey("billing", "till", of(issuer.Name))), 1)
	stop()
	for _, name := range []string{"refreshkeys-manager-tenant", "refreshkeys-tokenserver-tenant"} {
		if err := admin.Delete(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "billing", Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the rights are gone", func() (bool, string) {
		what := right("list jwtrefreshkeys").attributes("billing")
		return !may(t, managerUser, what) && !may(t, tokenServerUser, what), ""
	})

	ended, monotonic := startConfined(t)
	r := operator.Serve(t, tokenServerConfig(t), registry.Options{Namespaces: listed})
	ofShop := holds(t, create(t, newKey("shop", "till", of(issuer.Name))), 1)
	gets(t, r, issuer, ofShop, "200")
	gets(t, r, issuer, ofBilling, "503 temporarily_unavailable")

	if err := server.Apply(t.Context(), "config/namespaced"); err != nil {
		t.Fatal(err)
	}
	gets(t, r, issuer, ofBilling, "200")
	until(t, "the manager ends, to be started again", func() (bool, string) {
		monotonic.Step(time.Minute)
		select {
		case err := <-ended:
			refusedBy(t, err, "namespace billing can be worked on now")
			return true, ""
		default:
			return false, "it runs"
		}
	})
	operator.Manage(t, managerConfig(t), logr.Discard(), controllers.Options{Namespaces: listed})
	holds(t, create(t, newKey("billing", "later", of(issuer.Name))), 1)
}

// startConfined starts a manager for the listed namespaces whose looks are timed by the test.
func startConfined(t *testing.T) (ended <-chan error, monotonic *clocktesting.FakeClock) {
	t.Helper()
	monotonic = clocktesting.NewFakeClock(time.Unix(0, 0))
	mgr, err := controllers.NewManager(managerConfig(t), ctrl.Options{Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"}},
		controllers.Options{Namespace: apiserver.Namespace, Namespaces: listed, Monotonic: monotonic, SeveralInProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	end := make(chan error, 1)
	go func() { end <- mgr.Start(ctx) }()
	return end, monotonic
}

// TestNoNamespaceAtAll: an empty list of what may be watched must never stand for everything.
func TestNoNamespaceAtAll(t *testing.T) {
	nobody := server.As(newName("nobody"))
	_, err := controllers.NewManager(nobody, ctrl.Options{Logger: logr.Discard()}, controllers.Options{Namespace: apiserver.Namespace, Namespaces: listed})
	refusedBy(t, err, fmt.Sprint(listed), "none of the namespaces")
}

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
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// listed are the namespaces in config/namespaced.
var listed = []string{"shop", "billing"}

const (
	managerUser     = "system:serviceaccount:" + apiserver.Namespace + ":" + apiserver.Manager
	tokenServerUser = "system:serviceaccount:" + apiserver.Namespace + ":" + apiserver.TokenServer
)

// installNamespaced installs config/namespaced until the test ends.
func installNamespaced(t *testing.T) {
	t.Helper()
	if server.Existing() {
		t.Skip("the test does not change the operator's rights in an existing cluster")
	}
	usual := map[string][]rbacv1.PolicyRule{}
	for _, account := range []string{apiserver.Manager, apiserver.TokenServer} {
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: account}}
		if err := reload(t, role); err != nil {
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
	// docs/hardening.md says to remove these after config/default.
	if _, err := server.Kubectl(t.Context(), "", "delete", "clusterrolebinding,clusterrole", "refreshkeys-metrics-auth"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rights are those of config/namespaced", func() (bool, string) {
		for _, user := range []string{managerUser, tokenServerUser} {
			if isAllowed(t, user, right("list jwtrefreshkeys").attributes("")) || !isAllowed(t, user, right("list jwtrefreshkeys").attributes("billing")) {
				return false, user
			}
		}
		return !isAllowed(t, managerUser, right("list secrets").attributes("")), ""
	})
	for account, rules := range usual {
		expectSameRights(t, "billing", account, rules)
	}
}

// expectSameRights checks that the operator has in a namespace of config/namespaced all rights that
// config/rbac grants everywhere.
func expectSameRights(t *testing.T, namespace, account string, rules []rbacv1.PolicyRule) {
	t.Helper()
	user := "system:serviceaccount:" + apiserver.Namespace + ":" + account
	for _, rule := range rules {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				what := right(verb + " " + resource).attributes(namespace)
				if what.Group = rule.APIGroups[0]; !isAllowed(t, user, what) {
					t.Errorf("%s may %s %s with config/rbac, but not with config/namespaced", account, verb, resource)
				}
			}
		}
	}
}

// TestNamespaced runs the operator with --namespaces and the rights of config/namespaced. Refresh keys of
// these namespaces are issued, exchanged, rotated and revoked. Other keys are not touched, and the operator
// makes no forbidden request.
func TestNamespaced(t *testing.T) {
	installNamespaced(t)
	t.Run("rights", checkClusterWideRights)
	elsewhere := newNamespace(t, nil)
	untouched := create(t, newKey(elsewhere, "orders"))

	var forbidden forbiddenRequests
	operator.Manage(t, forbidden.wrap(managerConfig(t)), logr.Discard(), controllers.Options{Namespaces: listed})
	r := operator.Serve(t, forbidden.wrap(tokenServerConfig(t)), registry.Options{Namespaces: listed})
	issuer := newIssuer(t)
	edit(t, untouched, func(key *v1alpha1.JWTRefreshKey) { withIssuer(issuer.Name)(key) })
	version := untouched.ResourceVersion
	keys, tokens := map[string]*v1alpha1.JWTRefreshKey{}, map[string]string{}
	for _, namespace := range listed {
		keys[namespace] = create(t, newKey(namespace, "orders", withIssuer(issuer.Name)))
		tokens[namespace] = awaitRevision(t, keys[namespace], 1)
		awaitExchange(t, r, issuer, tokens[namespace], "200")
	}
	edit(t, keys["shop"], func(key *v1alpha1.JWTRefreshKey) {
		key.Annotations = map[string]string{v1alpha1.AnnotationRotate: "1"}
	})
	awaitExchange(t, r, issuer, awaitRevision(t, keys["shop"], 2), "200")
	if got := r.Post(t, "/"+issuer.Name+"/revoke", url.Values{"token": {tokens["billing"]}}); got.Outcome() != "200" {
		t.Errorf("revocation: got %s, want 200", got.Outcome())
	}
	awaitExchange(t, r, issuer, tokens["billing"], "400 invalid_grant")
	awaitReason(t, keys["billing"], v1alpha1.ReasonRevoked)

	shopOnly := operator.Serve(t, forbidden.wrap(tokenServerConfig(t)), registry.Options{Namespaces: listed[:1]})
	awaitExchange(t, shopOnly, issuer, tokens["shop"], "200")
	if got := exchange(t, shopOnly, issuer, tokens["billing"]); got.Outcome() != "503 temporarily_unavailable" {
		t.Errorf("exchange at a replica that does not serve the namespace: got %s, want 503 temporarily_unavailable, so that the client keeps the token", got.Outcome())
	}
	shopOnly.Stop()
	r.Stop()
	if err := reload(t, keys["shop"]); err != nil || keys["shop"].Status.LastUsed == nil {
		t.Errorf("status.lastUsed is not set: %v", err)
	}
	if err := reload(t, untouched); err != nil || untouched.ResourceVersion != version || len(untouched.Status.Conditions) > 0 {
		t.Errorf("a key in another namespace was touched: %v", err)
	}
	if _, err := secretOf(t, elsewhere, "orders"); !apierrors.IsNotFound(err) {
		t.Errorf("Secret of a key in another namespace: got error %v, want NotFound", err)
	}
	if seen := forbidden.list(); len(seen) > 0 {
		t.Errorf("the operator made forbidden requests: %v", seen)
	}
}

// checkClusterWideRights checks that each ServiceAccount is bound to one ClusterRole, which grants nothing
// on Secrets and refresh keys.
func checkClusterWideRights(t *testing.T) {
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
			t.Errorf("ClusterRoles of %s: got %v, want only its own", account, bound[account])
		}
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: account}}
		if err := reload(t, role); err != nil {
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

// TestOneNamespaceDoesNotStopTheOthers removes the operator's rights in one of the namespaces. Keys of the
// other namespaces are issued and exchanged, also by processes that start then. Once the rights are back,
// the first namespace works again.
func TestOneNamespaceDoesNotStopTheOthers(t *testing.T) {
	installNamespaced(t)
	admin := clientOf(t, "")
	issuer := newIssuer(t)
	stop := operator.Manage(t, managerConfig(t), logr.Discard(), controllers.Options{Namespaces: listed})
	ofBilling := awaitRevision(t, create(t, newKey("billing", "till", withIssuer(issuer.Name))), 1)
	stop()
	for _, name := range []string{"refreshkeys-manager-tenant", "refreshkeys-tokenserver-tenant"} {
		if err := admin.Delete(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "billing", Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the rights are removed", func() (bool, string) {
		what := right("list jwtrefreshkeys").attributes("billing")
		return !isAllowed(t, managerUser, what) && !isAllowed(t, tokenServerUser, what), ""
	})

	ended, monotonic := startConfined(t)
	r := operator.Serve(t, tokenServerConfig(t), registry.Options{Namespaces: listed})
	ofShop := awaitRevision(t, create(t, newKey("shop", "till", withIssuer(issuer.Name))), 1)
	awaitExchange(t, r, issuer, ofShop, "200")
	awaitExchange(t, r, issuer, ofBilling, "503 temporarily_unavailable")

	if err := server.Apply(t.Context(), "config/namespaced"); err != nil {
		t.Fatal(err)
	}
	awaitExchange(t, r, issuer, ofBilling, "200")
	eventually(t, "the manager exits, to be restarted", func() (bool, string) {
		monotonic.Step(time.Minute)
		select {
		case err := <-ended:
			expectRefusal(t, err, "the manager can watch namespace billing now")
			return true, ""
		default:
			return false, "the manager still runs"
		}
	})
	operator.Manage(t, managerConfig(t), logr.Discard(), controllers.Options{Namespaces: listed})
	awaitRevision(t, create(t, newKey("billing", "later", withIssuer(issuer.Name))), 1)
}

// startConfined starts a manager for the listed namespaces. The test controls when it checks its rights
// again.
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

// TestNoNamespaceAtAll checks that a manager without access to any listed namespace fails, instead of
// watching all namespaces.
func TestNoNamespaceAtAll(t *testing.T) {
	unprivileged := server.As(newName("unprivileged"))
	_, err := controllers.NewManager(unprivileged, ctrl.Options{Logger: logr.Discard()}, controllers.Options{Namespace: apiserver.Namespace, Namespaces: listed})
	expectRefusal(t, err, fmt.Sprint(listed), "none of the namespaces")
}

package tenancy

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// listed are the namespaces in config/namespaced.
var listed = []string{"shop", "billing"}

const (
	managerUser     = "system:serviceaccount:" + apiserver.Namespace + ":" + apiserver.Manager
	tokenServerUser = "system:serviceaccount:" + apiserver.Namespace + ":" + apiserver.TokenServer
)

// installNamespaced installs config/namespaced until the test ends.
func installNamespaced(h *harness.Harness) {
	h.T.Helper()
	if server.Existing() {
		h.T.Skip("the test does not change the operator's rights in an existing cluster")
	}
	usual := map[string][]rbacv1.PolicyRule{}
	for _, account := range []string{apiserver.Manager, apiserver.TokenServer} {
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: account}}
		h.Expect(h.Reload(role)).To(gomega.Succeed())
		usual[account] = role.Rules
	}
	for _, name := range listed {
		err := h.Admin.Create(h.Ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			h.T.Fatal(err)
		}
	}
	h.T.Cleanup(func() {
		if err := server.Apply(context.Background(), "config/rbac"); err != nil {
			h.T.Error(err)
		}
	})
	if err := server.Apply(h.Ctx, "config/namespaced"); err != nil {
		h.T.Fatal(err)
	}
	// docs/hardening.md says to remove these after config/default.
	if _, err := server.Kubectl(h.Ctx, "", "delete", "clusterrolebinding,clusterrole", "refreshkeys-metrics-auth"); err != nil {
		h.T.Fatal(err)
	}
	h.AwaitState("the rights are those of config/namespaced", func() (bool, string) {
		for _, user := range []string{managerUser, tokenServerUser} {
			if isAllowed(h, user, right("list jwtrefreshkeys").attributes("")) || !isAllowed(h, user, right("list jwtrefreshkeys").attributes("billing")) {
				return false, user
			}
		}
		return !isAllowed(h, managerUser, right("list secrets").attributes("")), ""
	})
	for account, rules := range usual {
		expectSameRights(h, "billing", account, rules)
	}
}

// expectSameRights checks that the operator has in a namespace of config/namespaced all rights that
// config/rbac grants everywhere.
func expectSameRights(h *harness.Harness, namespace, account string, rules []rbacv1.PolicyRule) {
	h.T.Helper()
	user := "system:serviceaccount:" + apiserver.Namespace + ":" + account
	for _, rule := range rules {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				what := right(verb + " " + resource).attributes(namespace)
				if what.Group = rule.APIGroups[0]; !isAllowed(h, user, what) {
					h.T.Errorf("%s may %s %s with config/rbac, but not with config/namespaced", account, verb, resource)
				}
			}
		}
	}
}

// TestNamespaced runs the operator with --namespaces and the rights of config/namespaced. Refresh keys of
// these namespaces are issued, exchanged, rotated and revoked. Other keys are not touched, and the operator
// makes no forbidden request.
func TestNamespaced(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	installNamespaced(h)
	t.Run("rights", func(t *testing.T) { checkClusterWideRights(h.In(t)) })
	elsewhere := h.Namespace(nil)
	untouched := harness.Created(h, harness.NewKey(elsewhere, "orders"))

	var forbidden forbiddenRequests
	operator.Manage(t, forbidden.wrap(h.ManagerConfig()), logr.Discard(), controllers.Options{Namespaces: listed})
	r := operator.Serve(t, forbidden.wrap(h.TokenServiceConfig()), registry.Options{Namespaces: listed})
	issuer := newIssuer(h)
	harness.Edit(h, untouched, func(key *v1alpha1.JWTRefreshKey) { harness.WithIssuer(issuer.Name)(key) })
	version := untouched.ResourceVersion
	keys, tokens := map[string]*v1alpha1.JWTRefreshKey{}, map[string]string{}
	for _, namespace := range listed {
		keys[namespace] = harness.Created(h, harness.NewKey(namespace, "orders", harness.WithIssuer(issuer.Name)))
		tokens[namespace] = h.AwaitRevision(keys[namespace], 1)
		awaitExchange(h, r, issuer, tokens[namespace], "200")
	}
	harness.Edit(h, keys["shop"], func(key *v1alpha1.JWTRefreshKey) {
		key.Annotations = map[string]string{v1alpha1.AnnotationRotate: "1"}
	})
	awaitExchange(h, r, issuer, h.AwaitRevision(keys["shop"], 2), "200")
	if got := h.PostTo(r, "/"+issuer.Name+"/revoke", url.Values{"token": {tokens["billing"]}}); got.Outcome() != "200" {
		t.Errorf("revocation: got %s, want 200", got.Outcome())
	}
	awaitExchange(h, r, issuer, tokens["billing"], "400 invalid_grant")
	h.AwaitReason(keys["billing"], v1alpha1.ReasonRevoked)

	shopOnly := operator.Serve(t, forbidden.wrap(h.TokenServiceConfig()), registry.Options{Namespaces: listed[:1]})
	awaitExchange(h, shopOnly, issuer, tokens["shop"], "200")
	if got := h.RefreshAt(shopOnly, issuer.Name, tokens["billing"]); got.Outcome() != "503 temporarily_unavailable" {
		t.Errorf("exchange at a replica that does not serve the namespace: got %s, want 503 temporarily_unavailable, so that the client keeps the token", got.Outcome())
	}
	shopOnly.Stop()
	r.Stop()
	if err := h.Reload(keys["shop"]); err != nil || keys["shop"].Status.LastUsed == nil {
		t.Errorf("status.lastUsed is not set: %v", err)
	}
	if err := h.Reload(untouched); err != nil || untouched.ResourceVersion != version || len(untouched.Status.Conditions) > 0 {
		t.Errorf("a key in another namespace was touched: %v", err)
	}
	if _, err := h.Secret(elsewhere, "orders"); !apierrors.IsNotFound(err) {
		t.Errorf("Secret of a key in another namespace: got error %v, want NotFound", err)
	}
	if seen := forbidden.list(); len(seen) > 0 {
		t.Errorf("the operator made forbidden requests: %v", seen)
	}
}

// checkClusterWideRights checks that each ServiceAccount is bound to one ClusterRole, which grants nothing
// on Secrets and refresh keys.
func checkClusterWideRights(h *harness.Harness) {
	var bindings rbacv1.ClusterRoleBindingList
	h.Expect(h.Admin.List(h.Ctx, &bindings)).To(gomega.Succeed())
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
			h.T.Errorf("ClusterRoles of %s: got %v, want only its own", account, bound[account])
		}
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: account}}
		h.Expect(h.Reload(role)).To(gomega.Succeed())
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				if !slices.Contains([]string{"jwtissuers", "jwtissuers/status", "namespaces", "tokenreviews", "subjectaccessreviews"}, resource) {
					h.T.Errorf("ClusterRole %s grants %v on %s", account, rule.Verbs, resource)
				}
			}
		}
	}
}

// TestOneNamespaceDoesNotStopTheOthers removes the operator's rights in one of the namespaces. Keys of the
// other namespaces are issued and exchanged, also by processes that start then. Once the rights are back,
// the first namespace works again.
func TestOneNamespaceDoesNotStopTheOthers(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	installNamespaced(h)
	admin := h.Admin
	issuer := newIssuer(h)
	stop := operator.Manage(t, h.ManagerConfig(), logr.Discard(), controllers.Options{Namespaces: listed})
	ofBilling := h.AwaitRevision(harness.Created(h, harness.NewKey("billing", "till", harness.WithIssuer(issuer.Name))), 1)
	stop()
	for _, name := range []string{"refreshkeys-manager-tenant", "refreshkeys-tokenserver-tenant"} {
		if err := admin.Delete(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "billing", Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	h.AwaitState("the rights are removed", func() (bool, string) {
		what := right("list jwtrefreshkeys").attributes("billing")
		return !isAllowed(h, managerUser, what) && !isAllowed(h, tokenServerUser, what), ""
	})

	ended, monotonic := startConfined(h)
	r := operator.Serve(t, h.TokenServiceConfig(), registry.Options{Namespaces: listed})
	ofShop := h.AwaitRevision(harness.Created(h, harness.NewKey("shop", "till", harness.WithIssuer(issuer.Name))), 1)
	awaitExchange(h, r, issuer, ofShop, "200")
	awaitExchange(h, r, issuer, ofBilling, "503 temporarily_unavailable")

	if err := server.Apply(t.Context(), "config/namespaced"); err != nil {
		t.Fatal(err)
	}
	awaitExchange(h, r, issuer, ofBilling, "200")
	h.AwaitState("the manager exits, to be restarted", func() (bool, string) {
		monotonic.Step(time.Minute)
		select {
		case err := <-ended:
			expectRefusal(h, err, "the manager can watch namespace billing now")
			return true, ""
		default:
			return false, "the manager still runs"
		}
	})
	operator.Manage(t, h.ManagerConfig(), logr.Discard(), controllers.Options{Namespaces: listed})
	h.AwaitRevision(harness.Created(h, harness.NewKey("billing", "later", harness.WithIssuer(issuer.Name))), 1)
}

// startConfined starts a manager for the listed namespaces. The test controls when it checks its rights
// again.
func startConfined(h *harness.Harness) (ended <-chan error, monotonic *clocktesting.FakeClock) {
	h.T.Helper()
	monotonic = clocktesting.NewFakeClock(time.Unix(0, 0))
	mgr, err := controllers.NewManager(h.ManagerConfig(), ctrl.Options{Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"}},
		controllers.Options{Namespace: apiserver.Namespace, Namespaces: listed, Monotonic: monotonic, SeveralInProcess: true})
	if err != nil {
		h.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.T.Cleanup(cancel)
	end := make(chan error, 1)
	go func() { end <- mgr.Start(ctx) }()
	return end, monotonic
}

// TestNoNamespaceAtAll checks that a manager without access to any listed namespace fails, instead of
// watching all namespaces.
func TestNoNamespaceAtAll(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	unprivileged := server.As(harness.UniqueName("unprivileged"))
	_, err := controllers.NewManager(unprivileged, ctrl.Options{Logger: logr.Discard()}, controllers.Options{Namespace: apiserver.Namespace, Namespaces: listed})
	expectRefusal(h, err, fmt.Sprint(listed), "none of the namespaces")
}

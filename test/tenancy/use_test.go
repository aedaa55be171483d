package tenancy

import (
	"context"
	"fmt"
	"testing"

	"github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

const usePolicy = "issuer-use.jwt.refreshkeys.dev"

// installIssuerUse installs config/issuer-use until the test ends.
func installIssuerUse(h *harness.Harness) {
	h.T.Helper()
	if server.Existing() {
		h.T.Skip("the test does not install the optional admission policy in an existing cluster")
	}
	unprivileged := h.As(editor(h, "default"))
	h.T.Cleanup(func() { removeOptions(h, unprivileged) })
	if err := server.Apply(h.Ctx, "config/issuer-use"); err != nil {
		h.T.Fatal(err)
	}
	h.AwaitState("the policy is in force", func() (bool, string) { return useIsChecked(unprivileged), "" })
}

// useIsChecked reports whether a user without the right to use any issuer is refused.
func useIsChecked(unprivileged client.Client) bool {
	return unprivileged.Create(context.Background(), harness.NewKey("default", "probe"), client.DryRunAll) != nil
}

// removeOptions removes the optional configuration from the cluster.
func removeOptions(h *harness.Harness, unprivileged client.Client) {
	h.T.Helper()
	if _, err := server.Kubectl(context.Background(), "", "delete", "--ignore-not-found", "-k", server.Root+"/config/issuer-use"); err != nil {
		h.T.Error(err)
	}
	h.AwaitState("the policy is out of force", func() (bool, string) { return !useIsChecked(unprivileged), "" })
}

// editor returns a new user who may write refresh keys in a namespace, and may use no issuer.
func editor(h *harness.Harness, namespace string) string {
	h.T.Helper()
	user := harness.UniqueName("editor")
	bind(h, user, "refreshkeys-editor", namespace)
	h.AwaitState("the user may write keys", func() (bool, string) {
		err := h.As(user).Get(h.Ctx, types.NamespacedName{Namespace: namespace, Name: "none"}, harness.NewKey("", ""))
		return client.IgnoreNotFound(err) == nil, fmt.Sprint(err)
	})
	return user
}

func useRule(issuers ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{v1alpha1.Group}, Resources: []string{"jwtissuers"}, Verbs: []string{"use"}, ResourceNames: issuers}
}

// TestUseOfIssuers checks that with config/issuer-use, RBAC controls who may request keys of which issuer.
func TestUseOfIssuers(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	installIssuerUse(h)
	namespace := h.Namespace(nil)
	none, ofDefault, ofShop, ofAll := editor(h, namespace), editor(h, namespace), editor(h, namespace), editor(h, namespace)
	bind(h, ofDefault, newRole(h, useRule("default")), "")
	bind(h, ofShop, newRole(h, useRule("shop")), "")
	bind(h, ofAll, newRole(h, useRule()), "")
	inNamespaceOnly := editor(h, namespace)
	bind(h, inNamespaceOnly, newRole(h, useRule()), namespace)

	empty := func(key *v1alpha1.JWTRefreshKey) { key.Spec.IssuerRef = &v1alpha1.IssuerReference{} }
	absent := func(*v1alpha1.JWTRefreshKey) {}
	deletedByItself := func(key *v1alpha1.JWTRefreshKey) {
		key.DeletionTimestamp, key.Finalizers = &metav1.Time{Time: key.CreationTimestamp.Time}, []string{"example.com/wait"}
	}
	for _, c := range []struct {
		name, user string
		key        func(*v1alpha1.JWTRefreshKey)
		// refused is the issuer in the refusal; empty for none.
		refused string
	}{
		{"without the right", none, harness.WithIssuer("shop"), "shop"},
		{"without the right, absent issuerRef", none, absent, "default"},
		{"without the right, empty issuerRef", none, empty, "default"},
		{"without the right, of an issuer that does not exist", none, harness.WithIssuer("nothing"), "nothing"},
		{"without the right, a key with a deletion timestamp", none, deletedByItself, "default"},
		{"without the right, a key that is revoked from the start", none, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true }, "default"},
		{"with the right on default, absent issuerRef", ofDefault, absent, ""},
		{"with the right on default, empty issuerRef", ofDefault, empty, ""},
		{"with the right on default, by its name", ofDefault, harness.WithIssuer("default"), ""},
		{"with the right on default, another", ofDefault, harness.WithIssuer("shop"), "shop"},
		{"with the right on another", ofShop, harness.WithIssuer("shop"), ""},
		{"with the right on another, absent issuerRef", ofShop, absent, "default"},
		{"with the right on all", ofAll, harness.WithIssuer("shop"), ""},
		{"with a right that is bound in a namespace only", inNamespaceOnly, harness.WithIssuer("shop"), "shop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := h.In(t)
			try := func() error {
				return h.As(c.user).Create(t.Context(), harness.NewKey(namespace, "tried", c.key), client.DryRunAll)
			}
			if c.refused != "" {
				expectRefusal(h, try(), usePolicy, "user '"+c.user+"' may not use JWTIssuer '"+c.refused+"'",
					"{apiGroups: [jwt.refreshkeys.dev], resources: [jwtissuers], resourceNames: ["+c.refused+"], verbs: [use]}", "ClusterRoleBinding")
				return
			}
			h.AwaitState("the request is accepted", func() (bool, string) { err := try(); return err == nil, fmt.Sprint(err) })
		})
	}
	t.Run("the token service, for sessions", func(t *testing.T) {
		h := h.In(t)
		account := "system:serviceaccount:" + apiserver.Namespace + ":" + apiserver.TokenServer
		bind(h, account, "refreshkeys-editor", namespace)
		h.AwaitState("the request is accepted", func() (bool, string) {
			err := h.As(account).Create(t.Context(), harness.NewKey(namespace, "session", harness.WithIssuer("shop")), client.DryRunAll)
			return err == nil, fmt.Sprint(err)
		})
	})
}

// TestUseAtAnUpdate checks that a user who may not use the issuer of a refresh key can change the key, but
// cannot request anything new from the issuer.
func TestUseAtAnUpdate(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	installIssuerUse(h)
	namespace := h.Namespace(nil)
	key := harness.Created(h, harness.NewKey(namespace, "orders", harness.WithIssuer("shop")))
	revoked := harness.Created(h, harness.NewKey(namespace, "revoked", harness.WithIssuer("shop"), func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true }))
	setStatusAsManager(h, revoked, func(status *v1alpha1.JWTRefreshKeyStatus) {
		status.RevokedAt, status.RevocationReason = &metav1.Time{Time: revoked.CreationTimestamp.Time}, v1alpha1.RevokedRequested
	})
	leaving := harness.Created(h, harness.NewKey(namespace, "leaving", func(key *v1alpha1.JWTRefreshKey) { key.Finalizers = []string{"example.com/wait"} }))
	h.Expect(h.Admin.Delete(t.Context(), leaving)).To(gomega.Succeed())
	t.Cleanup(func() {
		leaving.Finalizers = nil
		_ = h.Admin.Patch(context.Background(), leaving, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
	})
	none, ofOther := editor(h, namespace), editor(h, namespace)
	bind(h, ofOther, newRole(h, useRule("other")), "")
	for _, c := range []struct {
		name, user string
		key        *v1alpha1.JWTRefreshKey
		merge      string
		refused    string
	}{
		{"nothing", none, key, `{}`, ""},
		{"a label", none, key, `{"metadata":{"labels":{"team":"shop"}}}`, ""},
		{"a finalizer", none, key, `{"metadata":{"finalizers":["example.com/wait"]}}`, ""},
		{"a rotation, which grants nothing new", none, key, `{"metadata":{"annotations":{"jwt.refreshkeys.dev/rotate":"1"}}}`, ""},
		{"a revocation", none, key, `{"spec":{"revoked":true}}`, ""},
		{"a key that is being deleted", none, leaving, `{"spec":{"issuerRef":{"name":"other"}},"metadata":{"finalizers":null}}`, ""},
		{"another issuer", none, key, `{"spec":{"issuerRef":{"name":"other"}}}`, "other"},
		{"another issuer, which may be used", ofOther, key, `{"spec":{"issuerRef":{"name":"other"}}}`, ""},
		{"no issuer, which is default", ofOther, key, `{"spec":{"issuerRef":null}}`, "default"},
		{"another audience of the same issuer", none, key, `{"spec":{"audience":"https://billing.example.com"}}`, "shop"},
		{"another audience, by a user who may use another issuer", ofOther, key, `{"spec":{"audience":"https://billing.example.com"}}`, "shop"},
		{"a key that stays revoked", none, revoked, `{"spec":{"audience":"https://billing.example.com"}}`, ""},
		{"an end of the revocation", none, revoked, `{"spec":{"revoked":false}}`, "shop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := h.In(t)
			try := func() error {
				patch := client.RawPatch(types.MergePatchType, []byte(c.merge))
				return h.As(c.user).Patch(t.Context(), c.key.DeepCopy(), patch, client.DryRunAll)
			}
			if c.refused != "" {
				expectRefusal(h, try(), usePolicy, "may not use JWTIssuer '"+c.refused+"'")
				return
			}
			h.AwaitState("the request is accepted", func() (bool, string) { err := try(); return err == nil, fmt.Sprint(err) })
		})
	}
}

// setStatusAsManager writes the status of a refresh key as the manager, which may use no issuer.
func setStatusAsManager(h *harness.Harness, key *v1alpha1.JWTRefreshKey, change func(*v1alpha1.JWTRefreshKeyStatus)) {
	h.T.Helper()
	config, err := server.Manager(h.Ctx)
	if err != nil {
		h.T.Fatal(err)
	}
	manager, err := client.New(config, client.Options{Scheme: h.Admin.Scheme()})
	if err != nil {
		h.T.Fatal(err)
	}
	if err := manager.Get(h.Ctx, client.ObjectKeyFromObject(key), key); err != nil {
		h.T.Fatal(err)
	}
	change(&key.Status)
	if err := manager.Status().Update(h.Ctx, key); err != nil {
		h.T.Fatalf("the manager cannot write status: %v", err)
	}
}

package tenancy

import (
	"context"
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

const usePolicy = "issuer-use.jwt.refreshkeys.dev"

// installIssuerUse installs config/issuer-use until the test ends.
func installIssuerUse(t *testing.T) {
	t.Helper()
	if server.Existing() {
		t.Skip("the test does not install the optional admission policy in an existing cluster")
	}
	unprivileged := clientOf(t, editor(t, "default"))
	t.Cleanup(func() { removeOptions(t, unprivileged) })
	if err := server.Apply(t.Context(), "config/issuer-use"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the policy is in force", func() (bool, string) { return useIsChecked(unprivileged), "" })
}

// useIsChecked reports whether a user without the right to use any issuer is refused.
func useIsChecked(unprivileged client.Client) bool {
	return unprivileged.Create(context.Background(), newKey("default", "probe"), client.DryRunAll) != nil
}

// removeOptions removes the optional configuration from the cluster.
func removeOptions(t *testing.T, unprivileged client.Client) {
	t.Helper()
	if _, err := server.Kubectl(context.Background(), "", "delete", "--ignore-not-found", "-k", server.Root+"/config/issuer-use"); err != nil {
		t.Error(err)
	}
	eventually(t, "the policy is out of force", func() (bool, string) { return !useIsChecked(unprivileged), "" })
}

// editor returns a new user who may write refresh keys in a namespace, and may use no issuer.
func editor(t *testing.T, namespace string) string {
	t.Helper()
	user := newName("editor")
	bind(t, user, "refreshkeys-editor", namespace)
	eventually(t, "the user may write keys", func() (bool, string) {
		err := clientOf(t, user).Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: "none"}, newKey("", ""))
		return client.IgnoreNotFound(err) == nil, fmt.Sprint(err)
	})
	return user
}

func useRule(issuers ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{v1alpha1.Group}, Resources: []string{"jwtissuers"}, Verbs: []string{"use"}, ResourceNames: issuers}
}

// TestUseOfIssuers checks that with config/issuer-use, RBAC controls who may request keys of which issuer.
func TestUseOfIssuers(t *testing.T) {
	installIssuerUse(t)
	namespace := newNamespace(t, nil)
	none, ofDefault, ofShop, ofAll := editor(t, namespace), editor(t, namespace), editor(t, namespace), editor(t, namespace)
	bind(t, ofDefault, newRole(t, useRule("default")), "")
	bind(t, ofShop, newRole(t, useRule("shop")), "")
	bind(t, ofAll, newRole(t, useRule()), "")
	inNamespaceOnly := editor(t, namespace)
	bind(t, inNamespaceOnly, newRole(t, useRule()), namespace)

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
		{"without the right", none, withIssuer("shop"), "shop"},
		{"without the right, absent issuerRef", none, absent, "default"},
		{"without the right, empty issuerRef", none, empty, "default"},
		{"without the right, of an issuer that does not exist", none, withIssuer("nothing"), "nothing"},
		{"without the right, a key with a deletion timestamp", none, deletedByItself, "default"},
		{"without the right, a key that is revoked from the start", none, func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true }, "default"},
		{"with the right on default, absent issuerRef", ofDefault, absent, ""},
		{"with the right on default, empty issuerRef", ofDefault, empty, ""},
		{"with the right on default, by its name", ofDefault, withIssuer("default"), ""},
		{"with the right on default, another", ofDefault, withIssuer("shop"), "shop"},
		{"with the right on another", ofShop, withIssuer("shop"), ""},
		{"with the right on another, absent issuerRef", ofShop, absent, "default"},
		{"with the right on all", ofAll, withIssuer("shop"), ""},
		{"with a right that is bound in a namespace only", inNamespaceOnly, withIssuer("shop"), "shop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			try := func() error {
				return clientOf(t, c.user).Create(t.Context(), newKey(namespace, "tried", c.key), client.DryRunAll)
			}
			if c.refused != "" {
				expectRefusal(t, try(), usePolicy, "user '"+c.user+"' may not use JWTIssuer '"+c.refused+"'",
					"{apiGroups: [jwt.refreshkeys.dev], resources: [jwtissuers], resourceNames: ["+c.refused+"], verbs: [use]}", "ClusterRoleBinding")
				return
			}
			eventually(t, "the request is accepted", func() (bool, string) { err := try(); return err == nil, fmt.Sprint(err) })
		})
	}
	t.Run("the token service, for sessions", func(t *testing.T) {
		account := "system:serviceaccount:" + apiserver.Namespace + ":" + apiserver.TokenServer
		bind(t, account, "refreshkeys-editor", namespace)
		eventually(t, "the request is accepted", func() (bool, string) {
			err := clientOf(t, account).Create(t.Context(), newKey(namespace, "session", withIssuer("shop")), client.DryRunAll)
			return err == nil, fmt.Sprint(err)
		})
	})
}

// TestUseAtAnUpdate checks that a user who may not use the issuer of a refresh key can change the key, but
// cannot request anything new from the issuer.
func TestUseAtAnUpdate(t *testing.T) {
	installIssuerUse(t)
	namespace := newNamespace(t, nil)
	key := create(t, newKey(namespace, "orders", withIssuer("shop")))
	revoked := create(t, newKey(namespace, "revoked", withIssuer("shop"), func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true }))
	setStatusAsManager(t, revoked, func(status *v1alpha1.JWTRefreshKeyStatus) {
		status.RevokedAt, status.RevocationReason = &metav1.Time{Time: revoked.CreationTimestamp.Time}, v1alpha1.RevokedRequested
	})
	leaving := create(t, newKey(namespace, "leaving", func(key *v1alpha1.JWTRefreshKey) { key.Finalizers = []string{"example.com/wait"} }))
	if err := clientOf(t, "").Delete(t.Context(), leaving); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		leaving.Finalizers = nil
		_ = clientOf(t, "").Patch(context.Background(), leaving, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
	})
	none, ofOther := editor(t, namespace), editor(t, namespace)
	bind(t, ofOther, newRole(t, useRule("other")), "")
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
			try := func() error {
				patch := client.RawPatch(types.MergePatchType, []byte(c.merge))
				return clientOf(t, c.user).Patch(t.Context(), c.key.DeepCopy(), patch, client.DryRunAll)
			}
			if c.refused != "" {
				expectRefusal(t, try(), usePolicy, "may not use JWTIssuer '"+c.refused+"'")
				return
			}
			eventually(t, "the request is accepted", func() (bool, string) { err := try(); return err == nil, fmt.Sprint(err) })
		})
	}
}

// setStatusAsManager writes the status of a refresh key as the manager, which may use no issuer.
func setStatusAsManager(t *testing.T, key *v1alpha1.JWTRefreshKey, change func(*v1alpha1.JWTRefreshKeyStatus)) {
	t.Helper()
	config, err := server.Manager(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	manager, err := client.New(config, client.Options{Scheme: clientOf(t, "").Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.Get(t.Context(), client.ObjectKeyFromObject(key), key); err != nil {
		t.Fatal(err)
	}
	change(&key.Status)
	if err := manager.Status().Update(t.Context(), key); err != nil {
		t.Fatalf("the manager cannot write status: %v", err)
	}
}

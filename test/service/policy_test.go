package service

import (
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// outcomes waits until all replicas give the same answer to a token.
func (h *fixture) outcomes(compact, want string, replicas ...*operator.Replica) {
	h.T.Helper()
	for _, r := range replicas {
		h.Eventually(func() string { return h.Refresh(r, compact).Outcome() }).Should(gomega.Equal(want))
	}
}

// TestAPolicyTypoAndItsRepair checks that clients keep their tokens while a policy is wrong.
func TestAPolicyTypoAndItsRepair(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	issuer := h.Issuer()
	h.Manage()
	replicas := []*operator.Replica{h.Replica(), h.Replica()}
	key := h.Key("orders")
	held := h.AwaitRevision(key, 1)
	h.outcomes(held, "200", replicas...)

	h.Edit(issuer, func() {
		issuer.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{"https://odrers.example.com"}}}}
	})
	h.outcomes(held, "400 unauthorized_client", replicas...)
	h.Edit(issuer, func() { issuer.Spec.Policy.Rules[0].Audiences = []string{harness.Audience} })
	h.outcomes(held, "200", replicas...)

	h.Expect(h.Admin.Delete(h.Ctx, issuer)).To(gomega.Succeed())
	h.outcomes(held, "404 invalid_request", replicas...)
	h.Issuer()
	h.outcomes(held, "200", replicas...)

	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.Name}}
	again := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: h.Name}}
	h.Edit(again, func() {
		again.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Namespaces: &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "shop"}}}}}
	})
	h.outcomes(held, "400 unauthorized_client", replicas...)
	h.Edit(namespace, func() { metav1.SetMetaDataLabel(&namespace.ObjectMeta, "team", "shop") })
	h.outcomes(held, "200", replicas...)
}

// TestASuccessorIsAuthorised checks that the next one-time token follows the current spec, which the policy may
// not grant. The client keeps its token, and continues after the repair.
func TestASuccessorIsAuthorised(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{harness.Audience}}}}
	})
	h.Manage()
	r := h.Replica()
	key := h.Key("device", oneTime(time.Minute))
	held := h.AwaitRevision(key, 1)
	h.Edit(key, func() { key.Spec.Audience = "https://odrers.example.com" })
	h.Expect(h.Refresh(r, held).Outcome()).To(gomega.Equal("400 unauthorized_client"))
	h.Edit(key, func() { key.Spec.Audience = harness.Audience })
	h.outcomes(held, "200", r)
}

// TestADeletedKeyStaysRefused checks that creating a deleted refresh key again does not make its old tokens valid.
func TestADeletedKeyStaysRefused(t *testing.T) {
	h := newManaged(t, clock.RealClock{})
	replicas := []*operator.Replica{h.Replica(), h.Replica()}
	key := h.Key("orders")
	held := h.AwaitRevision(key, 1)
	h.outcomes(held, "200", replicas...)
	access := h.Refresh(replicas[0], held).Text("access_token")
	h.Expect(h.Introspect(replicas[1], h.caller("auditor", ""), access, "").Body).To(gomega.HaveKeyWithValue("active", true))

	h.Expect(h.Admin.Delete(h.Ctx, key)).To(gomega.Succeed())
	h.outcomes(held, "400 invalid_grant", replicas...)
	h.Eventually(func() string { return h.Introspect(replicas[1], h.caller("auditor-2", ""), access, "").Raw }).Should(gomega.Equal(`{"active":false}`))
	h.Expect(h.Admin.DeleteAllOf(h.Ctx, &corev1.Secret{}, client.InNamespace(h.Name))).To(gomega.Succeed())
	next := h.AwaitRevision(h.Key("orders"), 1)
	h.outcomes(next, "200", replicas...)
	h.outcomes(held, "400 invalid_grant", replicas...)
}

// caller returns the token, for the issuer, of a ServiceAccount that may ask about tokens of keys in the
// namespace, or in all namespaces if it is empty.
func (h *fixture) caller(name, namespace string) string {
	h.T.Helper()
	h.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, Name: name}})
	role := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "refreshkeys-introspector"}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: h.Name, Name: name}}
	meta := metav1.ObjectMeta{Name: h.Name + "-" + name, Namespace: namespace}
	if namespace == "" {
		h.Create(&rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: role, Subjects: subjects})
	} else {
		h.Create(&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: role, Subjects: subjects})
	}
	return h.AccountToken(h.Name, name, h.URL())
}

// TestIntrospection checks that callers must authenticate, get only what they may ask for, and learn that a
// refresh token is active only with its hint.
func TestIntrospection(t *testing.T) {
	h, r := newReplica(t, clock.RealClock{})
	held := h.AwaitRevision(h.Key("orders"), 1)
	h.outcomes(held, "200", r)
	access := h.Refresh(r, held).Text("access_token")
	anywhere, here, elsewhere := h.caller("anywhere", ""), h.caller("here", h.Name), h.caller("elsewhere", "default")
	h.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, Name: "no-rights"}})
	const inactive = `{"active":false}`
	for _, c := range []struct {
		name, bearer, token, hint, outcome, raw string
	}{
		{name: "without a caller", token: access, outcome: "401 "},
		{name: "an unknown caller asks", bearer: "nonsense", token: access, outcome: "401 invalid_token"},
		{name: "a token that is good at the API server", bearer: h.AccountToken(h.Name, "anywhere"), token: access, outcome: "401 invalid_token"},
		{name: "two blanks before the caller's token", bearer: " " + here, token: access, outcome: "401 invalid_token"},
		{name: "two blanks before nonsense", bearer: " x", token: access, outcome: "401 invalid_token"},
		{name: "words behind the caller's token", bearer: here + " x", token: access, outcome: "401 invalid_token"},
		{name: "a comma behind the caller's token", bearer: here + ",x", token: access, outcome: "401 invalid_token"},
		{name: "a refresh token is no caller", bearer: held, token: access, outcome: "401 invalid_token"},
		{name: "a caller without the right", bearer: h.AccountToken(h.Name, "no-rights", h.URL()), token: access, outcome: "200", raw: inactive},
		{name: "a caller with the right elsewhere", bearer: elsewhere, token: access, outcome: "200", raw: inactive},
		{name: "an access token", bearer: anywhere, token: access, outcome: "200"},
		{name: "an access token, asked with the wrong hint", bearer: anywhere, token: access, hint: "refresh_token", outcome: "200", raw: inactive},
		{name: "asked by a caller of the namespace", bearer: here, token: access, outcome: "200"},
		{name: "a refresh token", bearer: anywhere, token: held, outcome: "200", raw: inactive},
		{name: "a refresh token, and it is meant", bearer: anywhere, token: held, hint: "refresh_token", outcome: "200"},
		{name: "nonsense", bearer: anywhere, token: "nonsense", outcome: "200", raw: inactive},
		{name: "nonsense, asked by a caller of one namespace", bearer: here, token: "nonsense", outcome: "200", raw: inactive},
		{name: "no token", bearer: anywhere, outcome: "400 invalid_request"},
	} {
		a := h.Introspect(r, c.bearer, c.token, c.hint)
		h.Expect(a.Outcome()).To(gomega.Equal(c.outcome), c.name)
		if c.raw != "" {
			h.Expect(a.Raw).To(gomega.Equal(c.raw), c.name)
		} else if c.outcome == "200" {
			h.Expect(a.Body).To(gomega.HaveKeyWithValue("active", true), c.name)
			h.Expect(a.Body).To(gomega.HaveKeyWithValue("aud", harness.Audience), c.name)
		}
	}
}

// TestARightInOneNamespace checks that the right in one namespace does not apply to another, also right after its
// use.
func TestARightInOneNamespace(t *testing.T) {
	h, other := newFixture(t, clock.RealClock{}), newFixture(t, clock.RealClock{})
	h.Issuer()
	h.Manage()
	r := h.Replica()
	mine := h.AwaitRevision(h.Key("orders"), 1)
	theirs := h.AwaitRevision(h.Key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Namespace = other.Name }), 1)
	h.outcomes(theirs, "200", r)
	caller := h.caller("here", h.Name)
	for range 2 {
		h.Expect(h.Introspect(r, caller, h.Refresh(r, mine).Text("access_token"), "").Outcome()).To(gomega.Equal("200"))
		h.Expect(h.Introspect(r, caller, h.Refresh(r, theirs).Text("access_token"), "").Raw).To(gomega.Equal(`{"active":false}`))
	}
}

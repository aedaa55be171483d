package service

import (
	"testing"
	"time"

	"github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// outcomes waits until all replicas give the same answer to a token.
func (h *harness) outcomes(replicas []*replica, compact, want string) {
	h.t.Helper()
	for _, r := range replicas {
		h.Eventually(func() string { return h.refresh(r, compact).outcome() }, patience, pollEvery).Should(gomega.Equal(want))
	}
}

// TestAPolicyTypoAndItsRepair checks that clients keep their tokens while a policy is wrong.
func TestAPolicyTypoAndItsRepair(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	issuer := h.issuer()
	h.manage()
	replicas := []*replica{h.replica(), h.replica()}
	key := h.key("orders")
	held := h.reaches(key, 1)
	h.outcomes(replicas, held, "200")

	h.edit(issuer, func() {
		issuer.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{"https://odrers.example.com"}}}}
	})
	h.outcomes(replicas, held, "400 unauthorized_client")
	h.edit(issuer, func() { issuer.Spec.Policy.Rules[0].Audiences = []string{audience} })
	h.outcomes(replicas, held, "200")

	h.Expect(h.admin.Delete(h.ctx, issuer)).To(gomega.Succeed())
	h.outcomes(replicas, held, "404 invalid_request")
	h.issuer()
	h.outcomes(replicas, held, "200")

	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.name}}
	again := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: h.name}}
	h.edit(again, func() {
		again.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Namespaces: &v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": "shop"}}}}}
	})
	h.outcomes(replicas, held, "400 unauthorized_client")
	h.edit(namespace, func() { metav1.SetMetaDataLabel(&namespace.ObjectMeta, "team", "shop") })
	h.outcomes(replicas, held, "200")
}

// TestASuccessorIsAuthorised checks that the next one-time token follows the current spec, which the policy may
// not grant. The client keeps its token, and continues after the repair.
func TestASuccessorIsAuthorised(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Audiences: []string{audience}}}}
	})
	h.manage()
	r := h.replica()
	key := h.key("device", oneTime(time.Minute))
	held := h.reaches(key, 1)
	h.edit(key, func() { key.Spec.Audience = "https://odrers.example.com" })
	h.Expect(h.refresh(r, held).outcome()).To(gomega.Equal("400 unauthorized_client"))
	h.edit(key, func() { key.Spec.Audience = audience })
	h.outcomes([]*replica{r}, held, "200")
}

// TestADeletedKeyStaysDead checks that creating a deleted refresh key again does not make its old tokens valid.
func TestADeletedKeyStaysDead(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer()
	h.manage()
	replicas := []*replica{h.replica(), h.replica()}
	key := h.key("orders")
	held := h.reaches(key, 1)
	h.outcomes(replicas, held, "200")
	access := h.refresh(replicas[0], held).text("access_token")
	h.Expect(h.introspect(replicas[1], h.caller("auditor", ""), access, "").body).To(gomega.HaveKeyWithValue("active", true))

	h.Expect(h.admin.Delete(h.ctx, key)).To(gomega.Succeed())
	h.outcomes(replicas, held, "400 invalid_grant")
	h.Eventually(func() string { return h.introspect(replicas[1], h.caller("auditor-2", ""), access, "").raw }, patience, pollEvery).Should(gomega.Equal(`{"active":false}`))
	h.Expect(h.admin.DeleteAllOf(h.ctx, &corev1.Secret{}, client.InNamespace(h.name))).To(gomega.Succeed())
	next := h.reaches(h.key("orders"), 1)
	h.outcomes(replicas, next, "200")
	h.outcomes(replicas, held, "400 invalid_grant")
}

// caller returns the token, for the issuer, of a ServiceAccount that may ask about tokens of keys in the
// namespace, or in all namespaces if it is empty.
func (h *harness) caller(name, namespace string) string {
	h.t.Helper()
	h.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.name, Name: name}})
	role := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "refreshkeys-introspector"}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: h.name, Name: name}}
	meta := metav1.ObjectMeta{Name: h.name + "-" + name, Namespace: namespace}
	if namespace == "" {
		h.create(&rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: role, Subjects: subjects})
	} else {
		h.create(&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: role, Subjects: subjects})
	}
	return h.accountToken(name, h.url())
}

func (h *harness) accountToken(name string, audiences ...string) string {
	h.t.Helper()
	clients, err := kubernetes.NewForConfig(server.Admin)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	issued, err := clients.CoreV1().ServiceAccounts(h.name).CreateToken(h.ctx, name,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}, metav1.CreateOptions{})
	h.Expect(err).NotTo(gomega.HaveOccurred())
	return issued.Status.Token
}

func (h *harness) introspect(r *replica, bearer, compact, hint string) *answer {
	h.t.Helper()
	form := map[string][]string{"token": {compact}}
	if hint != "" {
		form["token_type_hint"] = []string{hint}
	}
	if bearer == "" {
		return h.post(r, "/introspect", form)
	}
	return h.post(r, "/introspect", form, "Authorization", "Bearer "+bearer)
}

// TestIntrospection checks that callers must authenticate, get only what they may ask for, and learn that a
// refresh token is active only with its hint.
func TestIntrospection(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer()
	h.manage()
	r := h.replica()
	held := h.reaches(h.key("orders"), 1)
	h.outcomes([]*replica{r}, held, "200")
	access := h.refresh(r, held).text("access_token")
	anywhere, here, elsewhere := h.caller("anywhere", ""), h.caller("here", h.name), h.caller("elsewhere", "default")
	h.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.name, Name: "nobody"}})
	const inactive = `{"active":false}`
	for _, c := range []struct {
		name, bearer, token, hint, outcome, raw string
	}{
		{name: "without a caller", token: access, outcome: "401 "},
		{name: "an unknown caller asks", bearer: "nonsense", token: access, outcome: "401 invalid_token"},
		{name: "a token that is good at the API server", bearer: h.accountToken("anywhere"), token: access, outcome: "401 invalid_token"},
		{name: "two blanks before the caller's token", bearer: " " + here, token: access, outcome: "401 invalid_token"},
		{name: "two blanks before nonsense", bearer: " x", token: access, outcome: "401 invalid_token"},
		{name: "words behind the caller's token", bearer: here + " x", token: access, outcome: "401 invalid_token"},
		{name: "a comma behind the caller's token", bearer: here + ",x", token: access, outcome: "401 invalid_token"},
		{name: "a refresh token is no caller", bearer: held, token: access, outcome: "401 invalid_token"},
		{name: "a caller without the right", bearer: h.accountToken("nobody", h.url()), token: access, outcome: "200", raw: inactive},
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
		a := h.introspect(r, c.bearer, c.token, c.hint)
		h.Expect(a.outcome()).To(gomega.Equal(c.outcome), c.name)
		if c.raw != "" {
			h.Expect(a.raw).To(gomega.Equal(c.raw), c.name)
		} else if c.outcome == "200" {
			h.Expect(a.body).To(gomega.HaveKeyWithValue("active", true), c.name)
			h.Expect(a.body).To(gomega.HaveKeyWithValue("aud", audience), c.name)
		}
	}
}

// TestARightInOneNamespace checks that the right in one namespace does not apply to another, also right after its
// use.
func TestARightInOneNamespace(t *testing.T) {
	h, other := newHarness(t, clock.RealClock{}), newHarness(t, clock.RealClock{})
	h.issuer()
	h.manage()
	r := h.replica()
	mine := h.reaches(h.key("orders"), 1)
	theirs := h.reaches(h.key("orders", func(k *v1alpha1.JWTRefreshKey) { k.Namespace = other.name }), 1)
	h.outcomes([]*replica{r}, theirs, "200")
	caller := h.caller("here", h.name)
	for range 2 {
		h.Expect(h.introspect(r, caller, h.refresh(r, mine).text("access_token"), "").outcome()).To(gomega.Equal("200"))
		h.Expect(h.introspect(r, caller, h.refresh(r, theirs).text("access_token"), "").raw).To(gomega.Equal(`{"active":false}`))
	}
}

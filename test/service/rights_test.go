package service

import (
	"testing"

	"github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// TestRightsOfTheTokenService checks the rights of the token service's ServiceAccount. A compromised token service
// can neither read Secrets of tenants nor change any spec. It can create and delete refresh keys, which sessions
// are.
func TestRightsOfTheTokenService(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	config, err := server.TokenServer(h.ctx)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	clients, err := kubernetes.NewForConfig(config)
	h.Expect(err).NotTo(gomega.HaveOccurred())
	for _, c := range []struct {
		group, resource, subresource, namespace string
		may, mayNot                             []string
	}{
		{group: v1alpha1.Group, resource: "jwtrefreshkeys", namespace: h.name, may: []string{"get", "list", "watch", "create", "delete"}, mayNot: []string{"update", "patch", "deletecollection"}},
		{group: v1alpha1.Group, resource: "jwtrefreshkeys", subresource: "status", namespace: h.name, may: []string{"update", "patch"}},
		{group: v1alpha1.Group, resource: "jwtissuers", may: []string{"get", "list", "watch"}, mayNot: []string{"create", "update", "patch", "delete"}},
		{group: v1alpha1.Group, resource: "jwtissuers", subresource: "status", mayNot: []string{"update", "patch"}},
		{resource: "secrets", namespace: apiserver.Namespace, may: []string{"get", "list", "watch"}, mayNot: []string{"create", "update", "patch", "delete"}},
		{resource: "secrets", namespace: h.name, mayNot: []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
		{resource: "secrets", mayNot: []string{"get", "list", "watch"}},
		{resource: "namespaces", may: []string{"list", "watch"}, mayNot: []string{"create", "update", "patch", "delete"}},
		{resource: "serviceaccounts", subresource: "token", namespace: apiserver.Namespace, mayNot: []string{"create"}},
		{resource: "serviceaccounts", namespace: h.name, may: []string{"get"}, mayNot: []string{"list", "create", "update", "patch", "delete"}},
		{resource: "pods", namespace: h.name, mayNot: []string{"get", "list", "patch"}},
		{resource: "users", mayNot: []string{"impersonate"}},
		{group: "authentication.k8s.io", resource: "tokenreviews", may: []string{"create"}},
		{group: "authorization.k8s.io", resource: "subjectaccessreviews", may: []string{"create"}},
		{group: "rbac.authorization.k8s.io", resource: "clusterroles", mayNot: []string{"create", "update", "patch", "bind", "escalate"}},
	} {
		for allowed, verbs := range map[bool][]string{true: c.may, false: c.mayNot} {
			for _, verb := range verbs {
				answer, err := clients.AuthorizationV1().SelfSubjectAccessReviews().Create(h.ctx, &authorizationv1.SelfSubjectAccessReview{
					Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
						Group: c.group, Resource: c.resource, Subresource: c.subresource, Namespace: c.namespace, Verb: verb,
					}},
				}, metav1.CreateOptions{})
				h.Expect(err).NotTo(gomega.HaveOccurred())
				h.Expect(answer.Status.Allowed).To(gomega.Equal(allowed), "%s %s/%s in %q", verb, c.resource, c.subresource, c.namespace)
			}
		}
	}
}

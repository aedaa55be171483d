package harness

import (
	"context"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/apiserver"
)

// URL returns the URL of an issuer. Its path is the issuer's name, since one token service serves many issuers.
func URL(issuer string) string { return "https://tokens.example.com/" + issuer }

// NewIssuer returns an issuer, which the options change, without creating it.
func NewIssuer(name string, options ...func(*v1alpha1.JWTIssuer)) *v1alpha1.JWTIssuer {
	issuer := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.JWTIssuerSpec{URL: URL(name)}}
	for _, option := range options {
		option(issuer)
	}
	return issuer
}

// WithRules is an option of an issuer: the rules of its policy.
func WithRules(rules ...v1alpha1.PolicyRule) func(*v1alpha1.JWTIssuer) {
	return func(issuer *v1alpha1.JWTIssuer) { issuer.Spec.Policy = &v1alpha1.PolicySpec{Rules: rules} }
}

// NewKey returns a refresh key for Audience at the issuer `default`, which the options change, without creating it.
func NewKey(namespace, name string, options ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	key := &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: v1alpha1.JWTRefreshKeySpec{Audience: Audience},
	}
	for _, option := range options {
		option(key)
	}
	return key
}

// WithIssuer is an option of a refresh key: the name of its issuer.
func WithIssuer(issuer string) func(*v1alpha1.JWTRefreshKey) {
	return func(key *v1alpha1.JWTRefreshKey) { key.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: issuer} }
}

// URL returns the URL of the test's issuer.
func (h *Harness) URL() string { return URL(h.Name) }

// CreateNamespace creates a namespace. When the test ends, it deletes the namespace with its refresh keys and Secrets,
// since a control plane without kube-controller-manager collects nothing.
func (h *Harness) CreateNamespace(name string, labels map[string]string) {
	h.T.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	h.Expect(h.Admin.Create(h.Ctx, namespace)).To(gomega.Succeed())
	h.T.Cleanup(func() {
		ctx := context.Background()
		_ = h.Admin.DeleteAllOf(ctx, &v1alpha1.JWTRefreshKey{}, client.InNamespace(name))
		_ = h.Admin.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(name))
		_ = h.Admin.Delete(ctx, namespace)
	})
}

// Namespace creates a namespace with a name of its own, as CreateNamespace does.
func (h *Harness) Namespace(labels map[string]string) (name string) {
	h.T.Helper()
	name = UniqueName("namespace")
	h.CreateNamespace(name, labels)
	return name
}

// CreateIssuer creates an issuer. When the test ends, it deletes the issuer with its signing keys.
func (h *Harness) CreateIssuer(name string, options ...func(*v1alpha1.JWTIssuer)) *v1alpha1.JWTIssuer {
	h.T.Helper()
	issuer := NewIssuer(name, options...)
	h.Expect(h.Admin.Create(h.Ctx, issuer)).To(gomega.Succeed())
	h.T.Cleanup(func() { h.RemoveIssuer(name) })
	return issuer
}

// RemoveIssuer deletes an issuer with its signing keys.
func (h *Harness) RemoveIssuer(name string) {
	ctx := context.Background()
	_ = h.Admin.Delete(ctx, NewIssuer(name))
	_ = h.Admin.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(apiserver.Namespace), client.MatchingLabels{v1alpha1.LabelSigningKeysOf: name})
}

// Issuer creates the test's issuer until the test ends.
func (h *Harness) Issuer(options ...func(*v1alpha1.JWTIssuer)) *v1alpha1.JWTIssuer {
	h.T.Helper()
	return h.CreateIssuer(h.Name, options...)
}

// Key creates a refresh key of the test's namespace at the test's issuer, until the test ends.
func (h *Harness) Key(name string, options ...func(*v1alpha1.JWTRefreshKey)) *v1alpha1.JWTRefreshKey {
	h.T.Helper()
	return Created(h, NewKey(h.Name, name, append([]func(*v1alpha1.JWTRefreshKey){WithIssuer(h.Name)}, options...)...))
}

// Create creates objects as the cluster administrator, until the test ends.
func (h *Harness) Create(objects ...client.Object) {
	h.T.Helper()
	for _, object := range objects {
		h.Expect(h.Admin.Create(h.Ctx, object)).To(gomega.Succeed())
		h.DeleteAtEnd(object)
	}
}

// DeleteAtEnd deletes an object when the test ends.
func (h *Harness) DeleteAtEnd(object client.Object) {
	h.T.Cleanup(func() { _ = h.Admin.Delete(context.Background(), object) })
}

// Created creates an object as Create does, and returns it.
func Created[T client.Object](h *Harness, object T) T {
	h.T.Helper()
	h.Create(object)
	return object
}

// Reload reads an object again, as the cluster administrator.
func (h *Harness) Reload(object client.Object) error {
	return h.Admin.Get(h.Ctx, client.ObjectKeyFromObject(object), object)
}

// Get reads an object as Reload does, and returns it.
func Get[T client.Object](h *Harness, object T) (T, error) { return object, h.Reload(object) }

// MustGet reads an object as Reload does, and returns it. The test fails if this fails.
func MustGet[T client.Object](h *Harness, object T) T {
	h.T.Helper()
	h.Expect(h.Reload(object)).To(gomega.Succeed())
	return object
}

// Secret reads a Secret as the cluster administrator.
func (h *Harness) Secret(namespace, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	return secret, h.Reload(secret)
}

// MustSecret reads a Secret of the test's namespace. The test fails if this fails.
func (h *Harness) MustSecret(name string) *corev1.Secret {
	h.T.Helper()
	return MustGet(h, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, Name: name}})
}

// MustToken returns the refresh token in a Secret of the test's namespace, empty if it holds none. The test fails without
// the Secret.
func (h *Harness) MustToken(name string) string {
	h.T.Helper()
	return string(h.MustSecret(name).Data[v1alpha1.SecretToken])
}

// Edit changes an object as the cluster administrator. After a conflict it tries again with the newest state.
func (h *Harness) Edit(object client.Object, change func()) {
	h.T.Helper()
	h.Await("the edit of "+object.GetName(), func() error { return apiserver.Edit(h.Ctx, h.Admin, object, change) })
}

// Patch sends a merge patch of an object as the cluster administrator.
func (h *Harness) Patch(object client.Object, merge string) error {
	return h.Admin.Patch(h.Ctx, object, client.RawPatch(types.MergePatchType, []byte(merge)))
}

// Annotate sets an annotation as Edit does.
func (h *Harness) Annotate(object client.Object, name, value string) {
	h.T.Helper()
	h.Edit(object, apiserver.Annotate(object, name, value))
}

// Poke changes a label, so that the object is reconciled: a work queue does not use the clock of the test.
func (h *Harness) Poke(object client.Object) {
	h.T.Helper()
	h.Edit(object, func() {
		labels := object.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels["poked"] = object.GetResourceVersion()
		object.SetLabels(labels)
	})
}

// Edit changes an object as Harness.Edit does. The change gets the object.
func Edit[T client.Object](h *Harness, object T, change func(T)) {
	h.T.Helper()
	h.Edit(object, func() { change(object) })
}

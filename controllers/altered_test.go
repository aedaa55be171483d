package controllers_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
)

// secretsMutated installs a policy that patches every Secret written in the namespace, and returns when it is in force.
// applies reports whether the policy patched a Secret.
func (w *fixture) secretsMutated(patch string, applies func(*corev1.Secret) bool) {
	w.T.Helper()
	policy := &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: w.Name},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy: ptr.To(admissionv1.Fail), ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
				},
			}}},
			Mutations: []admissionv1.Mutation{{PatchType: admissionv1.PatchTypeJSONPatch, JSONPatch: &admissionv1.JSONPatch{Expression: patch}}},
		},
	}
	w.Create(policy)
	w.Create(&admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.Name},
		Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: policy.Name, MatchResources: &admissionv1.MatchResources{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: w.Name}},
		}},
	})
	w.Eventually(func() error {
		probe := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: w.Name, Name: "probe", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"a": "b"},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "a", UID: "b"}},
			},
			Data: map[string][]byte{v1alpha1.SecretToken: []byte("a"), v1alpha1.SecretAccessToken: []byte("a")},
		}
		if err := w.Admin.Create(w.Ctx, probe, client.DryRunAll); err != nil {
			return err
		}
		if !applies(probe) {
			return fmt.Errorf("the policy is not in force: %v", probe.ObjectMeta)
		}
		return nil
	}).Should(gomega.Succeed())
}

// secretWrites counts the requests of a manager that write Secrets.
type secretWrites struct {
	next  http.RoundTripper
	count *atomic.Int64
}

func (c *secretWrites) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet && strings.Contains(request.URL.Path, "/secrets") {
		c.count.Add(1)
	}
	return c.next.RoundTrip(request)
}

// mostWrites bounds the writes of Secrets by a manager with a few keys, including signing keys and certificates.
const mostWrites = 10

// The operator does not write a Secret repeatedly that admission changes.
func TestNoWriteLoopAgainstAdmission(t *testing.T) {
	withAccess := func(key *v1alpha1.JWTRefreshKey) { key.Spec.Secret = &v1alpha1.SecretSpec{AccessToken: true} }
	plain := func(*v1alpha1.JWTRefreshKey) {}
	const seal = `[JSONPatch{op: "add", path: "/data/%s", value: "c2VhbGVk"}]`
	for _, tt := range []struct {
		name, patch string
		applies     func(*corev1.Secret) bool
		key         func(*v1alpha1.JWTRefreshKey)
		then        func(*fixture, *v1alpha1.JWTRefreshKey)
		says        string
	}{
		{
			name: "the refresh token is changed", patch: fmt.Sprintf(seal, v1alpha1.SecretToken), key: plain,
			applies: func(s *corev1.Secret) bool { return string(s.Data[v1alpha1.SecretToken]) == "sealed" },
			says:    "False SecretRefused: ",
		},
		{
			name: "the access token is changed", patch: fmt.Sprintf(seal, v1alpha1.SecretAccessToken), key: withAccess,
			applies: func(s *corev1.Secret) bool { return string(s.Data[v1alpha1.SecretAccessToken]) == "sealed" },
			says:    "False SecretRefused: ",
		},
		{
			name: "all annotations are removed, beside an access token", key: withAccess,
			patch:   `has(object.metadata.annotations) ? [JSONPatch{op: "remove", path: "/metadata/annotations"}] : []`,
			applies: func(s *corev1.Secret) bool { return len(s.Annotations) == 0 },
			says:    "True Issued: ",
		},
		{
			name: "label and ownerReference are changed, and the key is revoked", key: plain,
			patch: `has(object.metadata.ownerReferences) ? [JSONPatch{op: "remove", path: "/metadata/ownerReferences"},
				JSONPatch{op: "add", path: "/metadata/labels/app.kubernetes.io~1managed-by", value: "platform"}] : []`,
			applies: func(s *corev1.Secret) bool { return len(s.OwnerReferences) == 0 },
			then: func(w *fixture, key *v1alpha1.JWTRefreshKey) {
				w.AwaitReason(key, v1alpha1.ReasonIssued)
				w.Edit(key, func() { key.Spec.Revoked = true })
			},
			says: "False Revoked: ",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newIsolated(t)
			w.Issuer()
			bystander := w.Key("bystander")
			count := &atomic.Int64{}
			w.start(func(config *rest.Config, _ *controllers.Options) {
				config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &secretWrites{next, count} })
			})
			w.AwaitReason(bystander, v1alpha1.ReasonIssued)
			w.secretsMutated(tt.patch, tt.applies)
			key := w.Key("orders", tt.key)
			if tt.then != nil {
				tt.then(w, key)
			}
			w.Eventually(w.readyOf(key)).Should(gomega.HavePrefix(tt.says))
			// One write for the other key, and a few more until the key has the wanted state.
			w.Consistently(count.Load, 5*time.Second, 50*time.Millisecond).Should(gomega.BeNumerically("<=", mostWrites), "writes of Secrets")
			w.Expect(w.readyOf(key)()).To(gomega.HavePrefix(tt.says))
		})
	}
}

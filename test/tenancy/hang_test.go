package tenancy

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// TestAWebhookThatNeverAnswersStopsNoOtherNamespace lets every write of a Secret in one namespace wait for
// the timeout of a webhook. The operator still serves the keys of other namespaces.
func TestAWebhookThatNeverAnswersStopsNoOtherNamespace(t *testing.T) {
	issuer := newIssuer(t)
	startManager(t)
	tenant, quiet := newNamespace(t, nil), newNamespace(t, nil)
	checkBystander(t, quiet, issuer.Name)
	calls := hangWrites(t, tenant)
	keys := make([]*v1alpha1.JWTRefreshKey, affectedKeys)
	for i := range keys {
		keys[i] = newKey(tenant, fmt.Sprint("hung-", i), withIssuer(issuer.Name))
	}
	forEach(t, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error { return clientOf(t, "").Create(ctx, key) })
	eventually(t, "the webhook is called", func() (bool, string) { return calls.Load() > 4, fmt.Sprint(calls.Load(), " calls") })
	checkBystander(t, quiet, issuer.Name)
	checkBystander(t, quiet, issuer.Name)
}

// hangWrites registers a webhook that never answers for the Secrets of a namespace, and counts its calls.
func hangWrites(t *testing.T, namespace string) *atomic.Int64 {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	calls := &atomic.Int64{}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			t.Cleanup(func() { _ = connection.Close() })
		}
	}()
	name := newName("hang")
	create(t, &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: []admissionv1.ValidatingWebhook{{
		Name: name + ".example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: ptr.To(admissionv1.SideEffectClassNone),
		FailurePolicy: ptr.To(admissionv1.Fail), TimeoutSeconds: ptr.To[int32](30),
		ClientConfig:      admissionv1.WebhookClientConfig{URL: ptr.To("https://" + listener.Addr().String())},
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
			Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
		}},
	}}})
	return calls
}

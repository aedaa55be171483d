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
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// TestAWebhookThatNeverAnswersStopsNoOtherNamespace lets every write of a Secret in one namespace wait for
// the timeout of a webhook. The operator still serves the keys of other namespaces.
func TestAWebhookThatNeverAnswersStopsNoOtherNamespace(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	issuer := newIssuer(h)
	h.Manage()
	tenant := h.Namespace(nil)
	quiet := newBystander(h, h.Namespace(nil), issuer.Name)
	calls := hangWrites(h, tenant)
	keys := make([]*v1alpha1.JWTRefreshKey, affectedKeys)
	for i := range keys {
		keys[i] = harness.NewKey(tenant, fmt.Sprint("hung-", i), harness.WithIssuer(issuer.Name))
	}
	forEach(h, keys, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error { return h.Admin.Create(ctx, key) })
	h.AwaitState("the webhook is called", func() (bool, string) { return calls.Load() > 4, fmt.Sprint(calls.Load(), " calls") })
	quiet.check(issuer.Name)
	quiet.check(issuer.Name)
}

// hangWrites registers a webhook that never answers for the Secrets of a namespace, and counts its calls.
func hangWrites(h *harness.Harness, namespace string) *atomic.Int64 {
	h.T.Helper()
	listener, err := (&net.ListenConfig{}).Listen(h.Ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		h.T.Fatal(err)
	}
	h.T.Cleanup(func() { _ = listener.Close() })
	calls := &atomic.Int64{}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			h.T.Cleanup(func() { _ = connection.Close() })
		}
	}()
	name := harness.UniqueName("hang")
	h.Create(&admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: []admissionv1.ValidatingWebhook{{
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

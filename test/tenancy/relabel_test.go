package tenancy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// TestAPolicyThatRelabelsSecrets uses a MutatingAdmissionPolicy that sets app.kubernetes.io/managed-by on
// every written Secret, so that the operator's cache contains none of them.
func TestAPolicyThatRelabelsSecrets(t *testing.T) {
	h := harness.New(t, server, clock.RealClock{})
	if server.Existing() {
		t.Skip("the test does not relabel Secrets of an existing cluster")
	}
	for _, tt := range []struct {
		name       string
		everywhere bool
	}{{"in one namespace", false}, {"in all namespaces", true}} {
		t.Run(tt.name, func(t *testing.T) {
			h := h.In(t)
			before := newIssuer(h)
			writes := &secretWrites{}
			operator.Manage(t, writes.wrap(h.ManagerConfig()), logr.Discard(), controllers.Options{})
			tenant := h.Namespace(nil)
			quiet := newBystander(h, h.Namespace(nil), before.Name)
			early, took := makeKeysAndWait(h, tenant, before.Name, 8)
			within := limit(affectedDone, took*affectedKeys/8)
			lift := relabelSecrets(h, tenant, tt.everywhere)

			issuer := newIssuer(h)
			late := make([]*v1alpha1.JWTRefreshKey, affectedKeys)
			for i := range late {
				late[i] = harness.NewKey(tenant, fmt.Sprint("late-", i), harness.WithIssuer(issuer.Name))
				if i%4 == 3 {
					late[i].Spec.Secret = &v1alpha1.SecretSpec{DeletionPolicy: v1alpha1.DeletionRetain}
				}
			}
			forEach(h, late, func(ctx context.Context, key *v1alpha1.JWTRefreshKey) error { return h.Admin.Create(ctx, key) })
			quiet.check(issuer.Name)
			awaitEach(h, late, within, "is issued", func(key *v1alpha1.JWTRefreshKey) bool { return isReady(key) && holdsCurrentToken(h, key) })
			rotateAllNow(h, late, within)
			quiet.check(issuer.Name)
			quiet.checkRotateNow(late[0])
			quiet.checkRotateNow(early[0])
			quiet.checkRotateNow(early[0])
			quiet.check(issuer.Name)
			awaitEach(h, append(late, early...), within, "is Ready", func(key *v1alpha1.JWTRefreshKey) bool { return isReady(key) && holdsCurrentToken(h, key) })
			writes.awaitNoWrites(h, 3*time.Second)
			awaitAlteredEvent(h, late[0])

			lift()
			quiet.checkRotateNow(late[0])
			awaitEach(h, late[:1], within, "has its label again", func(key *v1alpha1.JWTRefreshKey) bool {
				secret, err := h.Secret(key.Namespace, key.Name)
				return err == nil && secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy
			})
		})
	}
}

// awaitAlteredEvent waits for exactly one event that says how admission changes the Secret of a refresh
// key.
func awaitAlteredEvent(h *harness.Harness, key *v1alpha1.JWTRefreshKey) {
	h.T.Helper()
	var events corev1.EventList
	h.AwaitState("one event SecretAltered", func() (bool, string) {
		if err := h.Admin.List(h.Ctx, &events, client.InNamespace(key.Namespace)); err != nil {
			return false, err.Error()
		}
		count := 0
		for i := range events.Items {
			if e := &events.Items[i]; e.InvolvedObject.Name == key.Name && e.Reason == "SecretAltered" {
				count++
				if !strings.Contains(e.Message, v1alpha1.LabelManagedBy) || !strings.Contains(e.Message, "admission") {
					h.T.Fatalf("got event %q, want one that names the label and admission", e.Message)
				}
			}
		}
		return count == 1, fmt.Sprintf("got %d such events, want 1", count)
	})
}

// relabelSecrets sets the managed-by label of every Secret of a namespace, or of all namespaces. It returns
// once the policy is in force. lift removes the policy, and returns once it is out of force.
func relabelSecrets(h *harness.Harness, namespace string, everywhere bool) (lift func()) {
	h.T.Helper()
	name := harness.UniqueName("relabel")
	policy := harness.Created(h, &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy: ptr.To(admissionv1.Fail), ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
				},
			}}},
			Mutations: []admissionv1.Mutation{{PatchType: admissionv1.PatchTypeApplyConfiguration, ApplyConfiguration: &admissionv1.ApplyConfiguration{
				Expression: fmt.Sprintf(`Object{metadata: Object.metadata{labels: {%q: "platform"}}}`, v1alpha1.LabelManagedBy),
			}}},
		},
	})
	binding := &admissionv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: name}}
	if !everywhere {
		binding.Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
			MatchLabels: map[string]string{corev1.LabelMetadataName: namespace},
		}}
	}
	h.Create(binding)
	inForce := func() bool {
		probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "probe"}}
		return h.Admin.Create(context.WithoutCancel(h.Ctx), probe, client.DryRunAll) == nil && probe.Labels[v1alpha1.LabelManagedBy] == "platform"
	}
	h.AwaitState("the policy is in force", func() (bool, string) { return inForce(), "" })
	lift = func() {
		_ = h.Admin.Delete(context.Background(), binding)
		_ = h.Admin.Delete(context.Background(), policy)
		h.AwaitState("the policy is out of force", func() (bool, string) { return !inForce(), "" })
	}
	h.T.Cleanup(lift)
	return lift
}

// secretWrites counts the writes of Secrets by a manager.
type secretWrites struct{ count atomic.Int64 }

func (w *secretWrites) wrap(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			if request.Method != http.MethodGet && strings.Contains(request.URL.Path, "/secrets") {
				w.count.Add(1)
			}
			return next.RoundTrip(request)
		})
	})
	return config
}

// awaitNoWrites waits until no Secret was written for a period.
func (w *secretWrites) awaitNoWrites(h *harness.Harness, quiet time.Duration) {
	h.T.Helper()
	before, at := w.count.Load(), time.Now()
	h.AwaitState(fmt.Sprintf("no Secret is written for %s", quiet), func() (bool, string) {
		if now := w.count.Load(); now != before {
			before, at = now, time.Now()
		}
		return time.Since(at) >= quiet, fmt.Sprintf("%d writes so far", before)
	})
}

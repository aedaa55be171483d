package controllers_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/controllers"
	"github.com/refreshkeys/refreshkeys/test/framework/harness"
)

// metered registers a manager's metrics in a registry that the test can read.
func metered(change ...func(*controllers.Options)) (*prometheus.Registry, func(*rest.Config, *controllers.Options)) {
	registry := prometheus.NewRegistry()
	return registry, func(_ *rest.Config, o *controllers.Options) {
		o.Metrics = registry
		for _, c := range change {
			c(o)
		}
	}
}

// samples returns the samples of one metric for the namespace or the issuer of the fixture, named by the other labels.
func (w *fixture) samples(registry *prometheus.Registry, name string) map[string]float64 {
	w.T.Helper()
	families, err := registry.Gather()
	w.Expect(err).NotTo(gomega.HaveOccurred())
	found := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "refreshkeys_"+name {
			continue
		}
		for _, metric := range family.GetMetric() {
			var labels []string
			matches := false
			for _, label := range metric.GetLabel() {
				switch {
				case label.GetName() == "namespace" || label.GetName() == "issuer":
					matches = matches || label.GetValue() == w.Name
				default:
					labels = append(labels, label.GetValue())
				}
			}
			if matches {
				found[strings.Join(labels, " ")] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
			}
		}
	}
	return found
}

// TestMetricsOfKeys checks that the metrics match the status of keys and issuers, and that deleted objects have none.
func TestMetricsOfKeys(t *testing.T) {
	w := newFixture(t)
	issuer := w.Issuer()
	registry, options := metered()
	w.start(options)
	key, denied := w.Key("orders"), w.Key("denied", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Scopes = []string{"billing:read"} })
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.AwaitReason(denied, v1alpha1.ReasonPolicyDenied)
	is := func(name string, want map[string]float64) {
		t.Helper()
		w.Eventually(func() map[string]float64 { return w.samples(registry, name) }).WithPolling(50*time.Millisecond).Should(gomega.Equal(want), name)
	}
	seconds := func(at time.Time) float64 { return float64(at.UnixNano()) / 1e9 }
	is("key_ready", map[string]float64{"orders Issued": 1, "denied PolicyDenied": 0})
	is("key_issued_timestamp_seconds", map[string]float64{"orders": seconds(key.Status.CreatedAt.Time)})
	is("key_expiry_timestamp_seconds", map[string]float64{"orders": seconds(key.Status.ExpiresAt.Time)})
	is("key_renewal_timestamp_seconds", map[string]float64{"orders": seconds(key.Status.RenewalTime.Time)})
	is("revoked_keys", revoked())
	is("key_last_used_timestamp_seconds", map[string]float64{})
	is("key_overlap_end_timestamp_seconds", map[string]float64{})
	is("keys", map[string]float64{"key Issued": 1, "key PolicyDenied": 1})
	is("issuer_ready", map[string]float64{"KeysReady": 1})
	is("signing_keys", map[string]float64{"Active access": 1, "Pending access": 1, "Active refresh": 1, "Pending refresh": 1})
	harness.MustGet(w.Harness, issuer)
	due := map[string]float64{}
	for _, signing := range issuer.Status.Keys {
		if signing.State == "Pending" {
			due[string(signing.Use)] = seconds(signing.ActiveAt.Time)
		}
	}
	is("signing_key_rotation_timestamp_seconds", due)
	w.Expect(w.samples(registry, "signing_key_created_timestamp_seconds")).To(gomega.HaveLen(4))

	first := *key.Status.ExpiresAt
	w.Annotate(key, v1alpha1.AnnotationRotate, "once")
	w.AwaitRevision(key, 2)
	used := w.clock.Now().Truncate(time.Second)
	service, err := client.New(w.TokenServiceConfig(), client.Options{Scheme: w.Admin.Scheme()})
	w.Expect(err).NotTo(gomega.HaveOccurred())
	w.Expect(service.Status().Patch(w.Ctx, key, client.RawPatch(types.MergePatchType, fmt.Appendf(nil,
		`{"status":{"lastUsed":%q,"supersededLastUsed":%[1]q}}`, used.UTC().Format(time.RFC3339))))).To(gomega.Succeed())
	is("key_last_used_timestamp_seconds", map[string]float64{"orders": seconds(used)})
	is("key_overlap_end_timestamp_seconds", map[string]float64{"orders": seconds(first.Time)})
	is("key_superseded_last_used_timestamp_seconds", map[string]float64{"orders": seconds(used)})

	w.Edit(key, func() { key.Spec.Revoked = true })
	w.AwaitReason(key, v1alpha1.ReasonRevoked)
	is("revoked_keys", revoked("key Requested"))
	is("key_renewal_timestamp_seconds", map[string]float64{})
	w.Expect(w.Admin.Delete(w.Ctx, key)).To(gomega.Succeed())
	is("key_ready", map[string]float64{"denied PolicyDenied": 0})
	is("revoked_keys", revoked())
}

// revoked returns the counts of revoked keys, which are 0 unless named: queries must see the first one as an increase.
func revoked(one ...string) map[string]float64 {
	counts := map[string]float64{}
	for _, kind := range []string{"key", "session"} {
		for _, reason := range []string{"Requested", "Logout", "IdleTimeout", "ReuseDetected", "KeyWithdrawn"} {
			counts[kind+" "+reason] = 0
		}
	}
	for _, which := range one {
		counts[which] = 1
	}
	return counts
}

// TestMetricsOfManyKeys checks that metrics name no key if keys are only counted, and neither do the counts of API calls.
func TestMetricsOfManyKeys(t *testing.T) {
	w := newFixture(t)
	w.Issuer()
	registry, options := metered(func(o *controllers.Options) { o.WithoutKeyMetrics = true })
	w.start(options)
	key := w.Key("orders")
	w.AwaitReason(key, v1alpha1.ReasonIssued)
	w.Eventually(func() map[string]float64 { return w.samples(registry, "keys") }).Should(gomega.Equal(map[string]float64{"key Issued": 1}))
	w.Expect(w.samples(registry, "key_ready")).To(gomega.BeEmpty())
	families, err := registry.Gather()
	w.Expect(err).NotTo(gomega.HaveOccurred())
	calls := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
				w.Expect(label.GetValue()).NotTo(gomega.BeElementOf("orders", key.Status.JTI), family.GetName())
			}
			if family.GetName() == "refreshkeys_api_calls_total" {
				calls[labels["verb"]+" "+labels["resource"]+" "+labels["code"]] = metric.GetCounter().GetValue()
			}
		}
	}
	w.Expect(maps.Keys(calls)).To(gomega.ContainElements("create secrets 201", "update jwtrefreshkeys/status 200", "watch jwtrefreshkeys 200"))
}

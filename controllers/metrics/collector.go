// Package metrics computes the metrics of keys and issuers from the caches of the operator.
package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
)

// A scrape computes the metrics of a manager from its caches: every replica reports the same values, and deleted objects
// disappear. Keys that logins created are only counted: there may be very many, and their names are generated.
var (
	keyReady = describe("key_ready", "1 while the condition Ready of a key is True, otherwise 0; reason is that of the condition.",
		"namespace", "name", "issuer", "reason")
	keyIssued             = describe("key_issued_timestamp_seconds", "When the current token of a key was issued.", "namespace", "name")
	keyExpiry             = describe("key_expiry_timestamp_seconds", "When the current token of a key expires.", "namespace", "name")
	keyRenewal            = describe("key_renewal_timestamp_seconds", "When the next token of a key is due (status.renewalTime).", "namespace", "name")
	keyLastUsed           = describe("key_last_used_timestamp_seconds", "When a token of a key was last exchanged, as status records it.", "namespace", "name")
	keySupersededLastUsed = describe("key_superseded_last_used_timestamp_seconds",
		"When a superseded token of a key was last exchanged, while the key still accepts one.", "namespace", "name")
	keyOverlapEnd = describe("key_overlap_end_timestamp_seconds",
		"When the oldest superseded token of a key is refused at the latest, while the key still accepts one.", "namespace", "name")
	keyCount          = describe("keys", "Keys by issuer, kind (key, or session for keys that logins created) and reason of the condition Ready.", "issuer", "kind", "reason")
	revokedKeys       = describe("revoked_keys", "Revoked keys by issuer, kind and reason of the revocation.", "issuer", "kind", "reason")
	issuerReady       = describe("issuer_ready", "1 while the condition Ready of an issuer is True, otherwise 0; reason is that of the condition.", "issuer", "reason")
	signingKeys       = describe("signing_keys", "Signing keys by issuer, use and state.", "issuer", "use", "state")
	signingKeyCreated = describe("signing_key_created_timestamp_seconds",
		"When the oldest signing key of an issuer, use and state was created.", "issuer", "use", "state")
	caConfigMaps = describe("ca_config_maps",
		"ConfigMaps refreshkeys-ca.crt by state: published, or foreign for one that the operator did not make. 0 without --publish-ca.", "state")
	signingKeyRotation = describe("signing_key_rotation_timestamp_seconds", "When the next signing key of an issuer and use becomes active.", "issuer", "use")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("refreshkeys_"+name, help, labels, nil)
}

// scrapeTimeout bounds how long a scrape waits for the caches.
const scrapeTimeout = 5 * time.Second

// Options of the collector.
type Options struct {
	// EachKey is true if single keys have metrics, and not only counts.
	EachKey bool
	// PublishedCA is true if the manager publishes the CA bundle, and so watches its ConfigMaps.
	PublishedCA bool
}

// New returns a collector that reads from the caches.
func New(cached client.Reader, o Options) prometheus.Collector { return &collector{cached, o} }

// collector computes metrics from the caches.
type collector struct {
	reader client.Reader
	Options
}

// Describe is part of prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		keyReady, keyIssued, keyExpiry, keyRenewal, keyLastUsed, keySupersededLastUsed, keyOverlapEnd, keyCount, revokedKeys,
		issuerReady, signingKeys, signingKeyCreated, signingKeyRotation, caConfigMaps,
	} {
		out <- desc
	}
}

// Collect is part of prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	var keys v1alpha1.JWTRefreshKeyList
	var issuers v1alpha1.JWTIssuerList
	if err := errors.Join(c.reader.List(ctx, &keys, client.UnsafeDisableDeepCopy), c.reader.List(ctx, &issuers, client.UnsafeDisableDeepCopy)); err != nil {
		out <- prometheus.NewInvalidMetric(keyCount, err)
		return
	}
	s := &sample{out: out, counts: map[*prometheus.Desc]map[[3]string]float64{keyCount: {}, revokedKeys: {}, signingKeys: {}}}
	for i := range issuers.Items {
		s.issuer(&issuers.Items[i])
	}
	for i := range keys.Items {
		key := &keys.Items[i]
		s.count(key)
		if c.EachKey && !lifecycle.IsSession(key) {
			s.key(key)
		}
	}
	s.published(ctx, c)
	for desc, counts := range s.counts {
		for labels, count := range counts {
			s.gauge(desc, count, labels[:]...)
		}
	}
}

// published counts the ConfigMaps with the CA bundle. A manager that publishes none may not read them.
func (s *sample) published(ctx context.Context, c *collector) {
	var all corev1.ConfigMapList
	if c.PublishedCA {
		if err := c.reader.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
			s.out <- prometheus.NewInvalidMetric(caConfigMaps, err)
			return
		}
	}
	states := map[string]float64{"published": 0, "foreign": 0}
	for i := range all.Items {
		if all.Items[i].Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy {
			states["published"]++
		} else {
			states["foreign"]++
		}
	}
	for state, count := range states {
		s.gauge(caConfigMaps, count, state)
	}
}

// sample is one scrape.
type sample struct {
	out    chan<- prometheus.Metric
	counts map[*prometheus.Desc]map[[3]string]float64
}

func (s *sample) gauge(desc *prometheus.Desc, value float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

func (s *sample) time(desc *prometheus.Desc, at *metav1.Time, labels ...string) {
	if at != nil && !at.IsZero() {
		s.gauge(desc, float64(at.UnixNano())/1e9, labels...)
	}
}

// revocationReasons are all reasons of a revocation.
var revocationReasons = []v1alpha1.RevocationReason{
	v1alpha1.RevokedRequested, v1alpha1.RevokedLogout, v1alpha1.RevokedIdleTimeout, v1alpha1.RevokedReuseDetected, v1alpha1.RevokedKeyWithdrawn,
}

// readiness returns the value and the reason of the condition Ready.
func readiness(conditions []metav1.Condition) (value float64, reason string) {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil:
		return 0, "Unknown"
	case ready.Status == metav1.ConditionTrue:
		return 1, ready.Reason
	default:
		return 0, ready.Reason
	}
}

// Kinds of keys, which are counted separately.
const (
	kindKey     = "key"
	kindSession = "session"
)

func (s *sample) count(key *v1alpha1.JWTRefreshKey) {
	kind := kindKey
	if lifecycle.IsSession(key) {
		kind = kindSession
	}
	issuer := lifecycle.IssuerName(key)
	_, reason := readiness(key.Status.Conditions)
	s.counts[keyCount][[3]string{issuer, kind, reason}]++
	if key.Status.RevokedAt != nil {
		s.counts[revokedKeys][[3]string{issuer, kind, string(key.Status.RevocationReason)}]++
	}
}

func (s *sample) key(key *v1alpha1.JWTRefreshKey) {
	status := &key.Status
	ready, reason := readiness(status.Conditions)
	s.gauge(keyReady, ready, key.Namespace, key.Name, lifecycle.IssuerName(key), reason)
	if status.RevokedAt == nil {
		s.time(keyIssued, status.CreatedAt, key.Namespace, key.Name)
		s.time(keyExpiry, status.ExpiresAt, key.Namespace, key.Name)
		s.time(keyRenewal, status.RenewalTime, key.Namespace, key.Name)
	}
	s.time(keyLastUsed, status.LastUsed, key.Namespace, key.Name)
	if end := lifecycle.Timeline(key).OverlapEnd(); !end.IsZero() {
		s.time(keyOverlapEnd, &metav1.Time{Time: end}, key.Namespace, key.Name)
		s.time(keySupersededLastUsed, status.SupersededLastUsed, key.Namespace, key.Name)
	}
}

func (s *sample) issuer(issuer *v1alpha1.JWTIssuer) {
	ready, reason := readiness(issuer.Status.Conditions)
	s.gauge(issuerReady, ready, issuer.Name, reason)
	// The counts start at 0, so that queries see the first revocation as an increase.
	for _, kind := range []string{kindKey, kindSession} {
		for _, why := range revocationReasons {
			s.counts[revokedKeys][[3]string{issuer.Name, kind, string(why)}] += 0
		}
	}
	oldest := map[[2]string]*metav1.Time{}
	next := map[string]*metav1.Time{}
	for i := range issuer.Status.Keys {
		key := &issuer.Status.Keys[i]
		s.counts[signingKeys][[3]string{issuer.Name, string(key.Use), string(key.State)}]++
		which := [2]string{string(key.Use), string(key.State)}
		if before := oldest[which]; before == nil || key.CreatedAt.Before(before) {
			oldest[which] = &key.CreatedAt
		}
		if before := next[which[0]]; key.State == v1alpha1.KeyState(keyring.Pending) && (before == nil || key.ActiveAt.Before(before)) {
			next[which[0]] = key.ActiveAt
		}
	}
	for which, created := range oldest {
		s.time(signingKeyCreated, created, issuer.Name, which[0], which[1])
	}
	for use, due := range next {
		s.time(signingKeyRotation, due, issuer.Name, use)
	}
}

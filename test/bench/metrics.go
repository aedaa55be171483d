package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// scraper reads the metrics of one process.
type scraper struct {
	client *http.Client
	url    string
}

// samples are the metrics of one process at one time, by name.
type samples map[string]*dto.MetricFamily

func (s *scraper) read(ctx context.Context) (samples, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", s.url, answer.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(answer.Body)
}

// sum adds up the samples of a counter or gauge with the given labels, as
// name, value, name, value.
func (s samples) sum(name string, labels ...string) float64 {
	family, found := s[name]
	if !found {
		return 0
	}
	var total float64
	for _, metric := range family.GetMetric() {
		if matches(metric, labels) {
			total += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetUntyped().GetValue()
		}
	}
	return total
}

func matches(metric *dto.Metric, labels []string) bool {
	have := make(map[string]string, len(metric.GetLabel()))
	for _, label := range metric.GetLabel() {
		have[label.GetName()] = label.GetValue()
	}
	for i := 0; i < len(labels); i += 2 {
		if have[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}

// writes counts the mutating requests to the API server, including refused ones.
type writes struct {
	keys, secrets, statuses, events float64
}

func (s samples) writes() writes {
	var w writes
	for _, verb := range []string{"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"} {
		const requests = "apiserver_request_total"
		w.keys += s.sum(requests, "verb", verb, "resource", "jwtrefreshkeys", "subresource", "")
		w.secrets += s.sum(requests, "verb", verb, "resource", "secrets")
		w.statuses += s.sum(requests, "verb", verb, "resource", "jwtrefreshkeys", "subresource", "status")
		w.events += s.sum(requests, "verb", verb, "resource", "events")
	}
	return w
}

func (w writes) since(before writes) writes {
	return writes{w.keys - before.keys, w.secrets - before.secrets, w.statuses - before.statuses, w.events - before.events}
}

// countWrites must run while no other client writes.
func (l *lab) countWrites(ctx context.Context) (writes, error) {
	seen, err := l.apiserver.read(ctx)
	if err != nil {
		return writes{}, fmt.Errorf("metrics of the API server: %w", err)
	}
	return seen.writes(), nil
}

func apiServerMetrics(admin *rest.Config) (*scraper, error) {
	client, err := rest.HTTPClientFor(admin)
	if err != nil {
		return nil, err
	}
	return &scraper{client: client, url: admin.Host + "/metrics"}, nil
}

// managerMetrics reads metrics as a monitoring system does: over TLS, with a ServiceAccount
// that has the role for it in config/rbac.
func (l *lab) managerMetrics(ctx context.Context) (*scraper, error) {
	const reader = "bench-metrics-reader"
	objects := []client.Object{
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: reader}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: reader},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "refreshkeys-metrics-reader"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: operatorNamespace, Name: reader}},
		},
	}
	for _, object := range objects {
		if err := l.admin.Create(ctx, object); err != nil {
			return nil, err
		}
	}
	path := filepath.Join(l.dir, reader+".kubeconfig")
	if err := l.cluster.ServiceAccountKubeconfig(ctx, operatorNamespace, reader, path); err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, err
	}
	port, err := l.cluster.Port("manager-metrics")
	if err != nil {
		return nil, err
	}
	selfSigned := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	transport, err := rest.HTTPWrappersForConfig(&rest.Config{BearerToken: config.BearerToken}, &http.Transport{TLSClientConfig: selfSigned})
	if err != nil {
		return nil, err
	}
	return &scraper{
		client: &http.Client{Transport: transport, Timeout: 10 * time.Second},
		url:    fmt.Sprintf("https://127.0.0.1:%d/metrics", port),
	}, nil
}

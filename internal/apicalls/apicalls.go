// Package apicalls counts the calls of a process to the API server: reads and writes by kind of object,
// and their results.
package apicalls

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
)

// Counter counts calls by verb, resource and HTTP status.
type Counter struct{ calls *prometheus.CounterVec }

// New returns a Counter of the metric refreshkeys_api_calls_total.
func New() *Counter {
	return &Counter{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "refreshkeys_api_calls_total",
		Help: "Calls at the API server, by verb, resource (with its subresource) and HTTP status; code error where no answer came.",
	}, []string{"verb", "resource", "code"})}
}

// Describe implements prometheus.Collector.
func (c *Counter) Describe(out chan<- *prometheus.Desc) { c.calls.Describe(out) }

// Collect implements prometheus.Collector.
func (c *Counter) Collect(out chan<- prometheus.Metric) { c.calls.Collect(out) }

// Wrap changes the configuration of a client so that its calls are counted.
func (c *Counter) Wrap(config *rest.Config) {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &transport{next: next, calls: c.calls} })
}

type transport struct {
	next  http.RoundTripper
	calls *prometheus.CounterVec
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	code := "error"
	if err == nil {
		code = strconv.Itoa(response.StatusCode)
	}
	t.calls.WithLabelValues(verbOf(request), resourceOf(request.URL.Path), code).Inc()
	return response, err
}

// WrappedRoundTripper returns the underlying transport, for client-go (k8s.io/apimachinery/pkg/util/net).
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }

var verbs = map[string]string{
	http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
}

func verbOf(request *http.Request) string {
	if request.Method == http.MethodGet && request.URL.Query().Has("watch") {
		return "watch"
	}
	if verb, ok := verbs[request.Method]; ok {
		return verb
	}
	return "other"
}

// resourceOf returns the resource and subresource of a path of the Kubernetes API, and "other" for all other
// paths: names and namespaces never become labels.
func resourceOf(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return "other"
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	if len(parts) > 2 {
		return parts[0] + "/" + parts[2]
	}
	return parts[0]
}

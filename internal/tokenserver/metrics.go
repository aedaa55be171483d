package tokenserver

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics of the service. Labels are bounded: an issuer's name, an endpoint, a status, an
// error code; never a key, a client or a token.
type Metrics struct {
	Registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// NewMetrics makes Metrics. staleness is how old what the replica knows may be.
func NewMetrics(staleness func() time.Duration) *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "refreshkeys_requests_total", Help: "Requests answered, by issuer, endpoint, HTTP status and OAuth error.",
		}, []string{"issuer", "endpoint", "status", "error"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "refreshkeys_request_duration_seconds", Help: "Time from reading a request's headers to its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"endpoint"}),
	}
	m.Registry.MustRegister(m.requests, m.seconds, collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsGC)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "refreshkeys_view_staleness_seconds", Help: "How long ago it was proven that what this replica knows is up to date.",
		}, func() float64 { return staleness().Seconds() }))
	return m
}

// Observe counts a request.
func (m *Metrics) Observe(r *Request) {
	m.requests.WithLabelValues(r.Issuer, r.Endpoint, strconv.Itoa(r.Status), string(r.Code)).Inc()
	m.seconds.WithLabelValues(r.Endpoint).Observe(r.Took.Seconds())
}

package tokenserver

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/version"
)

// Metrics are the request metrics of the token service. Their labels have bounded values: an issuer's name, an
// endpoint, a grant, a status, an error code; never a refresh key, a client or a token.
type Metrics struct {
	requests  *prometheus.CounterVec
	exchanges *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	unwritten prometheus.Counter
}

// Facts are functions that return the state of a replica when metrics are read.
type Facts struct {
	// Staleness returns the time since the views were proven up to date.
	Staleness func() time.Duration
	// MaxStaleness is the maximum staleness at which the replica answers.
	MaxStaleness time.Duration
	// Ready returns nil while the replica can serve.
	Ready func() error
	// CertificateSpan returns the validity of the serving certificate; zero times for none.
	CertificateSpan func() (start, end time.Time)
	// Verifications returns how many verifications of refresh tokens were answered from the cache, and how many
	// were not.
	Verifications func() (hits, misses int64)
}

// ok is the result of a granted request.
const ok = "ok"

// NewMetrics returns Metrics and registers them. All of Facts are required.
func NewMetrics(registerer prometheus.Registerer, facts Facts) (*Metrics, error) {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "refreshkeys_requests_total", Help: "Requests answered, by issuer, endpoint, HTTP status and OAuth error.",
		}, []string{"issuer", "endpoint", "status", "error"}),
		exchanges: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "refreshkeys_exchanges_total", Help: "Requests for tokens answered, by issuer, grant, and result: ok or the OAuth error.",
		}, []string{"issuer", "grant", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "refreshkeys_request_duration_seconds", Help: "Time from reading a request's headers to its answer, by endpoint.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"endpoint"}),
		unwritten: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "refreshkeys_audit_lines_lost_total", Help: "Lines of the audit log that could not be written.",
		}),
	}
	var failed []error
	for _, collector := range append(facts.collectors(), version.Get().Collector(), m.requests, m.exchanges, m.seconds, m.unwritten) {
		failed = append(failed, registerer.Register(collector))
	}
	return m, errors.Join(failed...)
}

// collectors return the facts when they are read.
func (f *Facts) collectors() []prometheus.Collector {
	verifications := func(cache string, which func(hits, misses int64) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "refreshkeys_verifications_total",
			Help:        "Refresh tokens verified, by whether the result of verifying their signature was cached (hit) or not (miss).",
			ConstLabels: prometheus.Labels{"cache": cache},
		}, func() float64 { return float64(which(f.Verifications())) })
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "refreshkeys_" + name, Help: help}, value)
	}
	return []prometheus.Collector{
		verifications("hit", func(hits, _ int64) int64 { return hits }),
		verifications("miss", func(_, misses int64) int64 { return misses }),
		gauge("view_staleness_seconds", "Time since this replica's view of the cluster was last proven up to date.",
			func() float64 { return f.Staleness().Seconds() }),
		gauge("view_staleness_limit_seconds", "Maximum staleness at which this replica answers (--max-staleness).",
			f.MaxStaleness.Seconds),
		gauge("tokenserver_ready", "1 while this replica can serve, as its /readyz reports; otherwise 0.", func() float64 {
			if f.Ready() != nil {
				return 0
			}
			return 1
		}),
		gauge("certificate_start_timestamp_seconds", "Start of the validity of this replica's serving certificate; 0 while it has none.",
			func() float64 { start, _ := f.CertificateSpan(); return timestamp(start) }),
		gauge("certificate_expiry_timestamp_seconds", "End of the validity of this replica's serving certificate; 0 while it has none.",
			func() float64 { _, end := f.CertificateSpan(); return timestamp(end) }),
	}
}

func timestamp(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.Unix())
}

// Observe counts a request.
func (m *Metrics) Observe(r *Request) {
	m.requests.WithLabelValues(r.Issuer, r.Endpoint, strconv.Itoa(r.Status), string(r.Code)).Inc()
	m.seconds.WithLabelValues(r.Endpoint).Observe(r.Took.Seconds())
	if r.Endpoint == endpointToken {
		m.exchanges.WithLabelValues(r.Issuer, r.Grant, result(r.Code)).Inc()
	}
}

// Lost counts a line of the audit log that could not be written.
func (m *Metrics) Lost() { m.unwritten.Inc() }

func result(code oauth.Code) string {
	if code == "" {
		return ok
	}
	return string(code)
}

package console

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/refreshkeys/refreshkeys/internal/version"
)

// visit is what a handler says of a request for its log line.
type visit struct{ user string }

type visitKey struct{}

// visitOf returns the visit of a request that ServeHTTP serves.
func visitOf(r *http.Request) *visit {
	if v, ok := r.Context().Value(visitKey{}).(*visit); ok {
		return v
	}
	return &visit{}
}

// register makes the metrics. Their labels have bounded values: a pattern of a route and a status.
func (s *Server) register() error {
	s.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "refreshkeys_console_requests_total", Help: "Requests that the console answered, by route and HTTP status.",
	}, []string{"route", "code"})
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	var failed []error
	for _, collector := range []prometheus.Collector{
		s.requests, s.calls, version.Get().Collector(),
		gauge("refreshkeys_console_sessions", "Sessions of the console that have not ended.", func() int { living, _ := s.sessions.counts(); return living }),
		gauge("refreshkeys_console_streams", "Streams of changes that pages of the console read.", func() int { _, streams := s.sessions.counts(); return streams }),
	} {
		failed = append(failed, s.Registerer.Register(collector))
	}
	return errors.Join(failed...)
}

// observe writes the line of a request, and counts it: its route and never its path, its query, its body or its cookie.
func (s *Server) observe(r *http.Request, code int, took time.Duration, user string) {
	route := r.Pattern
	if route == "" {
		route = "none"
	}
	s.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	s.log.Info("request", "route", route, "status", code, "took", took.String(), "user", user)
}

// cause returns an error for the log: without the URL of a request and its query.
func cause(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}

// answered remembers the status of an answer.
type answered struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (w *answered) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (w *answered) Write(body []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(body)
}

// Unwrap returns the underlying writer, for http.ResponseController.
func (w *answered) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// probed is an answer of which only the header is of interest.
type probed struct{ header http.Header }

// Header implements http.ResponseWriter.
func (p *probed) Header() http.Header { return p.header }

// Write implements http.ResponseWriter.
func (p *probed) Write(body []byte) (int, error) { return len(body), nil }

// WriteHeader implements http.ResponseWriter.
func (p *probed) WriteHeader(int) {}

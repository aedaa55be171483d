package cli

import (
	"net/http"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2/textlogger"
)

// The levels of -v, as in kubectl. No level shows a body of a request or an answer, or a credential: they hold tokens.
const (
	// LevelRequests shows each request, its status and how long it took.
	LevelRequests = 6
	// LevelHeaders shows the headers of requests and answers as well.
	LevelHeaders = 7
)

const verboseUsage = "number for the log level verbosity: 6 shows each request on stderr, 7 also its headers; no level shows tokens or bodies"

// Verbose holds the flag -v.
type Verbose struct{ level int }

// Add adds the flag, under the names that kubectl uses.
func (v *Verbose) Add(flags *pflag.FlagSet) {
	flags.IntVarP(&v.level, "v", "v", 0, verboseUsage)
}

// Logged returns a round tripper that logs the requests to stderr as -v says. It takes any number of clients.
func (r *Run) Logged(next http.RoundTripper) http.RoundTripper {
	if r.Verbose.level < LevelRequests {
		return next
	}
	log := textlogger.NewLogger(textlogger.NewConfig(textlogger.Verbosity(r.Verbose.level), textlogger.Output(r.ErrOut)))
	return &logged{RoundTripper: next, run: r, log: log}
}

// logged logs each request, without bodies and credentials.
type logged struct {
	http.RoundTripper
	run *Run
	log logr.Logger
}

// RoundTrip implements http.RoundTripper.
func (l *logged) RoundTrip(request *http.Request) (*http.Response, error) {
	began := l.run.Clock.Now()
	response, err := l.RoundTripper.RoundTrip(request)
	about := []any{"verb", request.Method, "url", request.URL.Redacted(), "milliseconds", l.run.Clock.Since(began).Milliseconds()}
	if err != nil {
		l.log.V(LevelRequests).Info("Request failed", append(about, "err", err.Error())...)
		return nil, err
	}
	l.log.V(LevelRequests).Info("Response", append(about, "status", response.Status)...)
	if l.run.Verbose.level >= LevelHeaders {
		l.log.V(LevelHeaders).Info("Headers", "request", shownHeaders(request.Header), "response", shownHeaders(response.Header))
	}
	return response, nil
}

// shown are the headers whose values are shown: those that can hold no credential and no token.
var shown = []string{
	"Accept", "Audit-Id", "Cache-Control", "Content-Length", "Content-Type", "Date", "Impersonate-Group", "Impersonate-User", "Retry-After",
	"User-Agent", "Warning", "X-Kubernetes-Pf-Flowschema-Uid", "X-Kubernetes-Pf-Prioritylevel-Uid",
}

// shownHeaders returns headers as text, in the order of their names. The values of other headers than shown are hidden.
func shownHeaders(headers http.Header) []string {
	lines := make([]string, 0, len(headers))
	for name, values := range headers {
		value := "(hidden)"
		if slices.Contains(shown, name) {
			value = strings.Join(values, ", ")
		}
		lines = append(lines, name+": "+value)
	}
	slices.Sort(lines)
	return lines
}

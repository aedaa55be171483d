package tokenserver

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/utils/clock"
)

// TestAuditOfNoIssuer checks that requests for unknown paths and hosts write no audit lines.
func TestAuditOfNoIssuer(t *testing.T) {
	var log bytes.Buffer
	audit := NewAudit(&log, clock.RealClock{}, func(err error) { t.Error(err) })
	ask := httptest.NewRequest(http.MethodPost, "/nobody/token", http.NoBody)
	for issuer, lines := range map[string]int{"": 0, "default": 1} {
		log.Reset()
		audit.Observe(&Request{Endpoint: endpointToken, Issuer: issuer, http: ask, Status: http.StatusNotFound})
		if got := bytes.Count(log.Bytes(), []byte("\n")); got != lines {
			t.Errorf("issuer %q: %d lines, want %d", issuer, got, lines)
		}
	}
}

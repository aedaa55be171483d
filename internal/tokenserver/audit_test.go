package tokenserver

import (
	"bytes"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"k8s.io/utils/clock"
)

// TestAuditOfNoIssuer checks that requests for unknown paths and hosts write no audit lines.
func TestAuditOfNoIssuer(t *testing.T) {
	var log bytes.Buffer
	audit := NewAudit(&log, clock.RealClock{}, func(err error) { t.Error(err) })
	ask := httptest.NewRequest(http.MethodPost, "/unknown/token", http.NoBody)
	for issuer, lines := range map[string]int{"": 0, "default": 1} {
		log.Reset()
		audit.Observe(&Request{Endpoint: endpointToken, Issuer: issuer, http: ask, Status: http.StatusNotFound})
		if got := bytes.Count(log.Bytes(), []byte("\n")); got != lines {
			t.Errorf("issuer %q: %d lines, want %d", issuer, got, lines)
		}
	}
}

// TestEveryGrantHasAnEvent checks that the audit log names the event of each supported grant_type, and of no other.
func TestEveryGrantHasAnEvent(t *testing.T) {
	if got, want := slices.Sorted(maps.Keys(grantEvents)), slices.Sorted(maps.Keys(tokenGrants)); !slices.Equal(got, want) {
		t.Errorf("the audit log has events for %q, and the token endpoint supports %q", got, want)
	}
}

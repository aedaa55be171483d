package service

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/test/framework/forge"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

const nowhere = "404 invalid_request"

// TestAttacks sends one request of each kind of attack to a replica with a real API server. The tables of all attacks
// are those of TestAttacks in internal/tokenserver.
func TestAttacks(t *testing.T) {
	h, r := newReplica(t, clock.RealClock{})
	good := h.AwaitRevision(h.Key("orders"), 1)
	h.outcomes(good, "200", r)
	access, caller := h.Refresh(r, good).Text("access_token"), h.caller("auditor", "")
	leakedKey := h.Key("leaked")
	leaked := h.AwaitRevision(leakedKey, 1)
	h.Annotate(leakedKey, v1alpha1.AnnotationRotateNow, "leaked")
	h.outcomes(h.AwaitRevision(leakedKey, 2), "200", r)

	forged := map[string]string{
		"another signature": forge.Part(good, 2, func(signature string) string { return strings.Repeat("A", len(signature)) }),
		"alg none":          forge.Part(forge.Part(good, 0, func(string) string { return forge.B64(`{"alg":"none","typ":"rt+jwt"}`) }), 2, func(string) string { return "" }),
		"an access token":   access, "a token of the cluster": caller, "leaked, and replaced": leaked, "nonsense": "nonsense",
	}
	for name, compact := range forged {
		h.Expect(h.Refresh(r, compact).Outcome()).To(gomega.Equal("400 invalid_grant"), name)
		got := h.Introspect(r, caller, compact, "refresh_token")
		h.Expect(got.Raw).To(gomega.Equal(`{"active":false}`), name)
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {good}}
	twice := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {good, good}}
	for _, row := range []struct {
		name, endpoint string
		form           url.Values
		header         []string
		want           string
	}{
		{"a parameter twice", "/token", twice, nil, "400 invalid_request"},
		{"JSON", "/token", form, []string{"Content-Type", "application/json"}, "400 invalid_request"},
		{"a client secret", "/token", form, []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("a:b"))}, "401 invalid_client"},
		{"the key set by POST", "/jwks.json", nil, nil, "405 invalid_request"},
		{"an escaped path", "/%74oken", form, nil, nowhere},
		{"a question without a caller", "/introspect", url.Values{"token": {access}}, nil, "401 "},
		{"a question by a refresh token", "/introspect", url.Values{"token": {access}}, []string{"Authorization", "Bearer " + good}, "401 invalid_token"},
	} {
		h.Expect(h.Post(r, row.endpoint, row.form, row.header...).Outcome()).To(gomega.Equal(row.want), row.name)
	}
	h.Expect(h.Refresh(r, good).Outcome()).To(gomega.Equal("200"), "afterwards")
}

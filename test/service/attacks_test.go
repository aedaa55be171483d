package service

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

const nowhere = "404 invalid_request"

func b64[T ~string | ~[]byte](raw T) string { return base64.RawURLEncoding.EncodeToString([]byte(raw)) }

// part changes one of the three parts of a token.
func part(compact string, n int, change func(string) string) string {
	parts := strings.Split(compact, ".")
	parts[n] = change(parts[n])
	return strings.Join(parts, ".")
}

// TestAttacks sends one request of each kind of attack to a replica with a real API server. The tables of all attacks
// are those of TestAttacks in internal/tokenserver.
func TestAttacks(t *testing.T) {
	h := newHarness(t, clock.RealClock{})
	h.issuer()
	h.manage()
	r := h.replica()
	good := h.reaches(h.key("orders"), 1)
	h.outcomes([]*replica{r}, good, "200")
	access, caller := h.refresh(r, good).text("access_token"), h.caller("auditor", "")
	leakedKey := h.key("leaked")
	leaked := h.reaches(leakedKey, 1)
	h.annotate(leakedKey, v1alpha1.AnnotationRotateNow, "leaked")
	h.outcomes([]*replica{r}, h.reaches(leakedKey, 2), "200")

	forged := map[string]string{
		"another signature": part(good, 2, func(signature string) string { return strings.Repeat("A", len(signature)) }),
		"alg none":          part(part(good, 0, func(string) string { return b64(`{"alg":"none","typ":"rt+jwt"}`) }), 2, func(string) string { return "" }),
		"an access token":   access, "a token of the cluster": caller, "leaked, and replaced": leaked, "nonsense": "nonsense",
	}
	for name, compact := range forged {
		h.Expect(h.refresh(r, compact).outcome()).To(gomega.Equal("400 invalid_grant"), name)
		got := h.introspect(r, caller, compact, "refresh_token")
		h.Expect(got.raw).To(gomega.Equal(`{"active":false}`), name)
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
		h.Expect(h.post(r, row.endpoint, row.form, row.header...).outcome()).To(gomega.Equal(row.want), row.name)
	}
	h.Expect(h.refresh(r, good).outcome()).To(gomega.Equal("200"), "afterwards")
}

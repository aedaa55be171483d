package service

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// sessionsAt sends a request to an endpoint for sessions, with a JSON body if there is one. more are further headers.
func (h *fixture) sessionsAt(r *operator.Replica, method, endpoint, authorization, body string, more ...string) *operator.Answer {
	h.T.Helper()
	request, err := http.NewRequestWithContext(h.Ctx, method, r.Server.URL+"/"+h.Name+endpoint, strings.NewReader(body))
	h.Expect(err).NotTo(gomega.HaveOccurred())
	request.Header.Set("Authorization", authorization)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(more); i += 2 {
		request.Header.Set(more[i], more[i+1])
	}
	return h.Do(r, request)
}

// forSessions exchanges the refresh token of a session, and returns the Authorization header for its sessions.
func (h *fixture) forSessions(r *operator.Replica, refresh string) string {
	h.T.Helper()
	got := h.Refresh(r, refresh, "resource", h.URL(), "scope", "sessions")
	h.Expect(got.Outcome()).To(gomega.Equal("200"), got.Raw)
	return "Bearer " + got.Text("access_token")
}

// listed returns the sessions of an answer by their ids.
func (h *fixture) listed(got *operator.Answer) map[string]map[string]any {
	h.T.Helper()
	h.Expect(got.Outcome()).To(gomega.Equal("200"), got.Raw)
	all, _ := got.Body["sessions"].([]any)
	byID := map[string]map[string]any{}
	for _, one := range all {
		session, _ := one.(map[string]any)
		byID[fmt.Sprint(session["id"])] = session
	}
	return byID
}

// TestASubjectManagesItsSessions checks with real replicas that a subject lists its sessions, ends others at once, also
// one that began a moment before at another replica, and reaches no session of another subject. A tenant's key that the
// policy grants the issuer as audience and the scope sessions reaches none.
func TestASubjectManagesItsSessions(t *testing.T) {
	h := newFixture(t, clock.RealClock{})
	h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Scopes: []string{"**"}}}}
		// The clients of this test keep their first tokens.
		i.Spec.Login = &v1alpha1.LoginSpec{SessionRetryGrace: &metav1.Duration{Duration: 10 * time.Minute}}
	})
	h.Manage()
	one, two := h.Replica(), h.Replica()
	log, _ := h.observed(one)
	h.serves(one, two)
	till, scanner := h.workload("till"), h.workload("scanner")
	own, other, stranger := h.signIn(one, till, "device_id", "till-1"), h.signIn(one, till, "device_id", "till-2"), h.signIn(two, scanner)
	ids := map[string]string{}
	for name, got := range map[string]*operator.Answer{"own": own, "other": other, "stranger": stranger} {
		h.Expect(got.Outcome()).To(gomega.Equal("200"), got.Raw)
		object, _ := h.says(got.Text("access_token"))["refreshkeys.dev"].(map[string]any)
		ids[name] = fmt.Sprint(object["uid"])
	}
	access := h.forSessions(one, own.Text("refresh_token"))
	h.Expect(h.says(strings.TrimPrefix(access, "Bearer "))).To(gomega.And(
		gomega.HaveKeyWithValue("aud", h.URL()), gomega.HaveKeyWithValue("scope", "sessions"), gomega.HaveKeyWithValue("sub", "system:serviceaccount:"+h.Name+":till")))

	all := h.listed(h.sessionsAt(one, http.MethodGet, "/sessions", access, ""))
	h.Expect(all).To(gomega.And(gomega.HaveLen(2), gomega.HaveKey(ids["own"]), gomega.HaveKey(ids["other"])))
	h.Expect(all[ids["own"]]).To(gomega.And(gomega.HaveKeyWithValue("current", true), gomega.HaveKeyWithValue("status", "Active"),
		gomega.HaveKeyWithValue("device", gomega.HaveKeyWithValue("id", "till-1"))))
	h.Expect(all[ids["other"]]).NotTo(gomega.HaveKey("current"))

	key := h.Key("mine", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Audience, k.Spec.Scopes = h.URL(), []string{"sessions"} })
	forged := h.Refresh(one, h.AwaitRevision(key, 1))
	h.Expect(forged.Text("scope")).To(gomega.Equal("sessions"), forged.Raw)
	for name, bearer := range map[string]string{
		"a tenant's key": forged.Text("access_token"), "the access token for its API": own.Text("access_token"), "the refresh token": own.Text("refresh_token"),
	} {
		h.Expect(h.sessionsAt(one, http.MethodGet, "/sessions", "Bearer "+bearer, "").Outcome()).To(gomega.Equal("401 invalid_token"), name)
		h.Expect(h.sessionsAt(one, http.MethodPost, "/sessions/end", "Bearer "+bearer, `{"all":true}`).Outcome()).To(gomega.Equal("401 invalid_token"), name)
	}
	h.Expect(h.Introspect(one, h.caller("auditor", ""), strings.TrimPrefix(access, "Bearer "), "").Raw).To(gomega.Equal(`{"active":false}`))

	// It begins at the second replica, and the first one answers.
	late := h.signIn(two, till)
	ended := h.sessionsAt(one, http.MethodPost, "/sessions/end", access, fmt.Sprintf(`{"ids":[%q,"unknown"]}`, ids["stranger"]))
	h.Expect(ended.Raw).To(gomega.Equal(`{"ended":0}`))
	ended = h.sessionsAt(one, http.MethodPost, "/sessions/end", access, `{"others":true}`)
	h.Expect(ended.Raw).To(gomega.Equal(`{"ended":2}`))
	h.Expect(log.last()).To(gomega.And(gomega.HaveKeyWithValue("event", "sessions-end"), gomega.HaveKeyWithValue("uid", ids["own"]),
		gomega.HaveKeyWithValue("ended", gomega.ContainElement(ids["other"]))))
	for _, r := range []*operator.Replica{one, two} {
		for _, gone := range []*operator.Answer{other, late} {
			h.Eventually(func() string { return h.Refresh(r, gone.Text("refresh_token")).Outcome() }).Should(gomega.Equal("400 invalid_grant"))
		}
		h.Expect(h.Refresh(r, own.Text("refresh_token")).Outcome()).To(gomega.Equal("200"))
		h.Expect(h.Refresh(r, stranger.Text("refresh_token")).Outcome()).To(gomega.Equal("200"))
	}
	all = h.listed(h.sessionsAt(one, http.MethodGet, "/sessions", access, ""))
	h.Expect(all[ids["other"]]).To(gomega.And(gomega.HaveKeyWithValue("status", "Revoked"), gomega.HaveKeyWithValue("revocationReason", "Logout")))
	h.Expect(h.sessionsAt(one, http.MethodPost, "/sessions/end", access, `{"all":true}`).Raw).To(gomega.Equal(`{"ended":1}`))
	for _, r := range []*operator.Replica{one, two} {
		h.Eventually(func() string { return h.sessionsAt(r, http.MethodGet, "/sessions", access, "").Outcome() }).Should(gomega.Equal("401 invalid_token"))
	}
}

// TestABoundSessionManagesSessions checks that the sessions of a client with a key are listed with a proof only.
func TestABoundSessionManagesSessions(t *testing.T) {
	h, r := newReplica(t, clock.RealClock{})
	h.serves(r)
	device := h.device()
	till := h.workload("till")
	device.learn(h.signInWith(r, till, device.proof()))
	begun := h.signInWith(r, till, device.proof())
	h.Expect(begun.Text("token_type")).To(gomega.Equal("DPoP"), begun.Raw)
	device.learn(begun)
	got := device.refresh(r, begun.Text("refresh_token"), "resource", h.URL(), "scope", "sessions")
	h.Expect(got.Text("token_type")).To(gomega.Equal("DPoP"), got.Raw)
	access := got.Text("access_token")
	sum := sha256.Sum256([]byte(access))
	proof := device.proof(func(claims map[string]any) {
		claims["htm"], claims["htu"], claims["ath"] = http.MethodGet, h.URL()+"/sessions", base64.RawURLEncoding.EncodeToString(sum[:])
	})
	h.Expect(h.sessionsAt(r, http.MethodGet, "/sessions", "Bearer "+access, "", "DPoP", proof).Outcome()).To(gomega.Equal("401 invalid_token"))
	h.Expect(h.sessionsAt(r, http.MethodGet, "/sessions", "DPoP "+access, "").Outcome()).To(gomega.Equal("401 invalid_dpop_proof"))
	h.Expect(h.listed(h.sessionsAt(r, http.MethodGet, "/sessions", "DPoP "+access, "", "DPoP", proof))).To(gomega.HaveLen(1))
	h.Expect(h.sessionsAt(r, http.MethodGet, "/sessions", "DPoP "+access, "", "DPoP", proof).Outcome()).To(gomega.Equal("401 invalid_dpop_proof"), "again")
}

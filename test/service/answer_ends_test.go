package service

import (
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/operator"
)

// checkEnds compares the ends in an answer with status and spec of the refresh key.
func (h *fixture) checkEnds(got *operator.Answer, key *v1alpha1.JWTRefreshKey, now time.Time) {
	h.T.Helper()
	h.Expect(got.Outcome()).To(gomega.Equal("200"))
	h.Expect(got.Text("refresh_token")).NotTo(gomega.BeEmpty(), "the answer carries no refresh token")
	h.Expect(h.Reload(key)).To(gomega.Succeed())
	end := key.Status.ExpiresAt.Time
	authorization := gomega.Not(gomega.HaveKey("authorization_expires_in"))
	if at := key.Spec.ExpiresAt; at != nil {
		authorization = gomega.HaveKeyWithValue("authorization_expires_in", at.Sub(now).Seconds())
		if at.Time.Before(end) {
			end = at.Time
		}
	}
	if idle := key.Spec.IdleTimeout; idle != nil && now.Add(idle.Duration).Before(end) {
		end = now.Add(idle.Duration)
	}
	h.Expect(got.Body).To(gomega.HaveKeyWithValue("refresh_token_expires_in", end.Sub(now).Seconds()), key.Name)
	h.Expect(got.Body).To(gomega.HaveKeyWithValue("refresh_token_timeout", end.Sub(now).Seconds()), key.Name)
	h.Expect(got.Body).To(authorization, key.Name)
}

// TestAnswersTellTheEnds checks that every answer to a refresh and to a login contains a refresh token and its
// earliest end. The table of all ends is that of internal/grant.
func TestAnswersTellTheEnds(t *testing.T) {
	start := time.Now().UTC().Truncate(time.Second)
	clock := clocktesting.NewFakePassiveClock(start)
	h := newFixture(t, clock)
	h.Issuer(func(i *v1alpha1.JWTIssuer) {
		i.Spec.Login = &v1alpha1.LoginSpec{SessionLifetime: &metav1.Duration{Duration: 90 * time.Hour}, SessionIdleTimeout: &metav1.Duration{Duration: 8 * time.Hour}}
	})
	h.Manage()
	one, two := h.Replica(), h.Replica()
	in := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: start.Add(d)} }
	idle := &metav1.Duration{Duration: 5 * time.Hour}
	for name, change := range map[string]func(*v1alpha1.JWTRefreshKey){
		"idle-end": func(k *v1alpha1.JWTRefreshKey) { k.Spec.IdleTimeout, k.Spec.ExpiresAt = idle, in(7*time.Hour) },
		"device":   oneTime(time.Minute),
	} {
		clock.SetTime(start)
		key := h.Key(name, change)
		held := h.AwaitRevision(key, 1)
		for i, at := range []time.Duration{time.Minute, time.Hour, 3 * time.Hour} {
			clock.SetTime(start.Add(at))
			r := []*operator.Replica{one, two}[i%2]
			got := h.Refresh(r, held)
			h.checkEnds(got, key, clock.Now())
			held = got.Text("refresh_token")
		}
		// An earlier end applies at once.
		h.Edit(key, func() { key.Spec.ExpiresAt = in(4 * time.Hour) })
		h.Eventually(func() any { return h.Refresh(one, held).Body["authorization_expires_in"] }).Should(gomega.Equal(time.Hour.Seconds()), name)
	}

	clock.SetTime(start)
	h.serves(one, two)
	got := h.signIn(one, h.workload("till"))
	session := &h.sessions()[0]
	h.checkEnds(got, session, clock.Now())
	clock.SetTime(start.Add(time.Hour))
	h.checkEnds(h.Refresh(two, got.Text("refresh_token")), session, clock.Now())
}

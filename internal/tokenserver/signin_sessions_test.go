package tokenserver_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
	"github.com/refreshkeys/refreshkeys/test/framework/sample"
)

// TestSessionsOfSignInsAreLikeAll checks that a session by a code or by a device is listed with its client and its device, is for one use, has
// the idle time and the end of the issuer, and ends by /revoke, by its subject and by an administrator.
func TestSessionsOfSignInsAreLikeAll(t *testing.T) {
	for _, c := range []struct {
		client string
		signIn func(t *testing.T, r *replica.Replica) *answer
	}{
		{"shop", func(t *testing.T, r *replica.Replica) *answer { return redeem(r, open(t, r).code(), "device_id", "d1") }},
		{"tv", func(t *testing.T, r *replica.Replica) *answer {
			device := startDevice(t, r)
			open(t, r).decides(device.shown, "allow")
			return device.poll(r, "device_id", "d1")
		}},
	} {
		begin := func() (*replica.Replica, *answer) {
			r, _ := withEverything(t)
			r.Issuer.Spec.Login.SessionIdleTimeout, r.Issuer.Spec.Login.SessionLifetime = sample.Lasting(time.Hour), sample.Lasting(2*time.Hour)
			r.PutIssuer(r.Issuer, r.Rings)
			got := c.signIn(t, r)
			if got.outcome() != "200" {
				t.Fatal(got.raw)
			}
			return r, got
		}
		refresh := func(r *replica.Replica, tokens *answer, changes ...string) *answer {
			form := url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {tokens.text("refresh_token")}}
			changed(form, changes)
			return ask(r, http.MethodPost, "/tenant/token", form)
		}
		r, first := begin()
		manage := refresh(r, first, "resource", replica.URL, "scope", oauth.ScopeSessions, "device_id", "d1")
		listed := ask(r, http.MethodGet, "/tenant/sessions", nil, "Authorization", "Bearer "+manage.text("access_token"))
		all, _ := listed.body["sessions"].([]any)
		if len(all) != 1 {
			t.Fatalf("%s: %s", c.client, listed.raw)
		}
		one, _ := all[0].(map[string]any)
		if device, _ := one["device"].(map[string]any); one["client"] != c.client || one["subject"] != "ada" || one["method"] != "Password" || one["current"] != true || device["id"] != "d1" {
			t.Errorf("%s: it is listed as %v", c.client, one)
		}
		// The operator ends a session that is idle.
		if idle := onlySession(t, r).Spec.IdleTimeout; idle == nil || idle.Duration != time.Hour {
			t.Errorf("%s: it ends after an idle time of %v", c.client, idle)
		}
		forward(r, time.Minute)
		if next := refresh(r, first); next.outcome() != "200" || next.text("refresh_token") == first.text("refresh_token") {
			t.Errorf("%s: the next token: %s", c.client, next.raw)
		}
		forward(r, time.Minute)
		if reused := refresh(r, first); reused.outcome() != "400 invalid_grant" || onlySession(t, r).Status.RevokedAt == nil {
			t.Errorf("%s: the used token: %s, %+v", c.client, reused.raw, onlySession(t, r).Status)
		}

		for name, end := range map[string]func(r *replica.Replica, tokens *answer){
			"/revoke": func(r *replica.Replica, tokens *answer) {
				ask(r, http.MethodPost, "/tenant/revoke", url.Values{"token": {tokens.text("refresh_token")}})
			},
			"its subject": func(r *replica.Replica, tokens *answer) {
				manage := refresh(r, tokens, "resource", replica.URL, "scope", oauth.ScopeSessions)
				sendTo(r, http.MethodPost, "/tenant/sessions/end", `{"all": true}`, "Content-Type", "application/json", "Authorization", "Bearer "+manage.text("access_token"))
			},
			"its end": func(r *replica.Replica, tokens *answer) {
				for range 3 {
					forward(r, 30*time.Minute)
					if *tokens = *refresh(r, tokens); tokens.outcome() != "200" {
						t.Errorf("%s: before its end: %s", c.client, tokens.raw)
					}
				}
				forward(r, 30*time.Minute)
			},
			"an administrator": func(r *replica.Replica, _ *answer) {
				r.Edit(replica.NameOf(onlySession(t, r).Name), func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true })
			},
		} {
			r, tokens := begin()
			end(r, tokens)
			if got := refresh(r, tokens); got.outcome() == "200" {
				t.Errorf("%s: after the end by %s: %s", c.client, name, got.raw)
			}
		}
	}
}

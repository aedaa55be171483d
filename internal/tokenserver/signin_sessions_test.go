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

// signIns are the ways by which Ada begins a session, by the client that is signed in to.
var signIns = map[string]func(t *testing.T, r *replica.Replica) *answer{
	"shop": func(t *testing.T, r *replica.Replica) *answer { return redeem(r, open(t, r).code(), "device_id", "d1") },
	"tv": func(t *testing.T, r *replica.Replica) *answer {
		device := startDevice(t, r)
		open(t, r).decides(device.shown, "allow")
		return device.poll(r, "device_id", "d1")
	},
}

// begunBy returns a replica with one session, which ends after two hours or an hour without a use, and its first tokens.
func begunBy(t *testing.T, signIn func(t *testing.T, r *replica.Replica) *answer) (*replica.Replica, *answer) {
	t.Helper()
	r, _ := withEverything(t)
	r.Issuer.Spec.Login.SessionIdleTimeout, r.Issuer.Spec.Login.SessionLifetime = sample.Lasting(time.Hour), sample.Lasting(2*time.Hour)
	r.PutIssuer(r.Issuer, r.Rings)
	got := signIn(t, r)
	if got.outcome() != "200" {
		t.Fatal(got.raw)
	}
	return r, got
}

func refreshed(r *replica.Replica, tokens *answer, changes ...string) *answer {
	form := url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {tokens.text("refresh_token")}}
	changed(form, changes)
	return ask(r, http.MethodPost, "/tenant/token", form)
}

// managing returns the header with an access token for the sessions of a subject.
func managing(r *replica.Replica, tokens *answer) []string {
	got := refreshed(r, tokens, "resource", replica.URL, "scope", oauth.ScopeSessions, "device_id", "d1")
	return []string{"Authorization", "Bearer " + got.text("access_token")}
}

// TestSessionsOfSignInsAreLikeAll checks that a session by a code or by a device is listed with its client and its device, is for one use, and has
// the idle time of the issuer.
func TestSessionsOfSignInsAreLikeAll(t *testing.T) {
	for client, signIn := range signIns {
		r, first := begunBy(t, signIn)
		listed := ask(r, http.MethodGet, "/tenant/sessions", nil, managing(r, first)...)
		all, _ := listed.body["sessions"].([]any)
		if len(all) != 1 {
			t.Fatalf("%s: %s", client, listed.raw)
		}
		one, _ := all[0].(map[string]any)
		device, _ := one["device"].(map[string]any)
		if one["client"] != client || one["subject"] != "ada" || one["method"] != "Password" || one["current"] != true || device["id"] != "d1" {
			t.Errorf("%s: it is listed as %v", client, one)
		}
		// The operator ends a session that is idle.
		if idle := onlySession(t, r).Spec.IdleTimeout; idle == nil || idle.Duration != time.Hour {
			t.Errorf("%s: it ends after an idle time of %v", client, idle)
		}
		forward(r, time.Minute)
		if next := refreshed(r, first); next.outcome() != "200" || next.text("refresh_token") == first.text("refresh_token") {
			t.Errorf("%s: the next token: %s", client, next.raw)
		}
		forward(r, time.Minute)
		if reused := refreshed(r, first); reused.outcome() != "400 invalid_grant" || onlySession(t, r).Status.RevokedAt == nil {
			t.Errorf("%s: the used token: %s, %+v", client, reused.raw, onlySession(t, r).Status)
		}
	}
}

// TestEndsOfSignIns checks each way by which a session by a code or by a device ends.
func TestEndsOfSignIns(t *testing.T) {
	for client, signIn := range signIns {
		for name, end := range map[string]func(r *replica.Replica, tokens *answer){
			"/revoke": func(r *replica.Replica, tokens *answer) {
				ask(r, http.MethodPost, "/tenant/revoke", url.Values{"token": {tokens.text("refresh_token")}})
			},
			"its subject": func(r *replica.Replica, tokens *answer) {
				sendTo(r, http.MethodPost, "/tenant/sessions/end", `{"all": true}`, append(managing(r, tokens), "Content-Type", "application/json")...)
			},
			"an administrator": func(r *replica.Replica, _ *answer) {
				r.Edit(replica.NameOf(onlySession(t, r).Name), func(key *v1alpha1.JWTRefreshKey) { key.Spec.Revoked = true })
			},
			"its end": func(r *replica.Replica, tokens *answer) {
				for range 3 {
					forward(r, 30*time.Minute)
					if *tokens = *refreshed(r, tokens); tokens.outcome() != "200" {
						t.Errorf("%s: before its end: %s", client, tokens.raw)
					}
				}
				forward(r, 30*time.Minute)
			},
		} {
			r, tokens := begunBy(t, signIn)
			end(r, tokens)
			if got := refreshed(r, tokens); got.outcome() != "400 invalid_grant" {
				t.Errorf("%s: after the end by %s: %s", client, name, got.raw)
			}
		}
	}
}

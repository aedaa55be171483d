package commands

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// ownSessionsOf makes the token service list a session that asks, one of another device, and one that was revoked.
func ownSessionsOf(w *harness) {
	sessionOf(900)(w)
	w.tokens.next = "the-next"
	of := func(id, client string, device oauth.SessionDevice) oauth.Session {
		return oauth.Session{
			ID: id, Subject: "jane", Client: client, Method: "Password", Audience: "https://orders.example.com", Device: device,
			StartedAt: noon.Add(-time.Hour), ExpiresAt: noon.Add(29 * day), Status: oauth.SessionActive,
		}
	}
	w.tokens.sessions = []oauth.Session{
		of("a", "kubectl-refreshkey", oauth.SessionDevice{ID: "laptop", OS: "Linux"}), of("b", "shop", oauth.SessionDevice{Browser: "Firefox 150", OS: "macOS"}),
		of("c", "", oauth.SessionDevice{}),
	}
	w.tokens.sessions[0].Current = true
	used := noon.Add(-10 * time.Minute)
	w.tokens.sessions[1].LastUsed, w.tokens.sessions[1].IPAddress = &used, "192.0.2.1"
	w.tokens.sessions[2].Status = oauth.SessionRevoked
}

func TestSessions(t *testing.T) {
	asked := func(want string) func(*testing.T, *harness) {
		return func(t *testing.T, w *harness) {
			t.Helper()
			wantStored("the-next")(t, w)
			if w.tokens.ended != want {
				t.Errorf("the request to end sessions is %q, want %q", w.tokens.ended, want)
			}
			var stored session
			if err := json.Unmarshal([]byte(w.read(defaultSession)), &stored); err != nil || stored.Access.Token != "the-last-access-token" {
				t.Errorf("the session stores the access token %+v: %v", stored.Access, err)
			}
			first := w.tokens.forms[0]
			if len(first["resource"]) != 1 || first["resource"][0] != w.tokens.URL || len(first["scope"]) != 1 || first["scope"][0] != "sessions" {
				t.Errorf("the first request is %v", first)
			}
		}
	}
	play(t, "sessions", []row{
		{name: "all", args: "sessions", with: ownSessionsOf, after: asked("")},
		{name: "in JSON", args: "sessions -o json", with: ownSessionsOf, after: asked("")},
		{name: "end one", args: "sessions end b", with: ownSessionsOf, after: asked(`{"ids":["b"]}`)},
		{name: "end others", args: "sessions end --others", with: ownSessionsOf, after: asked(`{"others":true}`)},
		{name: "end all", args: "sessions end --all", with: ownSessionsOf, after: wantStored("")},
		{name: "end the one that asks", args: "sessions end a b", with: ownSessionsOf, after: wantStored("")},
		{name: "end an unknown one", args: "sessions end b nothing", with: ownSessionsOf, code: cli.ExitNotFound, after: asked(`{"ids":["b","nothing"]}`)},
		{name: "end the one that asks and an unknown one", args: "sessions end a nothing", with: ownSessionsOf, code: cli.ExitNotFound, after: wantStored("")},
		{name: "end one twice", args: "sessions end b b", with: ownSessionsOf, after: asked(`{"ids":["b"]}`)},
		{name: "end nothing", args: "sessions end", with: ownSessionsOf, code: cli.ExitUsage},
		{name: "end two ways", args: "sessions end b --all", with: ownSessionsOf, code: cli.ExitUsage},
		{name: "no session", args: "sessions", code: cli.ExitNotFound},
		{name: "over", args: "sessions", with: all(ownSessionsOf, func(w *harness) { w.tokens.revoked = true }), code: cli.ExitRefused, after: wantStored("the-first")},
		{name: "unavailable", args: "sessions end --all", with: all(ownSessionsOf, func(w *harness) { w.tokens.unavailable = true }), code: cli.ExitError, after: wantStored("the-first")},
		{name: "an argument", args: "sessions b", code: cli.ExitUsage},
		{name: "an unknown format", args: "sessions -o picture", with: ownSessionsOf, code: cli.ExitUsage},
	})
}

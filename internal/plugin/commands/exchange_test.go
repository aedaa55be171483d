package commands

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// sessionOf returns a change of the harness that stores the session default, with an access token that is valid for some seconds.
func sessionOf(seconds int, change ...func(*session)) func(*harness) {
	return func(w *harness) {
		s := &session{
			Issuer: w.tokens.URL, TokenEndpoint: w.tokens.URL + "/token", Audience: "https://orders.example.com", CA: string(certificateOf(w.tokens.Server)),
			StartedAt: noon, RefreshToken: "the-first", Access: &accessToken{Token: "the-last-access-token", Type: "Bearer", ExpiresAt: noon.Add(time.Duration(seconds) * time.Second)},
		}
		for _, c := range change {
			c(s)
		}
		raw, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		w.write(defaultSession, string(raw))
	}
}

const defaultSession = ".config/refreshkeys/sessions/default.json"

// answersWith returns a change of the harness whose token service answers with a refresh token.
func answersWith(text string) func(*harness) { return func(w *harness) { w.tokens.next = text } }

// wantStored returns a check that the session default stores a refresh token; empty for no file.
func wantStored(want string) func(*testing.T, *harness) {
	return func(t *testing.T, w *harness) {
		t.Helper()
		var s session
		if raw := w.read(defaultSession); raw != "" {
			if err := json.Unmarshal([]byte(raw), &s); err != nil {
				t.Fatal(err)
			}
		}
		if s.RefreshToken != want {
			t.Errorf("the session stores %q, want %q", s.RefreshToken, want)
		}
	}
}

func TestExchange(t *testing.T) {
	info := func(text string) func(*harness) { return func(w *harness) { w.env[execInfo] = text } }
	wantKept := func(want string) func(*testing.T, *harness) {
		return func(t *testing.T, w *harness) {
			t.Helper()
			if got := w.read("kept"); got != want {
				t.Errorf("the file holds %q, want %q", got, want)
			}
		}
	}
	bound := func(w *harness) {
		w.hold(w.tokens.refresh(2, func(claims map[string]any) {
			claims["cnf"] = map[string]any{"refreshkeys.dev/service-account": "till"}
		}))
	}
	play(t, "exchange", []row{
		{name: "the access token", args: "exchange orders"},
		{name: "a header", args: "exchange orders --header --scope orders:read"},
		{name: "in JSON", args: "exchange orders -o json --scope orders:read"},
		{name: "in YAML", args: "exchange orders -o yaml"},
		{name: "bound to a ServiceAccount", args: "exchange orders", with: bound, after: func(t *testing.T, w *harness) {
			if got := w.tokens.forms[0]["client_assertion"]; len(got) != 1 || got[0] != "token-of-till" {
				t.Errorf("the client assertion is %v", got)
			}
		}},
		{name: "an exec credential", args: "exchange orders --exec-credential"},
		{name: "an exec credential that client-go asks for", args: "exchange orders", with: info(`{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential"}`)},
		{name: "an exec credential of an unknown version", args: "exchange orders", with: info(`{"apiVersion":"client.authentication.k8s.io/v9"}`), code: cli.ExitUsage},
		{name: "no ExecCredential", args: "exchange orders", with: info("noise"), code: cli.ExitUsage},
		{name: "as the command of its own user", args: "exchange orders --context self", with: info("{}"), code: cli.ExitError},
		{name: "refused", args: "exchange orders --scope billing:read", code: cli.ExitRefused},
		{name: "unavailable", args: "exchange orders", with: func(w *harness) { w.tokens.unavailable = true }, code: cli.ExitError},
		{name: "not the token endpoint", args: "exchange orders --token-endpoint $TOKENS/elsewhere", code: cli.ExitError},
		{name: "a certificate that is not trusted", args: "exchange orders", with: func(w *harness) { delete(w.secret.Data, v1alpha1.SecretCA) }, code: cli.ExitError},
		{name: "unreachable", args: "exchange orders --token-endpoint https://127.0.0.1:1/token", code: cli.ExitError},
		{name: "without TLS", args: "exchange orders --token-endpoint http://127.0.0.1:1/token", code: cli.ExitUsage},
		{name: "no token in the Secret", args: "exchange orders", with: func(w *harness) { w.secret.Data[v1alpha1.SecretToken] = []byte("noise") }, code: cli.ExitError},
		{name: "revoked", args: "exchange orders", with: all(changing(revoked(v1alpha1.RevokedRequested)), func(w *harness) { w.secret.Data = nil }), code: cli.ExitNotFound},
		{name: "no name", args: "exchange", code: cli.ExitUsage},
		{name: "a name and a session", args: "exchange orders --session default", code: cli.ExitUsage},
		{name: "a file, and the key is not one-time", args: "exchange orders --one-time-file $DIR/kept", code: cli.ExitUsage},
		{name: "a CA file that does not exist", args: "exchange orders --ca-file $DIR/none", code: cli.ExitUsage},
		{name: "an unknown format", args: "exchange orders -o picture", code: cli.ExitUsage},
		{name: "no such key", args: "exchange nothing", code: cli.ExitNotFound},

		{name: "one-time, without a file", args: "exchange orders", with: oneTime, code: cli.ExitUsage},
		{name: "one-time, the first", args: "exchange orders --one-time-file $DIR/kept", with: all(oneTime, answersWith("the-next")), after: wantKept("the-next")},
		{name: "one-time, the token of the file", args: "exchange orders --one-time-file $DIR/kept", with: all(oneTime, answersWith("the-next"), func(w *harness) {
			w.write("kept", w.tokens.refresh(2))
			delete(w.secret.Data, v1alpha1.SecretToken)
		}), after: wantKept("the-next")},
		{name: "one-time, refused", args: "exchange orders --one-time-file $DIR/kept", with: all(oneTime, func(w *harness) { w.tokens.revoked = true }), code: cli.ExitRefused, after: wantKept("")},
		{name: "one-time, an empty file", args: "exchange orders --one-time-file $DIR/kept", with: all(oneTime, func(w *harness) { w.write("kept", "") }), code: cli.ExitUsage},

		{name: "a session, its last access token", args: "exchange --session default", with: sessionOf(61), after: wantStored("the-first")},
		{name: "a session, its access token ends soon", args: "exchange --session default", with: all(sessionOf(60), answersWith("the-next")), after: wantStored("the-next")},
		{name: "a session, another scope", args: "exchange --session default --scope orders:read -o json", with: sessionOf(900), after: wantStored("the-first")},
		{name: "a session, a new access token", args: "exchange --session default --fresh --exec-credential", with: all(sessionOf(900), answersWith("the-next")), after: wantStored("the-next")},
		{name: "a session, refused", args: "exchange --session default --scope billing:read", with: sessionOf(900), code: cli.ExitRefused, after: wantStored("the-first")},
		{name: "a session that is over", args: "exchange --session default --fresh", with: all(sessionOf(0), func(w *harness) { w.tokens.revoked = true }), code: cli.ExitRefused},
		{name: "a session that does not exist", args: "exchange --session other", code: cli.ExitNotFound},
		{name: "a session without a token", args: "exchange --session default", with: sessionOf(0, func(s *session) { s.RefreshToken = "" }), code: cli.ExitError},
		{name: "a session with a wrong name", args: "exchange --session ../default", code: cli.ExitUsage},
		{name: "a session and a file", args: "exchange --session default --one-time-file $DIR/kept", code: cli.ExitUsage},
	})
}

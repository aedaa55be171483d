package commands

import (
	"testing"

	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

func TestLogin(t *testing.T) {
	const at = " --audience https://orders.example.com --ca-file $DIR/ca.crt"
	signing := answersWith("the-next")
	subject := func(w *harness) { w.write("subject", "a-subject-token\n") }
	password := func(w *harness) { w.write("password", "correct horse\n") }
	play(t, "login", []row{
		{name: "a ServiceAccount", args: "login --service-account shop/till --scope orders:read --device-id till-17" + at, with: signing, after: func(t *testing.T, w *harness) {
			wantStored("the-next")(t, w)
			form := w.tokens.forms[0]
			if form["subject_token"][0] != "token-of-till" || form["device_id"][0] != "till-17" || form["scope"][0] != "orders:read" {
				t.Errorf("the request is %v", form)
			}
		}},
		{name: "a ServiceAccount, by URL", args: "login --service-account shop/till --issuer-url $TOKENS" + at, with: signing},
		{name: "an id_token", args: "login --subject-token-file $DIR/subject" + at, with: all(signing, subject)},
		{name: "a JWT of stdin, without a cluster", args: "login --subject-token-file - --subject-token-type jwt --issuer-url $TOKENS --context nowhere" + at, with: all(signing, func(w *harness) { w.stdin = "a-subject-token" })},
		{name: "a password", args: "login --username jane --password-file $DIR/password" + at, with: all(signing, password), after: func(t *testing.T, w *harness) {
			if form := w.tokens.forms[0]; form["password"][0] != "correct horse" || form["grant_type"][0] != "password" {
				t.Errorf("the request is %v", form)
			}
		}},
		{name: "an earlier session ends", args: "login --service-account shop/till" + at, with: all(signing, sessionOf(900)), after: func(t *testing.T, w *harness) {
			if last := w.tokens.forms[len(w.tokens.forms)-1]; len(last["token"]) != 1 || last["token"][0] != "the-first" {
				t.Errorf("the last request is %v", last)
			}
		}},
		{name: "an earlier session that cannot end", args: "login --service-account shop/till" + at, with: all(signing, sessionOf(900, func(s *session) { s.Issuer = "https://127.0.0.1:1" })), after: wantStored("the-next")},
		{name: "refused", args: "login --service-account shop/till --audience https://orders.example.org --ca-file $DIR/ca.crt", with: signing, code: cli.ExitRefused, after: wantStored("")},
		{name: "no refresh token", args: "login --service-account shop/till" + at, code: cli.ExitError, after: wantStored("")},
		{name: "no terminal", args: "login --username jane" + at, code: cli.ExitUsage},
		{name: "no audience", args: "login --service-account shop/till", code: cli.ExitUsage},
		{name: "two sign in", args: "login --service-account shop/till --username jane" + at, code: cli.ExitUsage},
		{name: "without TLS", args: "login --username jane --password-file $DIR/password --issuer-url http://127.0.0.1:1 --audience a", with: password, code: cli.ExitUsage},
		{name: "no namespace", args: "login --service-account till" + at, code: cli.ExitUsage},
		{name: "an unknown type", args: "login --subject-token-file $DIR/subject --subject-token-type saml" + at, with: subject, code: cli.ExitUsage},
		{name: "no subject file", args: "login --subject-token-file $DIR/none" + at, code: cli.ExitUsage},
		{name: "no password file", args: "login --username jane --password-file $DIR/none" + at, code: cli.ExitUsage},
		{name: "no CA file", args: "login --service-account shop/till --audience a --ca-file $DIR/none", code: cli.ExitUsage},
		{name: "a wrong session", args: "login --service-account shop/till --session -x" + at, code: cli.ExitUsage},
		{name: "no such issuer", args: "login --service-account shop/till --issuer nothing" + at, code: cli.ExitNotFound},
		{name: "no such account", args: "login --service-account shop/nothing" + at, code: cli.ExitNotFound},
		{name: "no rights", args: "login --service-account shop/till --as guest" + at, code: cli.ExitError},
	})
}

func TestLogout(t *testing.T) {
	away := sessionOf(900, func(s *session) { s.Issuer = "https://127.0.0.1:1" })
	play(t, "logout", []row{
		{name: "the default", args: "logout", with: sessionOf(900), after: wantStored("")},
		{name: "with a CA file", args: "logout default --ca-file $DIR/ca.crt", with: sessionOf(900, func(s *session) { s.CA = "" }), after: wantStored("")},
		{name: "no CA", args: "logout", with: sessionOf(900, func(s *session) { s.CA = "" }), code: cli.ExitError, after: wantStored("the-first")},
		{name: "a CA file that does not exist", args: "logout --ca-file $DIR/none --forget", with: sessionOf(900), code: cli.ExitUsage, after: wantStored("the-first")},
		{name: "unavailable", args: "logout", with: away, code: cli.ExitError, after: wantStored("the-first")},
		{name: "forgotten", args: "logout --forget", with: away, after: wantStored("")},
		{name: "no session", args: "logout", code: cli.ExitNotFound},
		{name: "a wrong name", args: "logout ../default", code: cli.ExitUsage},
		{name: "two", args: "logout one two", code: cli.ExitUsage},
	})
}

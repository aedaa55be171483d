package commands

import (
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// tokenIn writes a token of the harness to $DIR/token.
func tokenIn(text func(*harness) string) func(*harness) {
	return func(w *harness) { w.write("token", text(w)+"\n") }
}

func TestVerify(t *testing.T) {
	type key = v1alpha1.JWTRefreshKey
	refresh := func(revision int64) func(*harness) {
		return tokenIn(func(w *harness) string { return w.tokens.refresh(revision) })
	}
	access := func(revision int64) func(*harness) {
		return tokenIn(func(w *harness) string { return w.tokens.access(t, revision) })
	}
	recorded := func(w *harness) { w.key.Status.Previous[0].TokenHash = token.Hash(w.tokens.refresh(1)) }
	play(t, "verify", []row{
		{name: "a refresh token", args: "verify @$DIR/token", with: refresh(2)},
		{name: "a refresh token of stdin", args: "verify -", with: func(w *harness) { w.stdin = w.tokens.refresh(2) }},
		{name: "a refresh token, in YAML", args: "verify @$DIR/token -o yaml", with: refresh(2)},
		{name: "an access token", args: "verify @$DIR/token --ca-file $DIR/ca.crt", with: access(2)},
		{name: "an access token, in JSON", args: "verify @$DIR/token --ca-file $DIR/ca.crt -o json", with: access(1)},
		{name: "an access token, the published keys are unavailable", args: "verify @$DIR/token --ca-file $DIR/ca.crt",
			with: all(access(2), func(w *harness) { w.tokens.unavailable = true }), code: cli.ExitUnverified},
		{name: "superseded", args: "verify @$DIR/token", with: all(refresh(1), recorded)},
		{name: "retired", args: "verify @$DIR/token", with: all(refresh(1), changing(func(k *key) { k.Status.Previous = nil })), code: cli.ExitRefused},
		{name: "below the first revision", args: "verify @$DIR/token", with: all(refresh(1), recorded, changing(func(k *key) { k.Status.FirstRevision = 2 })), code: cli.ExitRefused},
		{name: "an access token below the first revision", args: "verify @$DIR/token --ca-file $DIR/ca.crt",
			with: all(access(1), changing(func(k *key) { k.Status.FirstRevision = 2 })), code: cli.ExitRefused},
		{name: "an access token of no revision on record", args: "verify @$DIR/token --ca-file $DIR/ca.crt",
			with: all(access(2), changing(func(k *key) { k.Status.Revision = 1 })), code: cli.ExitRefused},
		{name: "used once before", args: "verify @$DIR/token", with: all(refresh(1), oneTime), code: cli.ExitRefused},
		{name: "not recorded yet", args: "verify @$DIR/token", with: all(refresh(1), changing(func(k *key) { k.Status = v1alpha1.JWTRefreshKeyStatus{} })), code: cli.ExitUnverified},
		{name: "expired", args: "verify @$DIR/token", with: func(w *harness) {
			w.hold(w.tokens.refresh(2, func(claims map[string]any) { claims["exp"] = noon.Add(-time.Hour).Unix() }))
			w.write("token", string(w.secret.Data[v1alpha1.SecretToken]))
		}, code: cli.ExitRefused},
		{name: "revoked", args: "verify @$DIR/token", with: all(refresh(2), changing(revoked(v1alpha1.RevokedRequested))), code: cli.ExitRefused},
		{name: "an access token of a revoked key", args: "verify @$DIR/token --ca-file $DIR/ca.crt", with: all(access(2), changing(revoked(v1alpha1.RevokedRequested))), code: cli.ExitRefused},
		{name: "the key was deleted", args: "verify @$DIR/token", with: all(refresh(2), changing(func(k *key) { k.Name = "other" })), code: cli.ExitRefused},
		{name: "the key was created again", args: "verify @$DIR/token", with: all(refresh(2), changing(func(k *key) { k.UID = "other" })), code: cli.ExitRefused},
		{name: "the policy denies", args: "verify @$DIR/token", with: all(refresh(2), changing(func(k *key) { stalled(k, v1alpha1.ReasonPolicyDenied) })), code: cli.ExitRefused},
		{name: "no issuer has the URL", args: "verify @$DIR/token", with: all(refresh(2), func(w *harness) { w.issuer.Spec.URL = "https://tokens.example.com" }), code: cli.ExitRefused},
		{name: "the signing key is withdrawn", args: "verify @$DIR/token", with: all(refresh(2), func(w *harness) { w.issuer.Status.Keys = nil }), code: cli.ExitRefused},
		{name: "bound", args: "verify @$DIR/token", with: func(w *harness) {
			w.hold(w.tokens.refresh(2, func(claims map[string]any) {
				claims["cnf"] = map[string]any{"jkt": "thumb", "refreshkeys.dev/service-account": "till"}
			}))
			w.write("token", string(w.secret.Data[v1alpha1.SecretToken]))
		}},
		{name: "no token", args: "verify noise", code: cli.ExitRefused},
		{name: "three parts that are no base64url", args: "verify a.b.c", code: cli.ExitRefused},
		{name: "not the token of a key", args: "verify e30.e30.e30 -o json", code: cli.ExitRefused},
		{name: "no rights", args: "verify @$DIR/token --as guest", with: refresh(2), code: cli.ExitUnverified},
		{name: "no file", args: "verify @$DIR/none", code: cli.ExitError},
		{name: "an empty stdin", args: "verify -", code: cli.ExitError},
		{name: "a large file", args: "verify -", with: func(w *harness) { w.stdin = string(make([]byte, cli.MaxSecret+1)) }, code: cli.ExitError},
		{name: "a CA file that does not exist", args: "verify @$DIR/token --ca-file $DIR/none", with: access(2), code: cli.ExitUnverified},
		{name: "an unknown format", args: "verify @$DIR/token -o name", code: cli.ExitUsage},
		{name: "no argument", args: "verify", code: cli.ExitUsage},
		{name: "two arguments", args: "verify one two", code: cli.ExitUsage},
	})
}

func TestToken(t *testing.T) {
	play(t, "token", []row{
		{name: "as text", args: "token orders"},
		{name: "in JSON, with its text", args: "token orders -o json --show-token"},
		{name: "with its text", args: "token orders --show-token"},
		{name: "several, one of which has no Secret", args: "token orders fresh", with: several, code: cli.ExitNotFound},
		{name: "the texts of several", args: "token orders fresh --show-token", with: several, code: cli.ExitUsage},
		{name: "a Secret with another text", args: "token orders", with: func(w *harness) { w.secret.Data[v1alpha1.SecretToken] = []byte("noise") }, code: cli.ExitRefused},
		{name: "no Secret yet", args: "token orders", with: func(w *harness) { w.secret.Name = "other" }, code: cli.ExitNotFound},
		{name: "an empty Secret", args: "token orders", with: func(w *harness) { w.secret.Data = nil }, code: cli.ExitNotFound},
		{name: "the one-time token was used", args: "token orders", with: all(oneTime, func(w *harness) { w.secret.Data = nil }), code: cli.ExitNotFound},
		{name: "a Secret of another type", args: "token orders", with: func(w *harness) { w.secret.Type = "kubernetes.io/tls" }, code: cli.ExitError},
		{name: "no such key", args: "token nothing", code: cli.ExitNotFound},
		{name: "no rights", args: "token orders --as guest", code: cli.ExitError},
		{name: "an unknown format", args: "token orders -o name", code: cli.ExitUsage},
	})
}

package tokenserver_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// presentReplays presents, once each, tokens that were good and are no longer.
func (s *attackHarness) presentReplays(t *testing.T) {
	of := map[string]string{}
	for _, name := range []string{"revoked", "leaked", "dead", "logged-out"} {
		of[name] = s.secret(s.Issue(name))
	}
	of["spent"] = s.secret(s.Issue("spent", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse, RetryGrace: &metav1.Duration{}}
	}))
	of["bound"] = s.secret(s.Issue("bound", func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.Binding = &v1alpha1.BindingSpec{JWKThumbprint: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
	}))
	if got := s.send(t, s.form("/revoke", "token", of["logged-out"])); got.outcome() != "200" {
		t.Fatalf("the logout gives %s", got.outcome())
	}
	s.Edit(replica.NameOf("revoked"), func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true })
	after := s.secret(s.RotateNow(replica.NameOf("leaked")))
	s.Delete(replica.NameOf("dead"))
	again := s.secret(s.Issue("dead"))
	successor := s.secret(s.send(t, s.exchange(of["spent"])).text("refresh_token"))
	if successor == "" {
		t.Fatal("the one-time token has no successor")
	}
	// The clocks of replicas may differ by some seconds, so the grace of a used token is over only then.
	s.Clock.SetTime(s.Clock.Now().Add(10 * time.Second))
	rows := []presented{
		refused("of a revoked key", of["revoked"]),
		refused("of a key that was logged out", of["logged-out"]),
		refused("leaked, and replaced", of["leaked"]),
		{"what replaced it", after, "200", true},
		refused("of a key that was deleted and made again", of["dead"]),
		{"of the key that was made again", again, "200", true},
		// A stolen bound token is useless without the proof (RFC 9449 §5).
		{"stolen, and bound", of["bound"], "400 invalid_dpop_proof", true},
		// One of the two holders of a used token is a thief, and the service cannot tell which (RFC 9700 §4.14.2).
		// The line ends, and with it the successor.
		refused("used before", of["spent"]),
		refused("the successor of one that was used again", successor),
	}
	t.Run("replays", func(t *testing.T) { s.presentAll(t, rows) })
}

// presentElsewhere presents good tokens at other issuers and endpoints than their own.
func (s *attackHarness) presentElsewhere(t *testing.T) {
	other := &v1alpha1.JWTIssuer{ObjectMeta: metav1.ObjectMeta{Name: s.name + "-b"}, Spec: v1alpha1.JWTIssuerSpec{URL: s.url() + "-b"}}
	rings := s.NextRings(s.NextRings(nil, replica.Start.Add(-2*time.Hour)), replica.Start.Add(-time.Hour))
	s.PutIssuer(other, rings)
	foreign := s.secret(s.IssueFrom(other, rings, "elsewhere"))
	at := func(r request) request {
		r.target = strings.Replace(r.target, s.name, other.Name, 1)
		return r
	}
	if got := s.send(t, at(s.exchange(foreign))); got.outcome() != "200" {
		t.Fatalf("the other issuer's token gets %s", got.outcome())
	}
	access := s.secret(s.send(t, s.exchange(s.good)).text("access_token"))
	account := s.secret(s.Account("orders-api", "https://kubernetes.default.svc"))
	rows := []presented{
		{name: "another issuer's token", compact: foreign, want: malformed},
		refused("the caller's own token", s.caller),
		refused("a token of the cluster", account),
		{name: "an access token of another issuer", want: malformed, compact: s.send(t, at(s.exchange(foreign))).text("access_token")},
	}
	t.Run("tokens of elsewhere", func(t *testing.T) { s.presentAll(t, rows) })
	asking := func(bearer string) request {
		return s.form("/introspect", "token", access).with("Authorization", "Bearer "+bearer)
	}
	const unknown = "401 invalid_token"
	crossed := []attack{
		{"an access token exchanged", s.exchange(access), "400 invalid_grant", nil},
		{"an access token under another name", s.form("/token", "grant_type", "refresh_token", "access_token", access), malformed, nil},
		{"our token at another issuer", at(s.exchange(s.good)), malformed, nil},
		{"our token given up at another issuer", at(s.form("/revoke", "token", s.good)), malformed, nil},
		{"a caller of another issuer", at(s.ask(access)), unknown, nil},
		{"a refresh token as bearer", asking(s.good), unknown, nil},
		{"an access token as bearer", asking(access), unknown, nil},
		{"a token of the cluster that is for the cluster", asking(account), unknown, nil},
		{"a token of the cluster, its payload changed", asking(forge.Part(s.caller, 1, func(string) string { return forge.B64(`{"sub":"system:admin"}`) })), unknown, nil},
	}
	t.Run("elsewhere", func(t *testing.T) { s.sendAll(t, crossed) })
	s.sendWithoutKeys(t, other, foreign, at)
}

// sendWithoutKeys checks that a service that cannot read the signing keys neither refuses a token nor claims to
// have revoked one: a client would discard it.
func (s *attackHarness) sendWithoutKeys(t *testing.T, issuer *v1alpha1.JWTIssuer, good string, at func(request) request) {
	caller := s.secret(s.Account("orders-api", issuer.Spec.URL))
	s.PutRings(issuer.Name, nil)
	const unknowable = "503 temporarily_unavailable"
	get := func(endpoint string) request { return at(request{method: "GET", target: s.at(endpoint)}) }
	asking := s.form("/introspect", "token", good).with("Authorization", "Bearer "+caller)
	rows := []attack{
		{"a good token without keys", at(s.exchange(good)), unknowable, nil},
		{"a malformed token without keys", at(s.exchange("no.to.ken")), unknowable, nil},
		{"a token of another issuer, for which no key is needed", at(s.exchange(s.good)), malformed, nil},
		{"a revocation without keys", at(s.form("/revoke", "token", good)), unknowable, nil},
		{"a question without keys", at(asking), unknowable, nil},
		{"the key set without keys", get("/jwks.json"), unknowable, nil},
		{"the metadata without keys", get("/.well-known/openid-configuration"), unknowable, nil},
	}
	t.Run("without keys", func(t *testing.T) { s.sendAll(t, rows) })
}

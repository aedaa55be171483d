package lifecycle

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

const account = "system:serviceaccount:shop:orders"

// session returns a session of a login an hour ago.
func session() *situation {
	s := settled()
	s.mode(v1alpha1.RotationOneTimeUse)
	s.Key.Labels = map[string]string{v1alpha1.LabelSession: string(v1alpha1.LoginServiceAccount)}
	s.Key.Spec.Secret.Mode, s.Secret = v1alpha1.SecretNone, Secret{}
	s.Key.Spec.Subject, s.Held.Terms.Subject = account, account
	s.Key.Status.Session = &v1alpha1.SessionStatus{Subject: account, Method: v1alpha1.LoginServiceAccount, StartedAt: metav1.Time{Time: t0}}
	return s
}

// beginning returns the same before its first token is recorded.
func beginning() *situation {
	s := session()
	s.Key.Status = v1alpha1.JWTRefreshKeyStatus{}
	s.Held, s.Issuer.KnowsHeldKey = nil, false
	return s
}

func overSession(reason, next string) outcome {
	return outcome{Check: "session is over", Verdict: "stalled " + reason, Next: next}
}

func discards(check string) outcome { return outcome{Check: check, Discard: true} }

var sessionCases = []decideCase{
	{name: "session: at rest", from: session, want: atRest("720h")},
	{name: "session: not begun, it is left to the token service", from: beginning, at: hour / 2,
		want: outcome{Check: "session has not begun", Ignore: true, Next: "1h"}},
	{name: "session: not begun within an hour, it goes", from: beginning, want: discards("session has not begun")},
	{name: "session: a label alone makes none of a key that has a Secret", from: unissued, given: func(s *situation) {
		s.Key.Labels = map[string]string{v1alpha1.LabelSession: "OIDC"}
	}, want: issuesFirst("revision 1, 1h to 721h")},
	{name: "session: nothing is issued for rotate", from: session, given: func(s *situation) { s.rotate("v1") }, want: atRest("720h")},
	{name: "session: rotate-now ends it", from: session, given: func(s *situation) { s.rotateNow("v1") }, says: "sign in again",
		want: revokes(v1alpha1.RevokedRequested, "").but(func(o *outcome) { o.Check = "session is over" })},
	{name: "session: revoked", from: session, given: func(s *situation) { s.Key.Spec.Revoked = true },
		want: revokes(v1alpha1.RevokedRequested, "").but(func(o *outcome) { o.Check, o.Next = "session is over", "25h" })},
	{name: "session: revoked, it stays for a day", from: session, given: func(s *situation) { s.revoke(v1alpha1.RevokedRequested) }, want: overSession("Revoked", "24h30m")},
	{name: "session: revoked, and no more: nothing brings it back", from: session, given: func(s *situation) {
		s.revoke(v1alpha1.RevokedRequested)
		s.Key.Spec.Revoked = false
	}, says: "sign in again", want: overSession("Revoked", "24h30m")},
	{name: "session: signed out, rotate does not bring it back", from: session, given: func(s *situation) {
		s.revoke(v1alpha1.RevokedLogout)
		s.rotate("v1")
	}, want: overSession("Revoked", "24h30m")},
	{name: "session: signed out, it goes after a day", from: session, at: 24*hour + hour/2, given: func(s *situation) { s.revoke(v1alpha1.RevokedLogout) },
		want: discards("session is over")},
	{name: "session: revoked by spec, it goes after a day", from: session, at: 24*hour + hour/2, given: func(s *situation) { s.revoke(v1alpha1.RevokedRequested) },
		want: discards("session is over")},
	{name: "session: at its end", from: session, at: 720 * hour, says: "sign in again", want: overSession("Expired", "744h")},
	{name: "session: a day after its end it goes", from: session, at: 744 * hour, want: discards("session is over")},
	{name: "session: the first of its ends counts", from: session, at: 50 * hour, given: func(s *situation) { s.end(26 * hour) }, want: discards("session is over")},
	{name: "session: its signing key withdrawn", from: session, given: func(s *situation) { s.Issuer.KnowsHeldKey = false },
		want: revokes(v1alpha1.RevokedKeyWithdrawn, "").but(func(o *outcome) { o.Check = "session has lost its token" })},
	{name: "session: a line that cannot be trusted", from: session, given: func(s *situation) { s.Distrust, s.Held = "edited", nil },
		want: revokes(v1alpha1.RevokedKeyWithdrawn, "").but(func(o *outcome) { o.Check = "session has lost its token" })},
	{name: "session: idle", from: session, at: 2 * hour, given: func(s *situation) {
		s.Key.Spec.IdleTimeout = duration(hour)
		s.Key.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, LastTransitionTime: metav1.Time{Time: t0}}}
	}, says: "sign in again", want: revokes(v1alpha1.RevokedIdleTimeout, "").but(func(o *outcome) { o.Check = "key is idle" })},
	{name: "session: of another subject than signed in", from: session, given: func(s *situation) { s.Key.Spec.Subject = "system:serviceaccount:shop:other" },
		says: "spec.subject is not the subject that signed in", want: outcome{Check: "spec is invalid", Verdict: "stalled InvalidSpec", Next: "720h"}},
	{name: "session: turned into a key with overlap", from: session, given: func(s *situation) { s.mode(v1alpha1.RotationScheduled) },
		says: "a session has rotation.mode OneTimeUse", want: outcome{Check: "spec is invalid", Verdict: "stalled InvalidSpec", Next: "720h"}},
	{name: "session: claimed for a ServiceAccount of another namespace", from: session, given: func(s *situation) {
		s.Key.Spec.Subject = "system:serviceaccount:bank:orders"
		s.Key.Status.Session.Subject = s.Key.Spec.Subject
	}, says: "is never granted", want: outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied", Next: "720h"}},
	{name: "session: what the policy does not grant", from: session, given: func(s *situation) {
		s.grant(v1alpha1.PolicyRule{Audiences: []string{"https://none"}})
	}, want: outcome{Check: "policy does not grant", Verdict: "stalled PolicyDenied", Next: "720h"}},
}

func TestProvenSubject(t *testing.T) {
	const sessions = "people"
	for _, c := range []struct {
		name, namespace, subject string
		method                   v1alpha1.LoginMethod
		want                     bool
	}{
		{"a ServiceAccount of the key's namespace", "shop", "system:serviceaccount:shop:till", v1alpha1.LoginServiceAccount, true},
		{"of another namespace", "shop", "system:serviceaccount:bank:till", v1alpha1.LoginServiceAccount, false},
		{"of a namespace whose name begins alike", "shop", "system:serviceaccount:shop-2:till", v1alpha1.LoginServiceAccount, false},
		{"without a name", "shop", "system:serviceaccount:shop:", v1alpha1.LoginServiceAccount, false},
		{"with more than a name", "shop", "system:serviceaccount:shop:till:x", v1alpha1.LoginServiceAccount, false},
		{"another subject of the cluster", "shop", "system:masters", v1alpha1.LoginServiceAccount, false},
		{"a person, said to be a ServiceAccount", "shop", "jane", v1alpha1.LoginServiceAccount, false},
		{"a person where people have their sessions", sessions, "jane", v1alpha1.LoginOIDC, true},
		{"a person elsewhere", "shop", "jane", v1alpha1.LoginOIDC, false},
		{"by a password elsewhere", "shop", "jane", v1alpha1.LoginPassword, false},
		{"by no method elsewhere", "shop", "jane", "", false},
		{"a ServiceAccount, said to be a person", sessions, "system:serviceaccount:people:till", v1alpha1.LoginOIDC, false},
		{"a key, said to be a person", sessions, "refreshkey:shop:orders", v1alpha1.LoginPassword, false},
	} {
		key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace}}
		key.Status.Session = &v1alpha1.SessionStatus{Subject: c.subject, Method: c.method}
		want := ""
		if c.want {
			want = c.subject
		}
		if got := ProvenSubject(key, sessions); got != want {
			t.Errorf("%s: %q is proven, want %q", c.name, got, want)
		}
	}
	if got := ProvenSubject(&v1alpha1.JWTRefreshKey{}, ""); got != "" {
		t.Errorf("without a login %q is proven", got)
	}
}

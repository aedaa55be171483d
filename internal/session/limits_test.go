package session_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// TestLoginsOfOneSubject checks that a subject with too many logins must wait, and that others need not.
func TestLoginsOfOneSubject(t *testing.T) {
	r := replica.New(t)
	shown, another := r.Account("till", replica.URL), r.Account("scanner", replica.URL)
	logins := 0
	for ; logins < 100; logins++ {
		if _, outcome := r.SignIn(shown); outcome != ok {
			expect(t, outcome, slowDown, "too many logins")
			break
		}
	}
	if logins != 60 {
		t.Errorf("%d logins at once", logins)
	}
	signIn := func(subjectToken string) string { _, outcome := r.SignIn(subjectToken); return outcome }
	expect(t, signIn(another), ok, "another subject")
	forward(r, time.Second)
	expect(t, signIn(shown), ok, "a second later")
	expect(t, signIn(shown), slowDown, "once more")
}

// TestSessionsHaveTheirNumber checks that a login ends the sessions of its subject above the limit, unused ones first.
func TestSessionsHaveTheirNumber(t *testing.T) {
	r := replica.New(t, login(func(l *v1alpha1.LoginSpec) { l.SessionsPerSubject, l.SessionRetryGrace = 3, &metav1.Duration{} }))
	shown := r.Account("till", replica.URL)
	answer, _ := r.SignIn(shown)
	kept := answer.RefreshToken
	for range 6 {
		forward(r, time.Second)
		answer, outcome := r.Refresh(kept)
		expect(t, outcome, ok, "the one that is used stays")
		kept = answer.RefreshToken
		_, outcome = r.SignIn(shown)
		expect(t, outcome, ok, "another login")
		if n := len(sessions(r)); n > 3 {
			t.Errorf("there are %d sessions", n)
		}
	}
}

// TestALoginDeletesSessionsOnly checks that a login deletes only sessions of its subject, since users with the
// right to edit keys can set the labels on others.
func TestALoginDeletesSessionsOnly(t *testing.T) {
	r := replica.New(t, login(func(l *v1alpha1.LoginSpec) { l.SessionsPerSubject = 1 }))
	scanner, _ := r.SignIn(r.Account("scanner", replica.URL))
	other := sessions(r)[0]
	shown := r.Account("till", replica.URL)
	_, outcome := r.SignIn(shown)
	expect(t, outcome, ok, "the first login")
	var label string
	for _, one := range sessions(r) {
		if one.UID != other.UID {
			label = one.Labels[v1alpha1.LabelSessionOf]
		}
	}
	labelled := func(k *v1alpha1.JWTRefreshKey) { k.Labels = map[string]string{v1alpha1.LabelSessionOf: label} }
	r.Edit(replica.NameOf(other.Name), func(k *v1alpha1.JWTRefreshKey) { k.Labels[v1alpha1.LabelSessionOf] = label })
	held := r.Issue("orders", labelled)
	r.Put(&v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: replica.Name, Name: "denied", Labels: map[string]string{v1alpha1.LabelSessionOf: label}}})

	_, outcome = r.SignIn(shown)
	expect(t, outcome, ok, "the second login")
	if n := len(sessions(r)); n != 2 {
		t.Errorf("there are %d sessions, want one of each", n)
	}
	for what, compact := range map[string]string{"the other session": scanner.RefreshToken, "the refresh key": held} {
		_, outcome := r.Refresh(compact)
		expect(t, outcome, ok, what)
	}
	if r.Stored(replica.NameOf("denied")) == nil {
		t.Error("a refresh key without a token is deleted")
	}
}

// TestASessionThatDoesNotRemain checks what ends a session, or keeps it although it is not exchanged now.
func TestASessionThatDoesNotRemain(t *testing.T) {
	till := replica.NameOf("till")
	edit := func(change func(*v1alpha1.JWTRefreshKey)) func(*replica.Replica) {
		return func(r *replica.Replica) { r.Edit(replica.NameOf(sessions(r)[0].Name), change) }
	}
	for name, c := range map[string]struct {
		change func(*replica.Replica)
		want   string
	}{
		"nothing":                   {func(*replica.Replica) {}, ok},
		"its account is deleted":    {func(r *replica.Replica) { r.DeleteAccount(till) }, invalidGrant},
		"its account is made again": {func(r *replica.Replica) { r.PutAccount(till) }, invalidGrant},
		"no API server":             {func(r *replica.Replica) { r.Away(true) }, unavailable},
		"another subject":           {edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Subject = "system:serviceaccount:tenant:other" }), unauthorized},
		"another subject on record": {edit(func(k *v1alpha1.JWTRefreshKey) { k.Status.Session.Subject = "jane" }), unauthorized},
		"another method on record":  {edit(func(k *v1alpha1.JWTRefreshKey) { k.Status.Session.Method = v1alpha1.LoginOIDC }), unauthorized},
		"another mode":              {edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Rotation.Mode = v1alpha1.RotationScheduled }), unauthorized},
		"another end":               {edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.ExpiresAt = nil }), ok},
		"an end after the issuer's": {func(r *replica.Replica) {
			edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.ExpiresAt = nil })(r)
			r.Issuer.Spec.Login.SessionLifetime = &metav1.Duration{Duration: time.Minute}
			r.PutIssuer(r.Issuer, r.Rings)
			forward(r, time.Minute)
		}, unauthorized},
		"revoked": {edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true }), invalidGrant},
		"deleted": {func(r *replica.Replica) { r.Delete(replica.NameOf(sessions(r)[0].Name)) }, invalidGrant},
	} {
		t.Run(name, func(t *testing.T) {
			r := replica.New(t, login(func(*v1alpha1.LoginSpec) {}))
			answer, outcome := r.SignIn(r.Account("till", replica.URL))
			expect(t, outcome, ok, "the login")
			c.change(r)
			_, outcome = r.Refresh(answer.RefreshToken)
			expect(t, outcome, c.want, name)
		})
	}
}

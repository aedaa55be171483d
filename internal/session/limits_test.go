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

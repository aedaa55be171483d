package session_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// TestClaimsOfPeopleWhoWereRemoved checks that a device gets nothing if the user or the provider was removed after the decision.
func TestClaimsOfPeopleWhoWereRemoved(t *testing.T) {
	for name, change := range map[string]func(*authorize.SignedIn){
		"a user": func(who *authorize.SignedIn) { who.Subject = "bob" },
		"a provider": func(who *authorize.SignedIn) {
			who.Method, who.Provider = v1alpha1.LoginOIDC, "https://idp.example.com"
		},
	} {
		r := people(t)
		logins, issuer := r.Grants.Logins(), r.Found()
		approval := &authorize.Approval{Client: "tv", Audience: replica.Audience, SignedIn: ada(r)}
		change(&approval.SignedIn)
		user := authorize.UserCode{Prefix: "TV", Random: "WDJBMJHT", MAC: "XQRK"}
		if err := logins.RecordDecision(t.Context(), r.Registry, issuer, user, approval, "sealed"); err != nil {
			t.Fatal(err)
		}
		at := types.NamespacedName{Namespace: replica.Name, Name: user.SessionName(issuer.UID)}
		decision, err := r.SessionNow(t.Context(), at)
		if err != nil || decision == nil {
			t.Fatalf("%s: the decision: %v, %v", name, decision, err)
		}
		before := r.Counts().Writes
		claim := &session.Claim{Code: &authorize.DeviceCode{Client: "tv", Namespace: replica.Name, UserCode: user}, Approval: approval, Decision: decision}
		if _, err := logins.Claim(t.Context(), r.Registry, issuer, claim, &session.Terms{}); !is(err, oauth.UnauthorizedClient) {
			t.Errorf("%s: %v", name, err)
		}
		if writes := r.Counts().Writes - before; writes != 0 || r.Stored(at).Status.Revision != 0 {
			t.Errorf("%s: the claim writes", name)
		}
	}
}

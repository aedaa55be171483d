package grant_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// TestLogout checks which tokens end their line at the revocation endpoint (RFC 7009 §2.2).
func TestLogout(t *testing.T) {
	till := replica.NameOf("till")
	for name, c := range map[string]struct {
		// token returns the token to revoke.
		token   func(r *replica.Replica, held string) string
		outcome string
		reason  v1alpha1.RevocationReason
	}{
		"the current token":    {func(_ *replica.Replica, held string) string { return held }, ok, v1alpha1.RevokedLogout},
		"a superseded token":   {func(r *replica.Replica, held string) string { r.Next(till); return held }, ok, v1alpha1.RevokedLogout},
		"a replaced token":     {func(r *replica.Replica, held string) string { r.RotateNow(till); return held }, ok, ""},
		"nonsense":             {func(*replica.Replica, string) string { return "nonsense" }, ok, ""},
		"nothing":              {func(*replica.Replica, string) string { return "" }, string(oauth.InvalidRequest), ""},
		"an access token":      {func(r *replica.Replica, held string) string { a, _ := r.Refresh(held); return a.AccessToken }, string(oauth.UnsupportedTokenType), ""},
		"with no API server":   {func(r *replica.Replica, held string) string { r.Away(true); return held }, unavailable, ""},
		"with no signing keys": {func(r *replica.Replica, held string) string { r.PutRings(replica.Name, nil); return held }, unavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := replica.New(t)
			held := r.Issue("till")
			if got := r.LogOut(c.token(r, held)); got != c.outcome {
				t.Errorf("%s, want %s", got, c.outcome)
			}
			if got := r.Stored(till).Status.RevocationReason; got != c.reason {
				t.Errorf("the line is revoked for %q, want %q", got, c.reason)
			}
			r.Away(false)
			if c.reason != "" {
				expect(t, r, held, invalidGrant, "after the logout")
			}
		})
	}
}

// TestALogoutWithAnAssertion checks that an assertion that is sent must be valid.
func TestALogoutWithAnAssertion(t *testing.T) {
	r := replica.New(t)
	held := r.Issue("till")
	if got := replica.Outcome(r.Grants.Revoke(t.Context(), r.Found(), held, "x.y.z", newOutcome())); got != string(oauth.InvalidClient) {
		t.Errorf("a bad one: %s", got)
	}
	if r.Stored(replica.NameOf("till")).Status.RevokedAt != nil {
		t.Error("it is revoked")
	}
	if got := replica.Outcome(r.Grants.Revoke(t.Context(), r.Found(), held, r.Account("orders", replica.URL), newOutcome())); got != ok {
		t.Errorf("a good one: %s", got)
	}
}

// TestALogoutAsTheKeyChanges checks that a logout ends a line that is rotated at the same time.
func TestALogoutAsTheKeyChanges(t *testing.T) {
	r := replica.New(t)
	held := r.Issue("device", oneTime(time.Minute))
	second := next(t, r, held, "the enrolment")
	r.Hold(true)
	r.Edit(replica.NameOf("device"), func(k *v1alpha1.JWTRefreshKey) { k.Spec.IdleTimeout = &metav1.Duration{Duration: time.Hour} })
	if got := r.LogOut(second); got != ok {
		t.Error(got)
	}
	expect(t, r, second, invalidGrant, "after the logout")
}

package grant_test

import (
	"context"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

func newOutcome() *grant.Outcome { return &grant.Outcome{} }

// TestWhichTokensAreActive checks the answer to a resource server, for access and refresh tokens, as the line of
// their refresh key goes on.
func TestWhichTokensAreActive(t *testing.T) {
	orders := replica.NameOf("orders")
	for name, c := range map[string]struct {
		change          func(*replica.Replica)
		access, refresh string
		onceAccess      string
		onceRefresh     string
	}{
		"nothing":                 {func(*replica.Replica) {}, "active", "active", "active", "active"},
		"a rotation with overlap": {func(r *replica.Replica) { r.Next(orders) }, "active", "active", "active", "active"},
		"a rotation that retired it": {func(r *replica.Replica) {
			r.Next(orders)
			r.Edit(orders, func(k *v1alpha1.JWTRefreshKey) { k.Status.Previous = nil })
		}, "active", "inactive", "active", "active"},
		"rotate-now":   {func(r *replica.Replica) { r.RotateNow(orders) }, "inactive", "inactive", "active", "active"},
		"a revocation": {func(r *replica.Replica) { r.Edit(orders, func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true }) }, "inactive", "inactive", "active", "active"},
		"a deletion":   {func(r *replica.Replica) { r.Delete(orders) }, "inactive", "inactive", "active", "active"},
		"14 minutes":   {func(r *replica.Replica) { forward(r, 14*time.Minute) }, "active", "active", "active", "inactive"},
		"15 minutes":   {func(r *replica.Replica) { forward(r, 15*time.Minute) }, "inactive", "active", "inactive", "inactive"},
		"no API server": {func(r *replica.Replica) {
			r.Hold(true)
			r.Delete(orders)
			r.Issue("orders")
			r.Away(true)
		}, "active", "active", "active", "active"},
		"no signing keys": {func(r *replica.Replica) { r.PutRings(replica.Name, nil) }, unavailable, unavailable, unavailable, unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			r := replica.New(t)
			held := r.Issue("orders")
			answer, _ := r.Refresh(held)
			// The enrolment is used at once, and its access token is from before the successor.
			enrolment := r.Issue("device", oneTime(time.Minute))
			once, _ := r.Refresh(enrolment)
			c.change(r)
			for what, q := range map[string]struct{ compact, hint, want string }{
				"the access token":                          {answer.AccessToken, "", c.access},
				"the refresh token, with its hint":          {held, oauth.HintRefreshToken, c.refresh},
				"the refresh token":                         {held, "", "inactive"},
				"the access token, with the wrong hint":     {answer.AccessToken, oauth.HintRefreshToken, "inactive"},
				"an access token of a one-time key":         {once.AccessToken, "", c.onceAccess},
				"the used enrolment in and after its grace": {enrolment, oauth.HintRefreshToken, c.onceRefresh},
				"nonsense": {"nonsense", "", "inactive"},
			} {
				if want := q.want; want == "inactive" && c.access == unavailable {
					q.want = unavailable
				}
				if got := question(t, r, q.compact, q.hint, nil); got != q.want {
					t.Errorf("%s is %s, want %s", what, got, q.want)
				}
			}
		})
	}
}

// question returns "active", "inactive" or the outcome of an introspection. refusal is that of the caller.
func question(t *testing.T, r *replica.Replica, compact, hint string, refusal error) string {
	t.Helper()
	allowed := func(context.Context, string) error { return refusal }
	answer, err := r.Grants.Introspect(t.Context(), r.Found(), compact, hint, allowed, newOutcome())
	switch {
	case err != nil:
		return replica.Outcome(err)
	case answer.Active:
		return "active"
	default:
		return "inactive"
	}
}

// TestAQuestionWithoutTheRight checks that a caller without the right learns nothing, and that the error of a review
// is not an answer.
func TestAQuestionWithoutTheRight(t *testing.T) {
	r := replica.New(t)
	answer, _ := r.Refresh(r.Issue("orders"))
	if got := question(t, r, answer.AccessToken, "", oauth.Refuse(oauth.InsufficientScope, "No.")); got != "inactive" {
		t.Errorf("without the right: %s", got)
	}
	if got := question(t, r, answer.AccessToken, "", oauth.Refuse(oauth.InvalidToken, "No.")); got != string(oauth.InvalidToken) {
		t.Errorf("with another error: %s", got)
	}
	if got := question(t, r, "", "", nil); got != string(oauth.InvalidRequest) {
		t.Errorf("about nothing: %s", got)
	}
}

// TestWhatAnAnswerSays checks the members of the answer for an active token (RFC 7662 §2.2).
func TestWhatAnAnswerSays(t *testing.T) {
	r := replica.New(t, granting("orders:*"))
	held := r.Issue("orders", scoped("orders:read"))
	issued, _ := r.Refresh(held)
	allowed := func(context.Context, string) error { return nil }
	answer, err := r.Grants.Introspect(t.Context(), r.Found(), issued.AccessToken, "", allowed, newOutcome())
	if err != nil {
		t.Fatal(err)
	}
	want := oauth.IntrospectionAnswer{
		Active: true, Scope: "orders:read", ClientID: "refreshkey:tenant:orders", Subject: "refreshkey:tenant:orders", Audience: replica.Audience, Issuer: replica.URL,
		TokenType: oauth.TokenTypeBearer, JTI: answer.JTI, IssuedAt: replica.Start.Unix(), NotBefore: replica.Start.Unix() - 60, ExpiresAt: replica.Start.Unix() + 900,
	}
	if *answer != want {
		t.Errorf("%+v, want %+v", *answer, want)
	}
}

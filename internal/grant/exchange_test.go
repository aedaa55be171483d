package grant_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/grant"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

const (
	ok           = "ok"
	invalidGrant = string(oauth.InvalidGrant)
	unauthorized = string(oauth.UnauthorizedClient)
	unavailable  = "unavailable"
)

// oneTime makes a one-time key with that grace.
func oneTime(grace time.Duration) func(*v1alpha1.JWTRefreshKey) {
	return func(key *v1alpha1.JWTRefreshKey) {
		key.Spec.Rotation = &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse, RetryGrace: &metav1.Duration{Duration: grace}}
	}
}

func scoped(scopes ...string) func(*v1alpha1.JWTRefreshKey) {
	return func(key *v1alpha1.JWTRefreshKey) { key.Spec.Scopes = scopes }
}

func granting(scopes ...string) func(*v1alpha1.JWTIssuer) {
	return func(issuer *v1alpha1.JWTIssuer) {
		issuer.Spec.Policy = &v1alpha1.PolicySpec{Rules: []v1alpha1.PolicyRule{{Scopes: scopes}}}
	}
}

// forward moves the clock of a replica.
func forward(r *replica.Replica, d time.Duration) { r.Clock.SetTime(r.Clock.Now().Add(d)) }

// next exchanges a token and returns the refresh token of the answer.
func next(t *testing.T, r *replica.Replica, compact, why string) string {
	t.Helper()
	answer, outcome := r.Refresh(compact)
	if outcome != ok || answer.RefreshToken == "" {
		t.Fatalf("%s: %s", why, outcome)
	}
	return answer.RefreshToken
}

// expect exchanges a token and checks the outcome.
func expect(t *testing.T, r *replica.Replica, compact, want, why string) {
	t.Helper()
	if _, outcome := r.Refresh(compact); outcome != want {
		t.Errorf("%s: %s, want %s", why, outcome, want)
	}
}

// same checks which token a client holds.
func same(t *testing.T, got, want, why string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: it is another token", why)
	}
}

// TestRefresh checks what the answer to a refresh contains, and which requests are refused.
func TestRefresh(t *testing.T) {
	r := replica.New(t, granting("orders:*"))
	held := r.Issue("orders", scoped("orders:read", "orders:write"))
	answer, outcome := r.Refresh(held)
	if outcome != ok || answer.TokenType != oauth.TokenTypeBearer || answer.ExpiresIn != 15*60 || answer.Scope != "orders:read orders:write" || answer.RefreshToken != held {
		t.Errorf("%s: %+v", outcome, answer)
	}
	access, err := token.Parse(answer.AccessToken, token.Access, r.Rings, replica.URL, r.Clock.Now())
	if err != nil || access.Object.Revision != 1 || access.Audience != replica.Audience {
		t.Errorf("the access token is %+v, %v", access, err)
	}
	ask := func(change func(*grant.RefreshRequest)) string { _, outcome := r.Refresh(held, change); return outcome }
	for name, c := range map[string]struct{ got, want string }{
		"less scope":           {ask(func(q *grant.RefreshRequest) { q.Scope = "orders:read" }), ok},
		"more scope":           {ask(func(q *grant.RefreshRequest) { q.Scope = "orders:delete" }), string(oauth.InvalidScope)},
		"its own resource":     {ask(func(q *grant.RefreshRequest) { q.Resources = []string{replica.Audience} }), ok},
		"another resource":     {ask(func(q *grant.RefreshRequest) { q.Resources = []string{"https://billing.example.com"} }), string(oauth.InvalidTarget)},
		"no token":             {ask(func(q *grant.RefreshRequest) { q.Token = "" }), string(oauth.InvalidRequest)},
		"its own access token": {ask(func(q *grant.RefreshRequest) { q.Token = answer.AccessToken }), invalidGrant},
		"a bad assertion":      {ask(func(q *grant.RefreshRequest) { q.Credentials.Assertion = "x.y.z" }), string(oauth.InvalidClient)},
		"a bad proof":          {ask(func(q *grant.RefreshRequest) { q.Credentials.Proofs = []string{"x"} }), string(oauth.InvalidDPoPProof)},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
	if status := &r.Stored(replica.NameOf("orders")).Status; status.LastUsed == nil || status.LastUsedRevision != 1 {
		t.Error("the use is not recorded")
	}
}

// TestWhatEndsAToken checks every change that ends a token, or that keeps it although it is not exchanged now.
func TestWhatEndsAToken(t *testing.T) {
	orders := replica.NameOf("orders")
	edit := func(change func(*v1alpha1.JWTRefreshKey)) func(*replica.Replica) {
		return func(r *replica.Replica) { r.Edit(orders, change) }
	}
	reissue := func(change func(*v1alpha1.JWTIssuer)) func(*replica.Replica) {
		return func(r *replica.Replica) {
			change(r.Issuer)
			r.PutIssuer(r.Issuer, r.Rings)
		}
	}
	for name, c := range map[string]struct {
		change func(*replica.Replica)
		want   string
	}{
		"nothing":                {func(*replica.Replica) {}, ok},
		"spec.revoked":           {edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true }), invalidGrant},
		"a revocation on record": {edit(func(k *v1alpha1.JWTRefreshKey) { k.Status.RevokedAt = &metav1.Time{Time: replica.Start} }), invalidGrant},
		"an end that has passed": {edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.ExpiresAt = &metav1.Time{Time: replica.Start} }), invalidGrant},
		"an end within this second": {edit(func(k *v1alpha1.JWTRefreshKey) {
			k.Spec.ExpiresAt = &metav1.Time{Time: replica.Start.Add(900 * time.Millisecond)}
		}), invalidGrant},
		"another token on record":     {edit(func(k *v1alpha1.JWTRefreshKey) { k.Status.JTI = "another" }), invalidGrant},
		"rotate-now":                  {func(r *replica.Replica) { r.RotateNow(orders) }, invalidGrant},
		"a rotation with overlap":     {func(r *replica.Replica) { r.Next(orders) }, ok},
		"deletion":                    {func(r *replica.Replica) { r.Delete(orders) }, invalidGrant},
		"deletion, and created again": {func(r *replica.Replica) { r.Delete(orders); r.Issue("orders") }, invalidGrant},
		"720 hours":                   {func(r *replica.Replica) { forward(r, 721*time.Hour) }, invalidGrant},
		"a policy without it":         {reissue(func(i *v1alpha1.JWTIssuer) { i.Spec.Policy.Rules[0].Audiences = []string{"https://other.example.com"} }), unauthorized},
		"a policy that is invalid":    {reissue(func(i *v1alpha1.JWTIssuer) { i.Spec.Policy.Rules[0].Audiences = []string{"["} }), unauthorized},
		"signing keys that are lost":  {func(r *replica.Replica) { r.PutRings(replica.Name, nil) }, unavailable},
		"an API server that is away":  {func(r *replica.Replica) { r.Away(true) }, ok},
		"a stale view":                {func(r *replica.Replica) { r.Stale(true) }, unavailable},
		"a binding to an account":     {edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Binding = &v1alpha1.BindingSpec{ServiceAccountName: "orders"} }), string(oauth.InvalidClient)},
		"a binding to a key":          {edit(func(k *v1alpha1.JWTRefreshKey) { k.Spec.Binding = &v1alpha1.BindingSpec{JWKThumbprint: "t"} }), string(oauth.InvalidDPoPProof)},
	} {
		t.Run(name, func(t *testing.T) {
			r := replica.New(t, granting("orders:*"))
			held := r.Issue("orders", scoped("orders:read"))
			expect(t, r, held, ok, "before")
			c.change(r)
			expect(t, r, held, c.want, "after "+name)
		})
	}
}

// TestWhatAStaleViewRefuses checks that a refusal that can be undone is read live, and that an API server that is
// away makes it unavailable.
func TestWhatAStaleViewRefuses(t *testing.T) {
	r := replica.New(t)
	orders := replica.NameOf("orders")
	held := r.Issue("orders")
	r.Hold(true)
	late := r.Next(orders)
	r.Away(true)
	expect(t, r, late, unavailable, "a token that the view lacks, and no API server")
	r.Away(false)
	expect(t, r, late, ok, "a token that the view lacks")
	expect(t, r, held, ok, "the one before")
	unknown := r.Issue("unknown")
	before := r.Counts().Reads
	expect(t, r, unknown, ok, "a key that the view lacks")
	if reads := r.Counts().Reads - before; reads != 1 {
		t.Errorf("it costs %d reads", reads)
	}
	r.Hold(false)
	r.Edit(orders, func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = true })
	r.Hold(true)
	r.Edit(orders, func(k *v1alpha1.JWTRefreshKey) { k.Spec.Revoked = false })
	expect(t, r, r.RotateNow(orders), ok, "a key that was reinstated, and is revoked in the view")
	expect(t, r, late, invalidGrant, "a token from before")
	r.Hold(false)
	rings := r.NextRings(r.Rings, r.Clock.Now().Add(241*time.Hour))
	r.Hold(true)
	r.PutRings(replica.Name, rings)
	r.Rings = rings
	forward(r, 241*time.Hour)
	expect(t, r, r.Issue("signed-later"), ok, "a token by a signing key that the view lacks")
}

// TestRollOverGrantsNoMore checks that the holder of a superseded token gets the current one only if that grants no
// more.
func TestRollOverGrantsNoMore(t *testing.T) {
	r := replica.New(t)
	orders := replica.NameOf("orders")
	first := r.Issue("orders")
	second := r.Next(orders)
	same(t, next(t, r, first, "superseded"), second, "the holder of the first")
	same(t, next(t, r, second, "current"), second, "the holder of the second")
	if status := &r.Stored(orders).Status; status.SupersededLastUsed == nil || status.LastUsedRevision != 2 {
		t.Errorf("recorded are %v and revision %d", status.SupersededLastUsed, status.LastUsedRevision)
	}
	r.Edit(orders, func(k *v1alpha1.JWTRefreshKey) { k.Spec.Audience = "https://billing.example.com" })
	third := r.Next(orders)
	same(t, next(t, r, second, "superseded by one for another audience"), second, "the holder of the second")
	expect(t, r, third, ok, "the third")
	r.Edit(orders, func(k *v1alpha1.JWTRefreshKey) { k.Status.Content.Raw = []byte("{}") })
	same(t, next(t, r, second, "a record that cannot be read"), second, "the holder of the second")
}

// TestAnAccessTokenOutlivesNothing checks that an access token ends no later than its refresh token and the
// refresh key.
func TestAnAccessTokenOutlivesNothing(t *testing.T) {
	r := replica.New(t)
	held := r.Issue("orders", func(k *v1alpha1.JWTRefreshKey) { k.Spec.Lifetime = &metav1.Duration{Duration: 10 * time.Minute} })
	lives := func() int64 { answer, _ := r.Refresh(held); return answer.ExpiresIn }
	if got := lives(); got != 600 {
		t.Errorf("an access token lives for 15m, and its refresh token for 10m: it has %d s", got)
	}
	set := func(change func(*v1alpha1.JWTRefreshKey)) { r.Edit(replica.NameOf("orders"), change) }
	set(func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.ExpiresAt = &metav1.Time{Time: replica.Start.Add(5 * time.Minute)}
	})
	if got := lives(); got != 300 {
		t.Errorf("the key ends before: it has %d s", got)
	}
	set(func(k *v1alpha1.JWTRefreshKey) {
		k.Spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: &metav1.Duration{Duration: time.Minute}}
	})
	if got := lives(); got != 60 {
		t.Errorf("spec.accessToken.lifetime is 1m: it has %d s", got)
	}
}

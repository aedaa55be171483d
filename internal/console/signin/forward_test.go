package signin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// TestRenewal checks that the next id_token comes by the refresh token, and must be of the same sign-in.
func TestRenewal(t *testing.T) {
	for _, c := range []struct {
		name string
		said func(*fixture, map[string]any) answer
		want string
	}{
		{"renewed", func(f *fixture, claims map[string]any) answer {
			return tokens(map[string]any{"id_token": f.provider.sign(claims), "refresh_token": "r2"})
		}, ""},
		{"without a nonce", func(f *fixture, claims map[string]any) answer {
			delete(claims, "nonce")
			return tokens(map[string]any{"id_token": f.provider.sign(claims)})
		}, ""},
		{"another person", func(f *fixture, claims map[string]any) answer {
			claims["sub"] = "john"
			return tokens(map[string]any{"id_token": f.provider.sign(claims)})
		}, "another sign-in"},
		{"another nonce", func(f *fixture, claims map[string]any) answer {
			claims["nonce"] = "other"
			return tokens(map[string]any{"id_token": f.provider.sign(claims)})
		}, "another sign-in"},
		{"no id_token", func(*fixture, map[string]any) answer { return tokens(nil) }, "no id_token"},
		{"refused", func(*fixture, map[string]any) answer { return refusing("invalid_grant") }, `400 "invalid_grant"`},
		{"away", func(*fixture, map[string]any) answer { return answer{code: 502, body: "bad"} }, upstream.ErrUnavailable.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			first := f.signedIn(map[string]any{"refresh_token": "r1"})
			nonce := ""
			f.fake.SetTime(first.Until.Add(-time.Minute))
			claims := f.claims(nonce)
			delete(claims, "nonce")
			f.provider.will("/token", c.said(f, claims))
			next, err := first.Renew(t.Context())
			if got := f.provider.last("/token").form; got.Get("grant_type") != "refresh_token" || got.Get("refresh_token") != "r1" || got.Has("code") {
				t.Errorf("the form is %v", got)
			}
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), canary) {
					t.Errorf("%v, want %q", err, c.want)
				}
				return
			}
			if err != nil || !next.Until.Equal(f.fake.Now().Add(10*time.Minute)) || next.Config.BearerToken == first.Config.BearerToken || next.Renew == nil {
				t.Fatalf("%v %+v", err, next)
			}
			f.provider.will("/revoke", answer{code: http.StatusOK})
			next.Drop(t.Context())
			next.Drop(t.Context())
			want := "r2"
			if c.name != "renewed" {
				want = "r1" // the provider keeps a refresh token that it does not replace
			}
			if got := f.provider.all("/revoke"); len(got) != 1 || got[0].form.Get("token") != want || !strings.HasPrefix(got[0].authorization, "Basic ") {
				t.Errorf("revocations: %+v", got)
			}
			if _, err := next.Renew(t.Context()); err == nil {
				t.Error("a sign-in that ended is renewed")
			}
		})
	}
}

// TestImpersonation checks which names the console acts with, and that those of the cluster itself are refused.
func TestImpersonation(t *testing.T) {
	none := ""
	for _, c := range []struct {
		name   string
		change func(*Config)
		claims map[string]any
		user   string
		groups []string
	}{
		{"default", func(*Config) {}, nil, "oidc:jane", nil},
		{"groups", func(c *Config) { c.GroupsClaim = "groups" }, nil, "oidc:jane", []string{"oidc:dev"}},
		{"one group", func(c *Config) { c.GroupsClaim = "groups" }, map[string]any{"groups": "ops"}, "oidc:jane", []string{"oidc:ops"}},
		{"no groups", func(c *Config) { c.GroupsClaim = "teams" }, nil, "oidc:jane", nil},
		{"prefixed system name", func(*Config) {}, map[string]any{"sub": "system:admin"}, "oidc:system:admin", nil},
		{"other claim", func(c *Config) { c.UsernameClaim = "name"; c.UsernamePrefix = &none }, map[string]any{"name": "Jane"}, "Jane", nil},
		{"address", func(c *Config) { c.UsernameClaim = "email" }, map[string]any{"email": "j@example.com", "email_verified": true}, "oidc:j@example.com", nil},
		{"system user", func(c *Config) { c.UsernamePrefix = &none }, map[string]any{"sub": "system:kube-controller-manager"}, "", nil},
		{"system user after a space", func(c *Config) { c.UsernamePrefix = &none }, map[string]any{"sub": " system:kube-controller-manager"}, "", nil},
		{"system group", func(c *Config) { c.GroupsClaim = "groups"; c.GroupsPrefix = &none }, map[string]any{"groups": []string{"dev", "system:nodes"}}, "", nil},
		{"system group after a space", func(c *Config) { c.GroupsClaim = "groups"; c.GroupsPrefix = &none }, map[string]any{"groups": []string{"\u00a0system:masters"}}, "", nil},
		{"empty group", func(c *Config) { c.GroupsClaim = "groups" }, map[string]any{"groups": []string{""}}, "", nil},
		{"groups that are no texts", func(c *Config) { c.GroupsClaim = "groups" }, map[string]any{"groups": []any{1}}, "", nil},
		{"too many groups", func(c *Config) { c.GroupsClaim = "groups" }, map[string]any{"groups": slices.Repeat([]string{"g"}, mostGroups+1)}, "", nil},
		{"line break", func(*Config) {}, map[string]any{"sub": "jane\r\nImpersonate-Group: system:masters"}, "", nil},
		{"long name", func(*Config) {}, map[string]any{"sub": strings.Repeat("a", longestName)}, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, func(o *Config) { o.Forward = Impersonation; c.change(o) })
			b := f.begin("")
			claims := f.fixtureClaims(b)
			for name, value := range c.claims {
				claims[name] = value
			}
			f.provider.will("/token", tokens(map[string]any{"id_token": f.provider.sign(claims)}))
			got, _, _, err := f.arrive(b)
			if c.user == "" {
				if reasonOf(t, err) != wire.NameRefused {
					t.Errorf("it is not refused: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			as := got.Config.Impersonate
			if as.UserName != c.user || !slices.Equal(as.Groups, c.groups) || got.Means != wire.Impersonation || got.Config.BearerToken != "own" || got.Renew != nil {
				t.Errorf("%+v with %s", as, got.Means)
			}
		})
	}
	for name, claims := range map[string]map[string]any{
		"an address that is not verified": {"email": "j@example.com"}, "an empty name": {"email": "", "email_verified": true}, "no name": {"email_verified": true},
	} {
		f := newFixture(t, func(o *Config) { o.Forward, o.UsernameClaim = Impersonation, "email" })
		b := f.begin("")
		all := f.fixtureClaims(b)
		for claim, value := range claims {
			all[claim] = value
		}
		f.provider.will("/token", tokens(map[string]any{"id_token": f.provider.sign(all)}))
		if _, _, _, err := f.arrive(b); reasonOf(t, err) != wire.NotTrusted {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExchange checks the session at the token service: how it begins, goes on and ends.
func TestExchange(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Forward = Exchange })
	f.service.will("/token", tokens(map[string]any{"access_token": "a1", "refresh_token": "r1"}), tokens(map[string]any{"access_token": "a2", "refresh_token": "r2"}),
		answer{code: 503, body: "later"}, tokens(map[string]any{"access_token": "a3", "refresh_token": "r3"}))
	first := f.signedIn(map[string]any{"refresh_token": "unused"})
	got := f.service.last("/token")
	if got.form.Get("grant_type") != grantExchange || got.form.Get("subject_token_type") != typeIDToken || got.form.Get("audience") != "https://kubernetes.example.com" ||
		strings.Count(got.form.Get("subject_token"), ".") != 2 || got.agent != browser || got.authorization != "" || got.form.Has("code") {
		t.Errorf("the exchange is %v of %q", got.form, got.agent)
	}
	if first.Means != wire.Exchange || first.Config.BearerToken != "a1" || !first.Until.Equal(f.fake.Now().Add(15*time.Minute)) || first.OwnSessions == nil {
		t.Errorf("the credential is %s until %s", first.Means, first.Until)
	}
	next, err := first.Renew(t.Context())
	if got := f.service.last("/token"); err != nil || next.Config.BearerToken != "a2" || got.form.Get("refresh_token") != "r1" || got.agent != browser {
		t.Fatalf("%v, the form %v of %q", err, got.form, got.agent)
	}
	if _, err := next.Renew(t.Context()); err == nil || !strings.Contains(err.Error(), upstream.ErrUnavailable.Error()) {
		t.Errorf("a service that is away: %v", err)
	}
	// Also the first credential knows the current refresh token: all share the session.
	if third, err := first.Renew(t.Context()); err != nil || third.Config.BearerToken != "a3" || f.service.last("/token").form.Get("refresh_token") != "r2" {
		t.Fatalf("%v, the form %v", err, f.service.last("/token").form)
	}
	f.service.will("/revoke", answer{code: http.StatusOK})
	location := next.End(t.Context())
	next.Drop(t.Context())
	if got := f.service.all("/revoke"); len(got) != 1 || got[0].form.Get("token") != "r3" || got[0].agent != browser {
		t.Errorf("revocations: %+v", got)
	}
	if !strings.HasPrefix(location, "/auth/logout?ticket=") {
		t.Errorf("the browser goes to %q", location)
	}
	if _, err := next.Renew(t.Context()); err == nil {
		t.Error("a session that ended is renewed")
	}
	for _, secret := range []string{canary, "r1", "r2", "r3", "a1"} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

// TestSignInAtAnIssuer checks the sign-in at the login page of the issuer itself: its access token is forwarded, and its session is
// renewed and ended.
func TestSignInAtAnIssuer(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		c.Forward, c.ClientSecretFile, c.TokenService = AccessToken, "", &TokenService{Audience: "https://kubernetes.example.com"}
	})
	b := f.begin("")
	if asked := b.to.Query(); asked.Get("resource") != "https://kubernetes.example.com" || asked.Get("scope") != "openid" || asked.Get("code_challenge_method") != "S256" {
		t.Errorf("the request is %v", asked)
	}
	f.provider.will("/token", tokens(map[string]any{
		"access_token": "a1", "refresh_token": "r1", "id_token": f.provider.sign(f.claims(b.to.Query().Get("nonce"))),
	}), tokens(map[string]any{"access_token": "a2", "refresh_token": "r2"}))
	first, _, _, err := f.arrive(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.provider.last("/token"); got.agent != browser || got.authorization != "" || got.form.Get("client_id") != consoleID || got.form.Get("code_verifier") == "" {
		t.Errorf("the redemption is %+v", got)
	}
	if first.Means != wire.Exchange || first.Config.BearerToken != "a1" || !first.Until.Equal(f.fake.Now().Add(15*time.Minute)) || first.OwnSessions == nil {
		t.Errorf("the credential is %s until %s", first.Means, first.Until)
	}
	next, err := first.Renew(t.Context())
	if got := f.provider.last("/token"); err != nil || next.Config.BearerToken != "a2" || got.form.Get("refresh_token") != "r1" || got.agent != browser {
		t.Fatalf("%v, the form %v of %q", err, got.form, got.agent)
	}
	f.provider.will("/revoke", answer{code: http.StatusOK})
	next.Drop(t.Context())
	if got := f.provider.all("/revoke"); len(got) != 1 || got[0].form.Get("token") != "r2" {
		t.Errorf("revocations: %+v", got)
	}
}

// TestAnAnswerThatIsLost checks that the session goes on with the next refresh token, though the answer with it got lost: a
// little later, the service takes the token before it for a stolen one.
func TestAnAnswerThatIsLost(t *testing.T) {
	for _, c := range []struct {
		name string
		said []answer
		want []string
	}{
		{"the tab is closed before the answer", []answer{{code: http.StatusOK}}, []string{"r1", "r2"}},
		{"the connection breaks", []answer{{lost: true}, {code: http.StatusOK}}, []string{"r1", "r1", "r2"}},
		{"a proxy gives up", []answer{{code: http.StatusGatewayTimeout}, {code: http.StatusOK}}, []string{"r1", "r1", "r2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, func(c *Config) { c.Forward = Exchange })
			f.service.will("/token", tokens(map[string]any{"refresh_token": "r1"}))
			credential := f.signedIn(nil)
			held := make(chan struct{})
			for _, said := range c.said {
				if said.code == http.StatusOK {
					said = tokens(map[string]any{"refresh_token": "r2"})
				}
				said.held = held
				f.service.will("/token", said)
			}
			ctx, leave := context.WithCancel(t.Context())
			listed := make(chan error, 1)
			go func() {
				_, err := credential.OwnSessions.List(ctx)
				listed <- err
			}()
			gomega.NewWithT(t).Eventually(func() int { return len(f.service.all("/token")) }).Should(gomega.Equal(2))
			leave()
			close(held)
			if err := <-listed; err == nil {
				t.Error("the request goes on without its tab")
			}
			f.fake.SetTime(f.fake.Now().Add(time.Minute))
			f.service.will("/token", tokens(map[string]any{"refresh_token": "r3"}))
			if _, err := credential.Renew(t.Context()); err != nil {
				t.Error(err)
			}
			var used []string
			for _, one := range f.service.all("/token")[1:] {
				used = append(used, one.form.Get("refresh_token"))
			}
			if !slices.Equal(used, c.want) {
				t.Errorf("the service gets the refresh tokens %q, want %q", used, c.want)
			}
		})
	}
}

// TestAnExchangeThatIsRefused checks the failures of a person that the token service grants no session.
func TestAnExchangeThatIsRefused(t *testing.T) {
	for _, c := range []struct {
		said answer
		want wire.SignInFailure
	}{{refusing("invalid_target"), wire.NotGranted}, {answer{code: 503, body: "later"}, wire.ProviderAway}} {
		f := newFixture(t, func(c *Config) { c.Forward = Exchange })
		f.service.will("/token", c.said)
		b := f.begin("")
		f.provider.will("/token", tokens(map[string]any{"id_token": f.provider.sign(f.fixtureClaims(b))}))
		if _, _, _, err := f.arrive(b); reasonOf(t, err) != c.want {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// TestARevocationThatFails checks that a refresh token which could not be revoked is revoked by the next try, and then no more.
func TestARevocationThatFails(t *testing.T) {
	for _, forward := range []Forward{IDToken, Exchange} {
		f := newFixture(t, func(c *Config) { c.Forward = forward })
		server := f.provider
		if forward == Exchange {
			server = f.service
			f.service.will("/token", tokens(map[string]any{"refresh_token": "r1"}))
		}
		credential := f.signedIn(map[string]any{"refresh_token": "r1"})
		server.will("/revoke", answer{code: http.StatusServiceUnavailable, body: "later"}, answer{code: http.StatusOK})
		credential.End(t.Context())
		credential.Drop(t.Context())
		credential.Drop(t.Context())
		got := server.all("/revoke")
		if len(got) != 2 || got[0].form.Get("token") != "r1" || got[1].form.Get("token") != "r1" {
			t.Errorf("%s: the revocations are %+v", forward, got)
		}
	}
}

// TestOwnSessions checks the requests for the sessions of a person at the token service.
func TestOwnSessions(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Forward = Exchange })
	f.service.will("/token", tokens(map[string]any{"refresh_token": "r1"}), tokens(map[string]any{"access_token": "own1", "refresh_token": "r2"}),
		tokens(map[string]any{"access_token": "own2", "refresh_token": "r3"}))
	own := f.signedIn(nil).OwnSessions
	list := answer{code: http.StatusOK, body: map[string]any{"sessions": []any{map[string]any{
		"id": "u1", "current": true, "subject": "jane", "client": "shop", "method": "OIDC", "provider": "https://idp", "audience": "https://kubernetes.example.com", "status": "Active",
		"device": map[string]any{"browser": "Firefox", "os": "Linux"}, "startedAt": "2026-01-02T03:04:05.6Z", "expiresAt": "2026-02-02T03:04:05Z",
	}}}}
	f.service.will("/sessions", list, answer{code: 401}, list)
	mine, err := own.List(t.Context())
	if err != nil || len(mine.Sessions) != 1 {
		t.Fatalf("%v %+v", err, mine)
	}
	want := wire.OwnSession{
		ID: "u1", Current: true, Status: "Active", Audience: "https://kubernetes.example.com", Client: "shop", Method: "OIDC", Provider: "https://idp", Device: mine.Sessions[0].Device,
		StartedAt: "2026-01-02T03:04:05Z", ExpiresAt: "2026-02-02T03:04:05Z",
	}
	if mine.Sessions[0] != want || *want.Device != (wire.Device{Browser: "Firefox", OS: "Linux"}) {
		t.Errorf("%+v", mine.Sessions[0])
	}
	if got := f.service.last("/token").form; got.Get("resource") != f.service.URL || got.Get("scope") != "sessions" || got.Get("refresh_token") != "r1" {
		t.Errorf("the refresh is %v", got)
	}
	if got := f.service.last("/sessions"); got.authorization != "Bearer own1" || got.agent != browser {
		t.Errorf("the request is %+v", got)
	}
	if _, err := own.List(t.Context()); err != nil || f.service.last("/sessions").authorization != "Bearer own2" || len(f.service.all("/sessions")) != 3 {
		t.Errorf("a refused access token is not replaced: %v", err)
	}
	f.service.will("/sessions/end", answer{code: http.StatusOK, body: map[string]any{"ended": 3}})
	ended, err := own.EndSessions(t.Context(), &wire.EndSessions{Others: true})
	if got := f.service.last("/sessions/end"); err != nil || ended.Ended != 3 || strings.TrimSpace(got.body) != `{"others":true}` || len(f.service.all("/token")) != 3 {
		t.Errorf("%v: %s", err, got.body)
	}
}

// TestOwnSessionsThatFail checks the failures that a person sees.
func TestOwnSessionsThatFail(t *testing.T) {
	granted := tokens(map[string]any{"access_token": "own", "refresh_token": "r2"})
	for _, c := range []struct {
		name  string
		token []answer
		list  []answer
		is    func(error) bool
	}{
		{"the session has ended", []answer{refusing("invalid_grant")}, nil, apierrors.IsUnauthorized},
		{"the policy has no place for it", []answer{refusing("invalid_target")}, nil, apierrors.IsForbidden},
		{"no token is accepted", []answer{granted, granted}, []answer{{code: 401}, {code: 401}}, apierrors.IsUnauthorized},
		{"too many", []answer{granted}, []answer{{code: 429}}, apierrors.IsTooManyRequests},
		{"away", []answer{granted}, []answer{{code: 503}}, apierrors.IsServiceUnavailable},
		{"the service is older", []answer{granted}, []answer{{code: 404}}, func(err error) bool { return strings.Contains(err.Error(), "older") }},
	} {
		f := newFixture(t, func(c *Config) { c.Forward = Exchange })
		f.service.will("/token", tokens(map[string]any{"refresh_token": "r1"}))
		own := f.signedIn(nil).OwnSessions
		f.service.will("/token", c.token...)
		f.service.will("/sessions", c.list...)
		if _, err := own.List(t.Context()); !c.is(err) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

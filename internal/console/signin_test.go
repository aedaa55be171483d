package console

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// TestSignInByToken checks what a person gets for a token, and what for a bad one.
func TestSignInByToken(t *testing.T) {
	f := newFixture(t)
	ada := f.cluster.user("ada")
	alive, expired := jwt(f.fake.Now().Add(time.Hour)), jwt(f.fake.Now().Add(-time.Hour))
	f.cluster.users[alive] = authenticationv1.UserInfo{Username: "bob"}
	anonymous, nameless := f.cluster.user(anonymousUser), f.cluster.user("")
	f.cluster.users["grouped"] = authenticationv1.UserInfo{Username: "eve", Groups: []string{unauthenticatedGroup}}
	for _, c := range []struct {
		name    string
		asked   wire.Login
		code    int
		message string
	}{
		{"a token", wire.Login{Token: ada}, 200, ""},
		{"a token with white space around it", wire.Login{Token: "\n " + ada + " \n"}, 200, ""},
		{"a JWT", wire.Login{Token: alive}, 200, ""},
		{"one that the API server does not know", wire.Login{Token: "other"}, 401, "refuses the token"},
		{"an expired JWT", wire.Login{Token: expired}, 401, "the token expired at"},
		{"none", wire.Login{}, 401, "not a bearer token"},
		{"text", wire.Login{Token: "ada\r\nImpersonate-User: root"}, 401, "not a bearer token"},
		{"a very long one", wire.Login{Token: strings.Repeat("a", 20<<10)}, 401, "not a bearer token"},
		{"the anonymous user's", wire.Login{Token: anonymous}, 401, "knows no user"},
		{"one of no name", wire.Login{Token: nameless}, 401, "knows no user"},
		{"one of the group of unauthenticated users", wire.Login{Token: "grouped"}, 401, "knows no user"},
		{"a code, outside local mode", wire.Login{Code: "code"}, 401, "not a bearer token"},
		{"a code beside a token", wire.Login{Code: "code", Token: ada}, 401, "not a bearer token"},
	} {
		answer := f.try(c.asked, "")
		if answer.StatusCode != c.code {
			t.Errorf("%s: %d %s", c.name, answer.StatusCode, bodyOf(t, answer))
			continue
		}
		if c.code != 200 {
			if got := read[wire.Failure](t, answer); got.Code != c.code || !strings.Contains(got.Message, c.message) || len(answer.Cookies()) > 0 {
				t.Errorf("%s: %+v and %d cookies", c.name, got, len(answer.Cookies()))
			}
		}
	}
	if living, _ := f.sessions.counts(); living != 3 {
		t.Errorf("there are %d sessions", living)
	}
}

// TestAnAPIServerThatDoesNotAnswer checks what people see while they cannot sign in without a fault of their own.
func TestAnAPIServerThatDoesNotAnswer(t *testing.T) {
	for _, c := range []struct {
		name    string
		answer  http.HandlerFunc
		code    int
		message string
	}{
		{"is away", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 503, "the API server cannot be reached"},
		{"is overloaded", func(w http.ResponseWriter, _ *http.Request) {
			status(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "try later")
		}, 503, "try later"},
		{"forbids the review", func(w http.ResponseWriter, _ *http.Request) {
			status(w, http.StatusForbidden, metav1.StatusReasonForbidden, "ada may not")
		}, 403, "ada may not"},
		{"redirects", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.invalid/", http.StatusTemporaryRedirect)
		}, 502, "not one of an API server"},
	} {
		f := newFixture(t)
		f.cluster.answer = c.answer
		answer := f.try(wire.Login{Token: f.cluster.user("ada")}, "")
		if got := read[wire.Failure](t, answer); answer.StatusCode != c.code || got.Code != c.code || !strings.Contains(got.Message, c.message) {
			t.Errorf("the API server %s: %d %+v", c.name, answer.StatusCode, got)
		}
	}
}

// TestTheConsoleActsWithThePersonsRights checks that no request to the API server carries a credential of the console, and that
// headers of a request do not name its sender.
func TestTheConsoleActsWithThePersonsRights(t *testing.T) {
	f := newFixture(t)
	token := f.cluster.user("ada")
	headers := map[string]string{
		"Authorization": "Bearer " + f.cluster.user("root"), "Impersonate-User": "root", "Impersonate-Group": "system:masters",
		"Impersonate-Uid": "0", "Impersonate-Extra-Scopes": "all", "X-Remote-User": "root", "X-Remote-Group": "system:masters",
		"X-Forwarded-User": "root", "X-Forwarded-Access-Token": "root", "X-Auth-Request-User": "root",
	}
	answer := f.do(call{method: http.MethodPost, path: "/api/login", body: `{"token":"` + token + `"}`, headers: headers})
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", answer.StatusCode, bodyOf(t, answer))
	}
	session := cookieOf(t, answer).Value
	for _, c := range []call{
		{method: http.MethodGet, path: "/api/me", headers: headers},
		{method: http.MethodGet, path: "/api/test/shop/billing", headers: headers},
	} {
		if answer := f.do(c); strings.Contains(bodyOf(t, answer), "root") || c.path != "/api/me" && answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a session: %d", c.path, answer.StatusCode)
		}
		c.session = session
		if body := bodyOf(t, f.do(c)); !strings.Contains(body, `"user":"ada"`) {
			t.Errorf("%s: %s", c.path, body)
		}
	}
	seen := f.cluster.requests()
	if len(seen) != 1 {
		t.Errorf("the API server was asked %d times", len(seen))
	}
	for _, r := range seen {
		if got := r.Header.Values("Authorization"); !slices.Equal(got, []string{"Bearer " + token}) {
			t.Errorf("%s was asked with %q", r.URL, got)
		}
		for name := range r.Header {
			if namesUser(name) && name != "Authorization" {
				t.Errorf("%s was asked with the header %s", r.URL, name)
			}
		}
	}
}

// TestANewIDAtEveryLogin checks that a login takes no id of a request, and that it ends the session that the browser had.
func TestANewIDAtEveryLogin(t *testing.T) {
	f := newFixture(t)
	ada := f.cluster.user("ada")
	planted := strings.Repeat("A", 43)
	first := cookieOf(t, f.try(wire.Login{Token: ada}, planted)).Value
	second := cookieOf(t, f.try(wire.Login{Token: f.cluster.user("bob")}, first)).Value
	if first == planted || second == first {
		t.Error("an id is used again")
	}
	for session, want := range map[string]string{planted: "", first: "", second: "bob"} {
		if got := f.meIs(session).User; got != want {
			t.Errorf("a session of %q, want %q", got, want)
		}
	}
	if answer := f.try(wire.Login{Token: "bad"}, second); answer.StatusCode != http.StatusUnauthorized || f.meIs(second).User != "bob" {
		t.Error("a login that fails ends the session")
	}
}

// TestMe checks what the page knows about a session.
func TestMe(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Namespace, o.DocsURL = "shop", "https://docs.example.com" })
	if got := f.meIs(""); got.SignedIn || got.User != "" || got.Namespace != "" || !got.Ways.Token || got.Ways.Local || got.Version != "v1.2.3" || !got.SharedStream {
		t.Errorf("without a session: %+v", got)
	}
	end := f.fake.Now().Add(time.Hour).Truncate(time.Second)
	token := jwt(end)
	f.cluster.users[token] = authenticationv1.UserInfo{Username: "ada", Groups: []string{"dev"}}
	got := f.meIs(f.signedIn(token))
	if !got.SignedIn || got.User != "ada" || !slices.Equal(got.Groups, []string{"dev"}) || got.Means != wire.Token || got.Until != rfc3339(end) ||
		got.IdleSeconds != 1800 || got.Namespace != "shop" || !got.Reveal || got.OwnSessions || got.DocsURL == "" {
		t.Errorf("%+v", got)
	}
	got = f.meIs(f.signedIn(f.cluster.user("bob")))
	if want := rfc3339(f.fake.Now().Add(12 * time.Hour)); got.Until != want {
		t.Errorf("a token without an end: until %s, want %s", got.Until, want)
	}
}

// TestLogout checks that a logout ends the session on the server, and that it needs none.
func TestLogout(t *testing.T) {
	f := newFixture(t)
	session := f.signedIn(f.cluster.user("ada"))
	out := call{method: http.MethodPost, path: "/api/logout", body: "{}", session: session}
	for range 2 {
		answer := f.do(out)
		if c := cookieOf(t, answer); answer.StatusCode != http.StatusOK || c.MaxAge >= 0 || c.Value != "" {
			t.Errorf("%d, and the cookie %+v", answer.StatusCode, c)
		}
		if f.meIs(session).SignedIn {
			t.Error("the session goes on")
		}
	}
	out.method = http.MethodGet
	session = f.signedIn(f.cluster.user("ada"))
	out.session = session
	if answer := f.do(out); answer.StatusCode != http.StatusMethodNotAllowed || !f.meIs(session).SignedIn {
		t.Errorf("GET: %d", answer.StatusCode)
	}
}

// TestASignOutGoesOnWithoutItsTab checks that a logout ends the session at the provider, also if the browser does not wait for it.
func TestASignOutGoesOnWithoutItsTab(t *testing.T) {
	f := newFixture(t)
	ended := make(chan error, 1)
	session := f.through("ada", func(c *Credential) {
		c.End = func(ctx context.Context) string {
			ended <- ctx.Err()
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("the provider may take any time")
			}
			return ""
		}
	})
	gone, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequestWithContext(gone, http.MethodPost, "https://"+host+"/api/logout", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	r.AddCookie(&http.Cookie{Name: f.cookie.name, Value: session})
	f.ServeHTTP(httptest.NewRecorder(), r)
	if err := <-ended; err != nil {
		t.Errorf("the provider is asked to end the session with a context that has ended: %v", err)
	}
}

// TestARefusedCredentialEndsItsSession checks that a session ends when the API server refuses its credential.
func TestARefusedCredentialEndsItsSession(t *testing.T) {
	f := newFixture(t)
	f.route("GET /api/again", func(ctx context.Context, p *person, _ *http.Request) (any, error) {
		return nil, p.Create(ctx, &authenticationv1.SelfSubjectReview{})
	})
	token := f.cluster.user("ada")
	session := f.signedIn(token)
	again := call{method: http.MethodGet, path: "/api/again", session: session}
	if answer := f.do(again); answer.StatusCode != http.StatusOK {
		t.Fatalf("%d", answer.StatusCode)
	}
	f.cluster.forget(token)
	if answer := f.do(again); answer.StatusCode != http.StatusUnauthorized || f.meIs(session).SignedIn {
		t.Errorf("%d, and the session goes on: %t", answer.StatusCode, f.meIs(session).SignedIn)
	}
}

// TestAPassingFaultOfTheAPIServer checks that a session whose next credential cannot be checked now goes on after the fault, and that
// one whose next credential is refused ends.
func TestAPassingFaultOfTheAPIServer(t *testing.T) {
	for _, c := range []struct {
		code   int
		goesOn bool
	}{
		{http.StatusTooManyRequests, true}, {http.StatusInternalServerError, true}, {http.StatusServiceUnavailable, true},
		{http.StatusGatewayTimeout, true}, {http.StatusForbidden, true}, {http.StatusUnauthorized, false},
	} {
		f := newFixture(t)
		var renew func(context.Context) (*Credential, error)
		id := f.through("ada", func(of *Credential) {
			of.Until = f.fake.Now().Add(5 * time.Minute)
			renew = func(context.Context) (*Credential, error) {
				next := *of
				next.Until, next.Renew = f.fake.Now().Add(5*time.Minute), renew
				return &next, nil
			}
			of.Renew = renew
		})
		f.fake.Step(6 * time.Minute)
		f.cluster.answers(func(w http.ResponseWriter, _ *http.Request) {
			status(w, c.code, metav1.StatusReasonUnknown, "not now")
		})
		answer := f.do(call{method: http.MethodGet, path: "/api/test/shop/billing", session: id})
		if want := map[bool]int{true: http.StatusServiceUnavailable, false: http.StatusUnauthorized}[c.goesOn]; answer.StatusCode != want {
			t.Errorf("the API server answers %d: %d, want %d", c.code, answer.StatusCode, want)
		}
		f.cluster.answers(nil)
		if got := f.meIs(id).SignedIn; got != c.goesOn {
			t.Errorf("after the answer %d of the API server, the session goes on: %t, want %t", c.code, got, c.goesOn)
		}
	}
}

// TestRenewal checks when a credential is renewed, and when its session ends.
func TestRenewal(t *testing.T) {
	for _, c := range []struct {
		name string
		// life is that of the credential, and after is when the person comes back.
		life, after time.Duration
		next        string
		err         error
		renewals    int
		user        string
	}{
		{"early", 5 * time.Minute, 3 * time.Minute, "ada", nil, 0, "ada"},
		{"a minute before the end", 5 * time.Minute, 4 * time.Minute, "ada", nil, 1, "ada"},
		{"after the end", 5 * time.Minute, 6 * time.Minute, "ada", nil, 1, "ada"},
		{"before the end, and the provider is away", 5 * time.Minute, 4 * time.Minute, "", errors.New("away"), 1, "ada"},
		{"after the end, and the provider refuses", 5 * time.Minute, 6 * time.Minute, "", errors.New("revoked"), 1, ""},
		{"after the end, with the credential of another user", 5 * time.Minute, 6 * time.Minute, "eve", nil, 1, ""},
		{"half of a short life", time.Minute, 30 * time.Second, "ada", nil, 0, "ada"},
		{"the last quarter of a short life", time.Minute, 45 * time.Second, "ada", nil, 1, "ada"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			renewals := 0
			of := func(name string) *Credential {
				made, err := f.proven(&wire.Login{Token: f.cluster.user(name)})
				if err != nil {
					t.Fatal(err)
				}
				made.Until = f.fake.Now().Add(c.life)
				return made
			}
			first := of("ada")
			first.Renew = func(context.Context) (*Credential, error) {
				renewals++
				if c.err != nil {
					return nil, c.err
				}
				return of(c.next), nil
			}
			p, err := f.identify(t.Context(), first)
			if err != nil {
				t.Fatal(err)
			}
			_, id, err := f.sessions.begin(p)
			if err != nil {
				t.Fatal(err)
			}
			f.fake.Step(c.after)
			if got := f.meIs(id); got.User != c.user || renewals != c.renewals {
				t.Errorf("a session of %q after %d renewals, want %q after %d", got.User, renewals, c.user, c.renewals)
			}
		})
	}
}

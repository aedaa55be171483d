package console

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// device is the sessions of a person at a token service.
type device struct {
	mine  []wire.OwnSession
	ended []wire.EndSessions
	err   error
}

// List implements OwnSessions.
func (d *device) List(context.Context) (*wire.Mine, error) {
	return &wire.Mine{Sessions: d.mine}, d.err
}

// EndSessions implements OwnSessions.
func (d *device) EndSessions(_ context.Context, which *wire.EndSessions) (*wire.Ended, error) {
	d.ended = append(d.ended, *which)
	return &wire.Ended{Ended: 2}, d.err
}

// through signs a person in with a credential that a test changes.
func (f *fixture) through(name string, change func(*Credential)) (id string) {
	f.t.Helper()
	made, err := f.proven(&wire.Login{Token: f.cluster.user(name)})
	if err != nil {
		f.t.Fatal(err)
	}
	change(made)
	p, err := f.identify(f.t.Context(), made)
	if err != nil {
		f.t.Fatal(err)
	}
	_, id, err = f.sessions.begin(p)
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

// TestMine checks what a person can do with their own sessions, and when the console's own session ends with them.
func TestMine(t *testing.T) {
	unauthorized, away := apierrors.NewUnauthorized("ended"), apierrors.NewServiceUnavailable("away")
	for _, c := range []struct {
		name, method, path, body string
		err                      error
		code                     int
		says                     string
		goesOn                   bool
	}{
		{"list", "GET", "/api/mine", "", nil, 200, `"id":"here"`, true},
		{"end another", "POST", "/api/mine/end", `{"ids":["there"]}`, nil, 200, `{"ended":2}`, true},
		{"end others", "POST", "/api/mine/end", `{"others":true}`, nil, 200, `{"ended":2}`, true},
		{"end this one", "POST", "/api/mine/end", `{"ids":["there","here"]}`, nil, 200, `{"ended":2}`, false},
		{"end all", "POST", "/api/mine/end", `{"all":true}`, nil, 200, `{"ended":2}`, false},
		{"unknown field", "POST", "/api/mine/end", `{"user":"bob"}`, nil, 400, "not the JSON", true},
		{"ended from another device", "GET", "/api/mine", "", unauthorized, 401, "ended", false},
		{"away", "GET", "/api/mine", "", away, 503, "away", true},
		{"away while others end", "POST", "/api/mine/end", `{"others":true}`, away, 503, "away", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			own := &device{mine: []wire.OwnSession{{ID: "there"}, {ID: "here", Current: true}}, err: c.err}
			session := f.through("ada", func(made *Credential) { made.OwnSessions = own })
			if !f.meIs(session).OwnSessions {
				t.Error("the page does not know of them")
			}
			answer := f.do(call{method: c.method, path: c.path, body: c.body, session: session})
			if body := bodyOf(t, answer); answer.StatusCode != c.code || !strings.Contains(body, c.says) {
				t.Errorf("%d %s", answer.StatusCode, body)
			}
			if f.meIs(session).SignedIn != c.goesOn {
				t.Errorf("the session goes on: %t", !c.goesOn)
			}
		})
	}
	f := newFixture(t)
	session := f.signedIn(f.cluster.user("ada"))
	for _, c := range []call{{method: "GET", path: "/api/mine"}, {method: "POST", path: "/api/mine/end", body: `{"all":true}`}} {
		if answer := f.do(c); answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a session: %d", c.path, answer.StatusCode)
		}
		c.session = session
		if answer := f.do(c); answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s of a token: %d", c.path, answer.StatusCode)
		}
	}
}

// TestDrop checks that what a credential comes from is ended with its session, however that ends.
func TestDrop(t *testing.T) {
	for name, end := range map[string]func(f *fixture, session string){
		"idle":          func(f *fixture, session string) { f.fake.Step(31 * time.Minute); f.meIs(session) },
		"another login": func(f *fixture, session string) { f.try(wire.Login{Token: f.cluster.user("bob")}, session) },
		"sign-out": func(f *fixture, session string) {
			f.do(call{method: "POST", path: "/api/logout", body: "{}", session: session})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			dropped := make(chan struct{})
			end(f, f.through("ada", func(made *Credential) { made.Drop = func(context.Context) { close(dropped) } }))
			<-dropped
		})
	}
}

// TestASignInThatTheAPIServerRefuses checks that nothing is left of it at the provider.
func TestASignInThatTheAPIServerRefuses(t *testing.T) {
	dropped := make(chan struct{})
	provider := &planted{path: "/keys"}
	f := newFixture(t, func(o *Options) { o.SignIn = provider })
	made, err := f.proven(&wire.Login{Token: "unknown"})
	if err != nil {
		t.Fatal(err)
	}
	made.Drop = func(context.Context) { close(dropped) }
	provider.credential = made
	if answer := f.do(call{method: "GET", path: "/auth/callback"}); answer.Header.Get("Location") != "/signin?failed=Unauthorized&return=%2Fkeys" {
		t.Errorf("%d to %s", answer.StatusCode, answer.Header.Get("Location"))
	}
	<-dropped
	if answer := f.do(call{method: "GET", path: "/auth/logout?ticket=x"}); answer.Header.Get("Location") != "https://idp.example.com/leave" {
		t.Errorf("auth/logout: %d %v", answer.StatusCode, answer.Header)
	}
}

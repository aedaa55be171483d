package signin

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTheHintOfALogout checks that no id_token goes into a URL while it is a credential.
func TestTheHintOfALogout(t *testing.T) {
	for _, c := range []struct {
		forward Forward
		after   time.Duration
		hint    bool
	}{
		{IDToken, 9 * time.Minute, false}, {IDToken, 10 * time.Minute, true},
		{Exchange, 9 * time.Minute, false}, {Exchange, 10 * time.Minute, true}, {Impersonation, 0, true},
	} {
		f := newFixture(t, func(o *Config) { o.Forward = c.forward })
		f.service.will("/token", tokens(map[string]any{"refresh_token": "r1"}))
		one := f.signedIn(nil)
		f.fake.SetTime(f.fake.Now().Add(c.after))
		w := httptest.NewRecorder()
		f.Logout(w, httptest.NewRequest(http.MethodGet, "https://"+consoleHost+one.End(t.Context()), http.NoBody))
		to, err := url.Parse(w.Header().Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		hint := to.Query().Get("id_token_hint")
		if c.hint != (strings.Count(hint, ".") == 2) || c.hint == (to.Query().Get("logout_hint") == "jane") || to.Query().Get("client_id") != consoleID {
			t.Errorf("%s, after %s: the query has %q", c.forward, c.after, slices.Collect(maps.Keys(to.Query())))
		}
	}
}

// TestLogout checks that the page gets a ticket, which leads to the provider once.
func TestLogout(t *testing.T) {
	f := newFixture(t)
	follow := func(location string) *url.URL {
		w := httptest.NewRecorder()
		f.Logout(w, httptest.NewRequest(http.MethodGet, "https://"+consoleHost+location, http.NoBody))
		to, err := url.Parse(w.Header().Get("Location"))
		if err != nil || w.Code != http.StatusSeeOther {
			t.Fatalf("%d %v", w.Code, err)
		}
		return to
	}
	one := f.signedIn(nil)
	location := one.End(t.Context())
	if len(location) > 100 || strings.Contains(location, ".") {
		t.Errorf("the page gets %q", location)
	}
	to := follow(location)
	query := to.Query()
	if !strings.HasPrefix(to.String(), f.provider.URL+"/leave?") || query.Get("tenant") != "1" || query.Get("logout_hint") != "jane" ||
		query.Get("post_logout_redirect_uri") != "https://"+consoleHost+"/signin" || query.Get("client_id") != consoleID {
		t.Errorf("the browser goes to %s", to.Path)
	}
	for _, again := range []string{location, "/auth/logout", "/auth/logout?ticket=x"} {
		if got := follow(again).String(); got != "/signin" {
			t.Errorf("%s leads to %s", again, got)
		}
	}
	late := f.signedIn(nil).End(t.Context())
	f.fake.SetTime(f.fake.Now().Add(ticketLife))
	if got := follow(late).String(); got != "/signin" {
		t.Errorf("a late ticket leads to %s", got)
	}
	without := newFixture(t)
	without.provider.more["end_session_endpoint"] = "http://insecure.example.com"
	if got := without.signedIn(nil).End(t.Context()); got != "" {
		t.Errorf("a provider without an https end_session_endpoint: %q", got)
	}
}

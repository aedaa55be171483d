package signin

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// ticketLife is how long the browser has to follow a ticket.
const ticketLife = time.Minute

// tickets are where browsers end their session at the provider (RP-Initiated Logout 1.0). That URL can have the id_token, so the
// page gets a ticket, and the redirect of the ticket has the URL: no token reaches a script.
type tickets struct {
	clock  clock.PassiveClock
	random io.Reader

	mu  sync.Mutex
	all map[string]ticket
}

type ticket struct {
	location string
	until    time.Time
}

func newTickets(clock clock.PassiveClock, random io.Reader) *tickets {
	return &tickets{clock: clock, random: random, all: map[string]ticket{}}
}

// issue returns the ticket of a location.
func (t *tickets) issue(location string) (string, error) {
	name, err := newSecret(t.random)
	if err != nil {
		return "", err
	}
	now := t.clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for other, one := range t.all {
		if !now.Before(one.until) {
			delete(t.all, other)
		}
	}
	t.all[name] = ticket{location: location, until: now.Add(ticketLife)}
	return name, nil
}

// redeem returns the location of a ticket, once.
func (t *tickets) redeem(name string) (location string, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one, known := t.all[name]
	delete(t.all, name)
	return one.location, known && t.clock.Now().Before(one.until)
}

// leave returns where the page sends the browser after a sign-out; empty if the provider has no end_session_endpoint.
func (l *login) leave(ctx context.Context) string {
	found, err := l.provider.metadata(ctx)
	if err != nil || found.EndSession == "" {
		return ""
	}
	to, err := url.Parse(found.EndSession)
	if err != nil {
		return ""
	}
	l.mu.Lock()
	id := l.id
	l.mu.Unlock()
	query := to.Query()
	if l.Forward == Impersonation || !l.Clock.Now().Before(id.until) {
		query.Set("id_token_hint", id.compact)
	} else {
		// The API server or the token service still takes the id_token, and a browser keeps URLs.
		query.Set("logout_hint", id.text("sub"))
	}
	query.Set("client_id", l.ClientID)
	query.Set("post_logout_redirect_uri", l.at(l.host, "signin"))
	to.RawQuery = query.Encode()
	name, err := l.tickets.issue(to.String())
	if err != nil {
		return ""
	}
	return l.BasePath + "auth/logout?ticket=" + name
}

// Logout implements console.SignIn.
func (s *OIDC) Logout(w http.ResponseWriter, r *http.Request) {
	location, known := s.tickets.redeem(single(r.URL.Query(), "ticket"))
	if !known {
		location = s.BasePath + "signin"
	}
	http.Redirect(w, r, location, http.StatusSeeOther)
}

package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/registry"
)

// TestProviderAway: a provider that cannot be asked has not refused anybody.
func TestProviderAway(t *testing.T) {
	elsewhere := newIDP(t)
	broken := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) }
	for _, c := range []struct {
		name, path string
		answer     http.HandlerFunc
	}{
		{"what it says of itself", "/.well-known/openid-configuration", broken},
		{"its keys", "/keys", broken},
		{"a redirect to another host", "/keys", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/keys", http.StatusFound)
		}},
		{"more than is read", "/keys", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat(" ", upstreamBody) + `]}`))
		}},
		{"not what it says", "/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newIDP(t)
			p.respond(c.path, c.answer)
			clock := clocktesting.NewFakePassiveClock(noon)
			providers := NewProviders(clock)
			compact := p.sign(t, "k1", p.claims(nil))
			if person, err := providers.Verify(context.Background(), p.entry(), compact); !errors.Is(err, registry.ErrUnavailable) {
				t.Fatalf("%+v, %v", person, err)
			}
			if len(elsewhere.requests()) > 0 {
				t.Error("the redirect was followed")
			}
			p.respond(c.path, nil)
			clock.SetTime(noon.Add(upstreamEvery))
			if _, err := providers.Verify(context.Background(), p.entry(), compact); err != nil {
				t.Errorf("it does not heal: %v", err)
			}
		})
	}
}

// TestProviderRotatesItsKey: a key that is new to us is fetched.
func TestProviderRotatesItsKey(t *testing.T) {
	p := newIDP(t)
	clock := clocktesting.NewFakePassiveClock(noon)
	providers := NewProviders(clock)
	if _, err := providers.Verify(context.Background(), p.entry(), p.sign(t, "k1", p.claims(nil))); err != nil {
		t.Fatal(err)
	}
	next := newIDP(t).key
	p.key = next
	p.publish("k2", next.Public())
	clock.SetTime(noon.Add(upstreamEvery))
	if _, err := providers.Verify(context.Background(), p.entry(), p.sign(t, "k2", p.claims(nil))); err != nil {
		t.Error(err)
	}
}

func TestClaimedIssuer(t *testing.T) {
	p := newIDP(t)
	for compact, want := range map[string]string{
		p.sign(t, "k1", p.claims(nil)): p.URL, "": "", "a.b": "", "a.b.c": "", "a.!.c": "", "a.bnVsbA.c": "", "a.eyJpc3MiOjd9.c": "", strings.Repeat(".", 1000): "",
	} {
		if got := ClaimedIssuer(compact); got != want {
			t.Errorf("%.20q is said to be of %q, want %q", compact, got, want)
		}
	}
}

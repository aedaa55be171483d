package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// TestProviderAway checks that the failure of a provider returns ErrUnavailable, and not a refusal.
func TestProviderAway(t *testing.T) {
	elsewhere := newIDP(t)
	broken := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) }
	for _, c := range []struct {
		name, path string
		answer     http.HandlerFunc
	}{
		{"its discovery document", "/.well-known/openid-configuration", broken},
		{"its keys", "/keys", broken},
		{"a redirect to another host", "/keys", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/keys", http.StatusFound)
		}},
		{"an answer that is too long", "/keys", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat(" ", upstreamBody) + `]}`))
		}},
		{"a discovery document that is not JSON", "/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newIDP(t)
			p.respond(c.path, c.answer)
			clock := clocktesting.NewFakePassiveClock(noon)
			providers := NewProviders(clock)
			compact := p.sign(t, "k1", p.claims(nil))
			if person, err := providers.Verify(context.Background(), p.entry(), compact); !errors.Is(err, upstream.ErrUnavailable) {
				t.Fatalf("%+v, %v", person, err)
			}
			if len(elsewhere.requests()) > 0 {
				t.Error("the redirect was followed")
			}
			p.respond(c.path, nil)
			clock.SetTime(noon.Add(upstreamEvery))
			if _, err := providers.Verify(context.Background(), p.entry(), compact); err != nil {
				t.Errorf("it does not recover: %v", err)
			}
		})
	}
}

// TestProviderRotatesItsKey checks that an unknown key is fetched.
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
			t.Errorf("the issuer of %.20q is %q, want %q", compact, got, want)
		}
	}
}

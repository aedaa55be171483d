package grant

import (
	"context"
	"errors"
	"testing"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/session"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// stale is a registry with a view that may be too old. It has no other methods, so a grant that asks it anything
// panics.
type stale struct{ Registry }

func (stale) Fresh() error { return upstream.ErrUnavailable }

// newGrant is a grant that a contributor might add. It does not check the freshness of the view.
type newGrant struct{}

func (newGrant) Check(*registry.Issuer) error { return nil }

func (newGrant) Answer(context.Context, *Fresh, *registry.Issuer, *Outcome) (*oauth.TokenAnswer, error) {
	return &oauth.TokenAnswer{}, nil
}

// TestNothingIsAnsweredFromAStaleView checks that the freshness of the view is checked before every grant, also
// before one that has no code for it.
func TestNothingIsAnsweredFromAStaleView(t *testing.T) {
	s, err := New(Options{Registry: stale{}})
	if err != nil {
		t.Fatal(err)
	}
	issuer := &registry.Issuer{Login: registry.Login{Passwords: "people"}}
	ask := func(request Request) func() error {
		return func() error { _, err := s.Token(t.Context(), issuer, request, &Outcome{}); return err }
	}
	for name, answer := range map[string]func() error{
		"a new grant": ask(newGrant{}),
		"a refresh":   ask(&RefreshRequest{Token: "x"}),
		"an exchange": ask(&LoginRequest{&session.ExchangeLogin{SubjectToken: "x", SubjectTokenType: oauth.TypeJWT}}),
		"a password":  ask(&LoginRequest{&session.PasswordLogin{Username: "jane", Password: "x"}}),
		"a logout":    func() error { return s.Revoke(t.Context(), issuer, "x", "", &Outcome{}) },
		"a list of sessions": func() error {
			_, err := s.Sessions(t.Context(), issuer, &AccessRequest{Token: "x"}, &Outcome{})
			return err
		},
		"an end of sessions": func() error {
			_, err := s.EndSessions(t.Context(), issuer, &AccessRequest{Token: "x"}, &oauth.EndRequest{All: true}, &Outcome{})
			return err
		},
		"a question": func() error {
			_, err := s.Introspect(t.Context(), issuer, "x", "", nil, &Outcome{})
			return err
		},
	} {
		if err := answer(); !errors.Is(err, upstream.ErrUnavailable) {
			t.Errorf("%s on a stale view: %v", name, err)
		}
	}
}

package grant

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/line"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// TestAModeThatTheViewLacks checks that a refresh key of another mode is not decided on by the one-time
// table. The view has only a slim copy, so an advance would drop most of its status, and its superseded tokens are
// not stolen.
func TestAModeThatTheViewLacks(t *testing.T) {
	for revision, name := range map[int64]string{1: "the superseded token", 2: "the current token"} {
		s := newFixture(t, "")
		s.Hold(true)
		s.Edit(till, func(k *v1alpha1.JWTRefreshKey) { k.Spec.Rotation.Mode = v1alpha1.RotationScheduled })
		before := s.Stored(till)
		if _, err := s.claim(revision); !errors.Is(err, upstream.ErrUnavailable) {
			t.Errorf("%s of a key that is now in mode Scheduled: %v; want that it is unavailable", name, err)
		}
		if after := s.Stored(till); after.ResourceVersion != before.ResourceVersion {
			t.Errorf("%s of a key that is now in mode Scheduled: the key was written, to revision %d, revoked %q", name, after.Status.Revision, after.Status.RevocationReason)
		}
	}
}

// TestAReuseThatIsNoneAtTheAPIServer checks that a reuse that the API server does not confirm is decided on again,
// and not refused permanently.
func TestAReuseThatIsNoneAtTheAPIServer(t *testing.T) {
	s := newFixture(t, "")
	s.Hold(true)
	if _, err := s.KeyLive(t.Context(), till, "1"); err != nil {
		t.Fatal(err)
	}
	// The mode was changed after the key was read for this token.
	s.Edit(till, func(k *v1alpha1.JWTRefreshKey) { k.Spec.Rotation.Mode = v1alpha1.RotationScheduled })
	_, err := s.claim(1)
	if refusal := (*oauth.Error)(nil); errors.As(err, &refusal) || !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("the answer is %v; want that it is unavailable", err)
	}
	if s.Stored(till).Status.RevokedAt != nil {
		t.Error("the line of a Scheduled key was ended for a reuse")
	}
}

// TestALogoutWithABoundTokenThatWasFollowed checks that a logout with a bound token that was followed ends the
// line: a client that holds the client key can exchange the token.
func TestALogoutWithABoundTokenThatWasFollowed(t *testing.T) {
	for _, c := range []struct {
		name, thumbprint string
		first            int64
		want             v1alpha1.RevocationReason
	}{
		{name: "bound", thumbprint: thumbprintOfATill, want: v1alpha1.RevokedLogout},
		{name: "bound, of a line that was ended", thumbprint: thumbprintOfATill, first: 2},
		{name: "not bound, and used a week ago"},
	} {
		s := newFixture(t, c.thumbprint)
		s.Edit(till, func(k *v1alpha1.JWTRefreshKey) { k.Status.FirstRevision = c.first })
		if err := s.service.Revoke(context.Background(), s.issuer, s.tokens[1], "", &Outcome{}); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := s.Stored(till).Status.RevocationReason; got != c.want {
			t.Errorf("a logout with a token that is %s: the revocation is %q, want %q", c.name, got, c.want)
		}
	}
}

const thumbprintOfATill = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

// TestATokenThatIsRefusedCostsFewReads checks that a refused token causes few reads at the token and revocation
// endpoints, however often it is sent.
func TestATokenThatIsRefusedCostsFewReads(t *testing.T) {
	const times = 50
	for name, present := range map[string]func(*fixture) error{
		"an exchange": func(s *fixture) error { _, err := s.claim(1); return err },
		"a logout": func(s *fixture) error {
			return s.service.Revoke(context.Background(), s.issuer, s.tokens[1], "", &Outcome{})
		},
	} {
		s := newFixture(t, "")
		// A later enrolment, before its first use: the token is refused, and ends no line.
		s.Edit(till, func(k *v1alpha1.JWTRefreshKey) { k.Status.LastUsedRevision = 0 })
		for range times {
			_ = present(s)
		}
		reads, status := s.Counts().Reads, s.Stored(till).Status
		if reads > 1 || status.RevokedAt != nil {
			t.Errorf("%s, %d times with a token that is refused: %d reads at the API server, want 1 at the most; revoked %q", name, times, reads, status.RevocationReason)
		}
	}
}

// TestACurrentTokenAtItsEnd checks that an expired current token is not handed out for an earlier token that ends
// later.
func TestACurrentTokenAtItsEnd(t *testing.T) {
	s := newFixture(t, thumbprintOfATill)
	signer, err := s.issuer.Rings.Signer(keyring.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	key := s.Stored(till)
	key.Spec.Lifetime = &metav1.Duration{Duration: time.Hour}
	mint, err := lifecycle.Successor(key, s.issuer.URL, s.claims[2].IssuedAt)
	if err != nil {
		t.Fatal(err)
	}
	_, made, err := line.Mint(key, &mint, "short", signer)
	if err != nil {
		t.Fatal(err)
	}
	key.Status.TokenLine, key.Status.LastUsedRevision = made.Line(nil), 2
	s.Put(key)
	if next, err := s.claim(2); next != "" || err != nil {
		t.Errorf("the holder of a token for 720h gets a current one that ended after 1h (%v, %v); want that it keeps its own", next != "", err)
	}
}

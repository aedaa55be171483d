package grant

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/line"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
	"github.com/refreshkeys/refreshkeys/test/framework/signing"
)

// justProven is a registry with a view that has just been proven. It has no other methods.
type justProven struct{ Registry }

func (justProven) KeysProven(string) time.Duration { return 0 }

// TestWhatAHolderProves checks how decideOnce reads bindings. The refresh key has two tokens, and the first was
// used a week ago.
func TestWhatAHolderProves(t *testing.T) {
	const url, bound, other = "https://tokens.example.com", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "another-thumbprint"
	start := time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)
	rings := signing.Next(t, nil, start)
	rings = signing.Next(t, rings, start.Add(signing.Schedule.Prepublish))
	signer, err := rings.Signer(keyring.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		// presented and current are the bindings of the two tokens; at is the issuer of the current one.
		presented, current, proven, at string
		damaged                        bool
		want                           lifecycle.OneTimeAnswer
		err                            error
	}{
		{name: "bound, and proven", presented: bound, current: bound, proven: bound, at: url, want: lifecycle.OneTimeCurrent},
		{name: "not bound, and a voluntary proof", proven: bound, at: url, want: lifecycle.OneTimeReused},
		{name: "not bound, a voluntary proof, and the current one is bound to it", current: bound, proven: bound, at: url, want: lifecycle.OneTimeReused},
		{name: "bound, and the current one to another key", presented: bound, current: other, proven: bound, at: url, want: lifecycle.OneTimeReused},
		{name: "bound, and the current one to none", presented: bound, proven: bound, at: url, want: lifecycle.OneTimeReused},
		{name: "bound, and the key was enrolled at another issuer", presented: bound, current: bound, proven: bound, at: "https://other.example.com", want: lifecycle.OneTimeRefused},
		{name: "bound, and the record is damaged", presented: bound, current: bound, proven: bound, at: url, damaged: true, err: upstream.ErrUnavailable},
		{name: "not bound, and the record is damaged", at: url, damaged: true, want: lifecycle.OneTimeReused},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			key := &v1alpha1.JWTRefreshKey{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "till", UID: "uid"}}
			mint := &lifecycle.Mint{
				Terms:    lifecycle.Terms{Issuer: c.at, Audience: "https://orders.example.com", Subject: "refreshkey:shop:till", JWKThumbprint: c.current},
				Revision: 2, CreatedAt: start, ExpiresAt: start.Add(720 * time.Hour),
			}
			_, made, err := line.Mint(key, mint, "second", signer)
			if err != nil {
				t.Fatal(err)
			}
			key.Status.TokenLine, key.Status.LastUsedRevision = made.Line(nil), 1
			if c.damaged {
				key.Status.Content.Raw = []byte("{}")
			}
			s := &Fresh{registry: justProven{}, Service: &Service{clock: clocktesting.NewFakePassiveClock(start.Add(7 * 24 * time.Hour))}}
			e := &exchange{
				issuer: &registry.Issuer{URL: url}, proven: proven(c.proven),
				claims: &token.Claims{JTI: "first", JWKThumbprint: c.presented, Object: token.Object{Namespace: "shop", Name: "till", UID: "uid", Revision: 1}},
			}
			got, err := s.decideOnce(e, key, true)
			if !errors.Is(err, c.err) || (err == nil && got != c.want) {
				t.Errorf("the answer is %d, %v; want %d, %v", got, err, c.want, c.err)
			}
		})
	}
}

// TestOneTimeAnswersThatAreNotFinal checks that an answer which a later try can change is "unavailable" and never invalid_grant.
func TestOneTimeAnswersThatAreNotFinal(t *testing.T) {
	for _, answer := range []lifecycle.OneTimeAnswer{lifecycle.OneTimeUnrecorded, lifecycle.OneTimeWaits, lifecycle.OneTimeUnknown} {
		if _, err := (&Fresh{}).answerOnce(t.Context(), &exchange{}, answer); !errors.Is(err, upstream.ErrUnavailable) {
			t.Errorf("answer %d: %v", answer, err)
		}
	}
	var refusal *oauth.Error
	if _, err := (&Fresh{}).answerOnce(t.Context(), &exchange{}, lifecycle.OneTimeRefused); !errors.As(err, &refusal) || refusal.Code != oauth.InvalidGrant {
		t.Errorf("a final refusal: %v", err)
	}
}

package registry

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/internal/memo"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// TestLookUp checks how many lists unknown issuers and signing keys cause: one for each in rememberFor, none for a name
// that is too long, and none above the limit.
func TestLookUp(t *testing.T) {
	clock := clocktesting.NewFakeClock(day0)
	c := &Cluster{
		options: Options{Monotonic: clock}, unknown: memo.New[unknown, struct{}](rememberedUnknown, clock), lookUpLimiter: rate.NewLimiter(0, 3),
	}
	failed, cached := errors.New("failed"), map[unknown]bool{}
	for _, step := range []struct {
		name   string
		what   unknown
		pass   time.Duration
		answer error
		lists  int
		want   error
	}{
		{"an unknown issuer", unknown{url: "https://a.example.com"}, 0, nil, 1, nil},
		{"again", unknown{url: "https://a.example.com"}, rememberFor - 1, nil, 0, nil},
		{"again, when it is forgotten", unknown{url: "https://a.example.com"}, 1, nil, 1, nil},
		{"a URL that is too long", unknown{url: strings.Repeat("x", longestIssuerURL+1)}, 0, nil, 0, nil},
		{"a kid that is too long", unknown{ringsOf: "default", kid: strings.Repeat("x", longestKID+1)}, 0, nil, 0, nil},
		{"an unknown kid, without an answer", unknown{ringsOf: "default", kid: strings.Repeat("x", longestKID)}, 0, failed, 1, failed},
		{"the same, above the limit", unknown{ringsOf: "default", kid: strings.Repeat("x", longestKID)}, 0, nil, 0, upstream.ErrUnavailable},
	} {
		clock.Step(step.pass)
		lists := 0
		err := c.lookUp(t.Context(), step.what, func(context.Context) error { lists++; return step.answer })
		if lists != step.lists || !errors.Is(err, step.want) {
			t.Errorf("%s: %d lists and %v, want %d and %v", step.name, lists, err, step.lists, step.want)
		}
		if _, known := c.unknown.Get(step.what); known {
			cached[step.what] = true
		}
	}
	if len(cached) != 1 {
		t.Errorf("%d names are cached", len(cached))
	}
}

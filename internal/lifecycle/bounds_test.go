package lifecycle

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// TestMessagesStateTheBounds checks that the bounds in messages are those that validate compares with.
func TestMessagesStateTheBounds(t *testing.T) {
	stated := regexp.MustCompile(`(?:between|and|at least|less than) ([0-9]+[hms])`)
	for _, c := range []struct {
		name   string
		given  func(*situation)
		bounds []time.Duration
	}{
		{"lifetime", func(s *situation) { s.Key.Spec.Lifetime = duration(minLifetime - time.Second) }, []time.Duration{minLifetime, maxLifetime}},
		{"access token", func(s *situation) {
			s.Key.Spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: duration(maxAccessLifetime + time.Second)}
		}, []time.Duration{minAccessLifetime, maxAccessLifetime}},
		{"idleTimeout", func(s *situation) { s.Key.Spec.IdleTimeout = duration(minIdleTimeout - time.Second) }, []time.Duration{minIdleTimeout}},
		{"access token in the Secret", withAccess(func(s *situation) {
			s.Key.Spec.AccessToken = &v1alpha1.KeyAccessTokenSpec{Lifetime: duration(minKeptAccessLifetime - time.Second)}
		}), []time.Duration{minKeptAccessLifetime}},
	} {
		s := settled()
		c.given(s)
		message := Decide(s.Observed, t0.Add(hour)).Verdict.Message
		var bounds []time.Duration
		for _, found := range stated.FindAllStringSubmatch(message, -1) {
			bound, err := time.ParseDuration(found[1])
			if err != nil {
				t.Fatal(err)
			}
			bounds = append(bounds, bound)
		}
		if !slices.Equal(bounds, c.bounds) {
			t.Errorf("%s: %q states %s, and validate compares with %s", c.name, message, bounds, c.bounds)
		}
	}
}

// TestTheLongestPayloadFits checks that the longest payload makes a token that is accepted, and that the message states
// the limit.
func TestTheLongestPayloadFits(t *testing.T) {
	header := fmt.Sprintf(`{"alg":"RS256","kid":"%43d","typ":"%s"}`, 1, token.Refresh)
	length := len("..")
	for _, size := range []int{len(header), maxPayload, 3072 / 8} {
		length += base64.RawURLEncoding.EncodedLen(size)
	}
	if length > token.MaxLength {
		t.Errorf("a payload of %d bytes makes a token of %d bytes", maxPayload, length)
	}
	s := settled()
	s.Key.Spec.Claims = map[string]apiextensionsv1.JSON{"email": raw(`"` + strings.Repeat("x", 4000) + `"`)}
	for i := range 20 {
		s.Key.Spec.Scopes = append(s.Key.Spec.Scopes, fmt.Sprintf("orders:%0100d", i))
	}
	limit := fmt.Sprintf("limit of %d KiB", token.MaxLength>>10)
	if message := Decide(s.Observed, t0.Add(hour)).Verdict.Message; !strings.Contains(message, limit) {
		t.Errorf("%q does not state the %s", message, limit)
	}
}

package grant

import (
	"context"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/line"
	"github.com/refreshkeys/refreshkeys/internal/policy"
	"github.com/refreshkeys/refreshkeys/internal/registry"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/internal/usage"
	"github.com/refreshkeys/refreshkeys/test/framework/memory"
	"github.com/refreshkeys/refreshkeys/test/framework/signing"
)

// till is the refresh key of a fixture.
var till = types.NamespacedName{Namespace: "shop", Name: "till"}

// fixture is a one-time key with two tokens: the first was used a week ago, and the second is current.
type fixture struct {
	*memory.Registry
	service *Fresh
	issuer  *registry.Issuer
	tokens  map[int64]string
	claims  map[int64]*token.Claims
}

func newFixture(t *testing.T, thumbprint string) *fixture {
	t.Helper()
	const url = "https://tokens.example.com"
	start := time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)
	rings := signing.Next(t, nil, start)
	rings = signing.Next(t, rings, start.Add(signing.Schedule.Prepublish))
	signer, err := rings.Signer(keyring.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	granted, err := policy.Compile(&v1alpha1.JWTIssuerSpec{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	key := &v1alpha1.JWTRefreshKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "till", UID: "uid"},
		Spec: v1alpha1.JWTRefreshKeySpec{
			Audience: "https://orders.example.com", Rotation: &v1alpha1.RotationSpec{Mode: v1alpha1.RotationOneTimeUse},
			Secret: &v1alpha1.SecretSpec{Mode: v1alpha1.SecretNone},
		},
	}
	if thumbprint != "" {
		key.Spec.Binding = &v1alpha1.BindingSpec{JWKThumbprint: thumbprint}
	}
	s := &fixture{issuer: &registry.Issuer{URL: url, Policy: granted, Rings: rings}, tokens: map[int64]string{}, claims: map[int64]*token.Claims{}}
	for revision := range int64(2) {
		mint, err := lifecycle.Successor(key, url, start)
		if err != nil {
			t.Fatal(err)
		}
		compact, made, err := line.Mint(key, &mint, strconv.FormatInt(revision+1, 10), signer)
		if err != nil {
			t.Fatal(err)
		}
		key.Status.TokenLine, key.Status.LastUsedRevision = made.Line(nil), revision
		s.tokens[revision+1] = compact
		if s.claims[revision+1], err = token.Made(compact); err != nil {
			t.Fatal(err)
		}
	}
	clock := clocktesting.NewFakePassiveClock(start.Add(7 * 24 * time.Hour))
	s.Registry = memory.New(clock)
	s.PutNamespace(till.Namespace, nil)
	s.Put(key)
	id := 2
	service, err := New(Options{Registry: s.Registry, Clock: clock, NewID: func() string { id++; return strconv.Itoa(id) }})
	if err != nil {
		t.Fatal(err)
	}
	s.service = &Fresh{Service: service, registry: s.Registry}
	return s
}

// claim uses the token of a revision, on the refresh key of the view.
func (s *fixture) claim(revision int64) (string, error) {
	return s.service.claim(context.Background(), &exchange{
		issuer: s.issuer, presented: s.tokens[revision], claims: s.claims[revision], key: s.Key(till),
		proven: proven(s.claims[revision].JWKThumbprint), use: &usage.Use{Revision: revision},
	})
}

package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes/fake"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/upstream"
)

// TestATokenEndpointThatHangs checks that the redemption of a code ends in time, and that codes which wait are bounded.
func TestATokenEndpointThatHangs(t *testing.T) {
	p := newIDP(t)
	clock := clocktesting.NewFakePassiveClock(noon)
	providers := NewProviders(clock)
	providers.within = 200 * time.Millisecond
	flows, err := NewCodeFlows(providers, NewClientProofs(fake.NewClientset(), "refreshkeys-system", "", clock))
	if err != nil {
		t.Fatal(err)
	}
	entry := p.entry()
	entry.Client = &v1alpha1.ProviderClient{ID: "web"}
	flow := &Flow{RedirectURI: "https://tokens.example.com/authorize/callback/x", State: "s", Nonce: "n", Verifier: strings.Repeat("v", 43)}
	if _, err := flows.AuthorizationURL(t.Context(), entry, flow); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	p.respond("/token", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-over:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(over) })
	for _, address := range []string{"192.0.2.1", "192.0.2.2"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := flows.Redeem(ctx, entry, flow, &FlowAnswer{Code: "x", Address: address})
		if !errors.Is(err, upstream.ErrUnavailable) || ctx.Err() != nil {
			t.Errorf("a code gets: %v", err)
		}
		cancel()
	}
	found, err := providers.provider(entry)
	if err != nil {
		t.Fatal(err)
	}
	if waiting := len(found.redeeming); waiting != 0 || cap(found.redeeming) != mostWaiting {
		t.Errorf("%d of %d codes are still redeemed", waiting, cap(found.redeeming))
	}
	asked := p.count("/token")
	for range mostWaiting {
		found.redeeming <- struct{}{}
	}
	if _, err := flows.Redeem(t.Context(), entry, flow, &FlowAnswer{Code: "x", Address: "192.0.2.3"}); !errors.Is(err, upstream.ErrUnavailable) || p.count("/token") != asked {
		t.Errorf("a code above the bound gets: %v", err)
	}
}

// TestAnAssertionWithoutAName checks the message where the token service does not know its own ServiceAccount.
func TestAnAssertionWithoutAName(t *testing.T) {
	proofs := NewClientProofs(fake.NewClientset(), "refreshkeys-system", "", clocktesting.NewFakePassiveClock(noon))
	if _, err := proofs.assertion(t.Context(), "https://idp.example.com"); !errors.Is(err, upstream.ErrUnavailable) || !strings.Contains(err.Error(), "--service-account") {
		t.Error(err)
	}
}

// TestRequestsForProofsAreBounded checks that people who sign in cannot make the service read Secrets without a limit.
func TestRequestsForProofsAreBounded(t *testing.T) {
	clients := fake.NewClientset()
	proofs := NewClientProofs(clients, "refreshkeys-system", "", clocktesting.NewFakePassiveClock(noon))
	for range 3 * proofsPerSecond {
		if _, err := proofs.secret(t.Context(), "office"); !errors.Is(err, upstream.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if asked := len(clients.Actions()); asked != proofsPerSecond {
		t.Errorf("%d requests, want %d", asked, proofsPerSecond)
	}
}

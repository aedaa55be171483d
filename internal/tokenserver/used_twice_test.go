package tokenserver_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/authorize"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/replica"
)

// usedTwice is why a second use of a code would get no session.
type usedTwice struct {
	name   string
	change func(*v1alpha1.JWTIssuer)
	// asks are the parameters that the second use has besides.
	asks []string
	// want is what a use gets that does not end the session.
	want string
}

func onlyAsks(*v1alpha1.JWTIssuer) {}

// TestACodeUsedTwiceEndsItsSession checks a second redemption that the declaration of the client, the policy or the request itself refuses.
func TestACodeUsedTwiceEndsItsSession(t *testing.T) {
	for _, c := range []usedTwice{
		{"another redirect URI", func(i *v1alpha1.JWTIssuer) {
			i.Spec.Login.Clients[0].RedirectURIs = []string{"https://new.example.com"}
		}, nil, "400 unauthorized_client"},
		{"fewer scopes", func(i *v1alpha1.JWTIssuer) { i.Spec.Login.Clients[0].Scopes = []string{"openid"} }, nil, "400 unauthorized_client"},
		{"no client any more", func(i *v1alpha1.JWTIssuer) { i.Spec.Login.Clients = i.Spec.Login.Clients[1:] }, nil, "400 unauthorized_client"},
		{"no grant any more", func(i *v1alpha1.JWTIssuer) { i.Spec.Policy.Rules[0].Scopes = nil }, nil, "400 invalid_scope"},
		{"another resource", onlyAsks, []string{"resource", "https://bank.example.com"}, "400 invalid_target"},
	} {
		r := withClients(t)
		b := open(t, r)
		code, unused := b.code(), b.code()
		if got := redeem(r, code); got.outcome() != "200" {
			t.Fatal(got.raw)
		}
		c.change(r.Issuer)
		r.PutIssuer(r.Issuer, r.Rings)
		if got := redeem(r, unused, c.asks...); got.outcome() != c.want {
			t.Errorf("%s, the first redemption: %s, want %s", c.name, got.raw, c.want)
		}
		got := redeem(r, code, append(c.asks, "redirect_uri", "https://other.example.com")...)
		if got.outcome() != "400 invalid_grant" || onlySession(t, r).Status.RevokedAt != nil {
			t.Errorf("%s, the second redemption without the redirect URI: %s, %+v", c.name, got.raw, onlySession(t, r).Status)
		}
		got = redeem(r, code, c.asks...)
		if status := onlySession(t, r).Status; got.outcome() != "400 invalid_grant" || status.RevocationReason != v1alpha1.RevokedReuseDetected {
			t.Errorf("%s, the second redemption: %s, and the session is %+v", c.name, got.raw, status)
		}
	}
}

// TestALaterClaimEndsTheSession checks a later claim that the declaration of the client, the policy or the request itself refuses. While the answer
// can be repeated and is unused, such a claim is refused and ends nothing.
func TestALaterClaimEndsTheSession(t *testing.T) {
	for _, c := range []usedTwice{
		{"no device any more", func(i *v1alpha1.JWTIssuer) { i.Spec.Login.Clients[0].Device = nil }, nil, "400 unauthorized_client"},
		{"more scopes", func(i *v1alpha1.JWTIssuer) {
			i.Spec.Login.Clients[0].Scopes = append(i.Spec.Login.Clients[0].Scopes, "orders.write")
		}, nil, "400 unauthorized_client"},
		{"another resource", onlyAsks, []string{"resource", "https://bank.example.com"}, "400 invalid_target"},
		{"no grant any more", func(i *v1alpha1.JWTIssuer) { i.Spec.Policy.Rules[0].Scopes = nil }, nil, "400 invalid_scope"},
		{"shorter sessions", func(i *v1alpha1.JWTIssuer) { i.Spec.Login.SessionLifetime = &metav1.Duration{Duration: time.Hour} }, nil, "400 invalid_grant"},
	} {
		for _, how := range []string{"later", "after a use", "with a key"} {
			r := withDevices(t)
			device, key := startDevice(t, r), newDevice(t, r)
			open(t, r).decides(device.shown, "allow")
			claim := func(asks ...string) *answer {
				forward(r, authorize.PollInterval)
				if how != "with a key" {
					return device.pollNow(r, nil, asks...)
				}
				key.nonce = ""
				key.nonce = device.pollNow(r, proofs(key)).header.Get("DPoP-Nonce")
				return device.pollNow(r, proofs(key), asks...)
			}
			first := claim()
			if first.outcome() != "200" {
				t.Fatal(first.raw)
			}
			if how == "after a use" {
				used(t, r, first)
			}
			c.change(r.Issuer)
			r.PutIssuer(r.Issuer, r.Rings)
			if how != "after a use" {
				if got := claim(c.asks...); got.outcome() != c.want || onlySession(t, r).Status.RevokedAt != nil {
					t.Errorf("%s, %s, at once: %s, want %s; the session is %+v", c.name, how, got.raw, c.want, onlySession(t, r).Status)
				}
				forward(r, authorize.ClaimAgain)
			}
			got := claim(c.asks...)
			if status := onlySession(t, r).Status; got.outcome() != "400 invalid_grant" || status.RevocationReason != v1alpha1.RevokedReuseDetected {
				t.Errorf("%s, %s: %s, and the session is %+v", c.name, how, got.raw, status)
			}
		}
	}
}

// used exchanges the first refresh token of a device.
func used(t *testing.T, r *replica.Replica, tokens *answer) {
	t.Helper()
	refresh := url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {tokens.text("refresh_token")}}
	if got := ask(r, http.MethodPost, "/tenant/token", refresh); got.outcome() != "200" {
		t.Fatal(got.raw)
	}
}

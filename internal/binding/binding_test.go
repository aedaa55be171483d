package binding

import (
	"errors"
	"testing"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/dpop"
	"github.com/refreshkeys/refreshkeys/internal/identity"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// TestSatisfies checks that the client must prove both the binding in the token and the current binding of its
// refresh key.
func TestSatisfies(t *testing.T) {
	account := func(namespace, name string) Proven {
		return Proven{Account: &identity.ServiceAccount{Namespace: namespace, Name: name, UID: "u"}}
	}
	key := Proven{Proven: dpop.Proven{Thumbprint: "t"}}
	both := account("shop", "orders")
	both.Thumbprint = "t"
	for _, c := range []struct {
		name           string
		client         Proven
		account, print string
		binding        *v1alpha1.BindingSpec
		want           oauth.Code
	}{
		{name: "nothing asked, nothing proven"},
		{name: "nothing asked, all proven", client: both},
		{name: "the ServiceAccount", client: account("shop", "orders"), account: "orders"},
		{name: "no ServiceAccount", account: "orders", want: oauth.InvalidClient},
		{name: "another ServiceAccount", client: account("shop", "billing"), account: "orders", want: oauth.InvalidClient},
		{name: "another namespace's", client: account("other", "orders"), account: "orders", want: oauth.InvalidClient},
		{name: "a key instead of the ServiceAccount", client: key, account: "orders", want: oauth.InvalidClient},
		{name: "the key", client: key, print: "t"},
		{name: "no key", print: "t", want: oauth.InvalidDPoPProof},
		{name: "another key", client: key, print: "u", want: oauth.InvalidDPoPProof},
		{name: "a ServiceAccount instead of the key", client: account("shop", "orders"), print: "t", want: oauth.InvalidDPoPProof},
		{name: "both", client: both, account: "orders", print: "t"},
		{name: "both asked, one proven", client: key, account: "orders", print: "t", want: oauth.InvalidClient},
		{name: "both asked, the other proven", client: account("shop", "orders"), account: "orders", print: "t", want: oauth.InvalidDPoPProof},
		{name: "asked by the key only", binding: &v1alpha1.BindingSpec{ServiceAccountName: "orders"}, want: oauth.InvalidClient},
		{name: "asked by the key only, and proven", client: account("shop", "orders"), binding: &v1alpha1.BindingSpec{ServiceAccountName: "orders"}},
		{name: "asked by the token, and no more by the key", binding: &v1alpha1.BindingSpec{JWKThumbprint: "t"}, client: key, account: "orders", want: oauth.InvalidClient},
		{name: "the key asks for another than the token", client: key, print: "t", binding: &v1alpha1.BindingSpec{JWKThumbprint: "u"}, want: oauth.InvalidDPoPProof},
	} {
		claims := &token.Claims{ServiceAccount: c.account, JWKThumbprint: c.print, Object: token.Object{Namespace: "shop"}}
		err := c.client.Satisfies(claims, c.binding)
		var refusal *oauth.Error
		if (err == nil) != (c.want == "") || (err != nil && (!errors.As(err, &refusal) || refusal.Code != c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestUnboundCostsNothing checks that an unbound token without credentials causes no allocations.
func TestUnboundCostsNothing(t *testing.T) {
	clients := &Clients{}
	claims := &token.Claims{Object: token.Object{Namespace: "shop"}}
	answer := &oauth.TokenAnswer{}
	allocations := testing.AllocsPerRun(100, func() {
		client, err := clients.Prove(t.Context(), nil, &Credentials{})
		if err = errors.Join(err, client.Satisfies(claims, nil), clients.Consume(&client.Proven), clients.Constrain(answer, &client.Proven, nil)); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%.0f allocations", allocations)
	}
}

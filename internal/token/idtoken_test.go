package token

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

func idClaims() *IDClaims {
	return &IDClaims{
		Issuer: issuer, Subject: "ada", Audience: "shop", IssuedAt: t0, ExpiresAt: t0.Add(15 * time.Minute), AuthTime: t0.Add(-time.Minute),
		Nonce: "n1", Access: "an.access.token", Extra: map[string]string{"email": `"ada@example.com"`, "groups": `["a","b"]`},
	}
}

func mintID(t *testing.T, key *keyring.Key) string {
	t.Helper()
	compact, err := MintID(key, idClaims())
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// published is the access ring, as a verifier fetches it.
type published struct{ rings *keyring.Rings }

func (p published) VerifySignature(ctx context.Context, compact string) ([]byte, error) {
	keys := oidc.StaticKeySet{}
	for _, key := range p.rings.PublicJWKS().Keys {
		keys.PublicKeys = append(keys.PublicKeys, key.Key)
	}
	return keys.VerifySignature(ctx, compact)
}

// TestMintID checks an id_token of each algorithm with the verifier of go-oidc, at_hash included.
func TestMintID(t *testing.T) {
	for _, algorithm := range algorithms {
		rings := ringsOf[algorithm]()
		verifier := oidc.NewVerifier(issuer, published{rings}, &oidc.Config{
			ClientID: "shop", SupportedSigningAlgs: []string{string(algorithm)}, Now: func() time.Time { return t0 },
		})
		verified, err := verifier.Verify(t.Context(), mintID(t, signer(t, rings, Access)))
		if err != nil {
			t.Errorf("%s: %v", algorithm, err)
			continue
		}
		if err := verified.VerifyAccessToken("an.access.token"); err != nil {
			t.Errorf("%s: at_hash: %v", algorithm, err)
		}
		if err := verified.VerifyAccessToken("another.access.token"); err == nil {
			t.Errorf("%s: at_hash is that of any token", algorithm)
		}
		var claims map[string]any
		if err := verified.Claims(&claims); err != nil {
			t.Fatal(err)
		}
		delete(claims, "at_hash")
		got, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"aud":"shop","auth_time":1777636740,"email":"ada@example.com","exp":1777637700,"groups":["a","b"],"iat":1777636800,"iss":"` + issuer + `","nonce":"n1","sub":"ada"}`
		if string(got) != want {
			t.Errorf("%s:\n got %s\nwant %s", algorithm, got, want)
		}
	}
}

// TestMintIDKeepsItsClaims checks that no claim of a login replaces one of the id_token, in any case of letters, and that the refresh
// ring signs none.
func TestMintIDKeepsItsClaims(t *testing.T) {
	rings := ringsOf[keyring.ES256]()
	forged := idClaims()
	forged.Extra = map[string]string{"nonce": `"n2"`, "AUD": `"bank"`, "acr": `"high"`, "amr": `["mfa"]`, "azp": `"bank"`}
	compact, err := MintID(signer(t, rings, Access), forged)
	if err != nil {
		t.Fatal(err)
	}
	verifier := oidc.NewVerifier(issuer, published{rings}, &oidc.Config{ClientID: "shop", SupportedSigningAlgs: []string{"ES256"}, Now: func() time.Time { return t0 }})
	verified, err := verifier.Verify(t.Context(), compact)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := verified.Claims(&claims); err != nil || len(claims) != 8 || claims["nonce"] != "n1" {
		t.Errorf("the claims are %v, %v", claims, err)
	}
	if _, err := MintID(signer(t, rings, Refresh), idClaims()); err == nil {
		t.Error("the refresh ring signs an id_token")
	}
	if _, err := Parse(compact, Refresh, rings, issuer, t0); !errors.Is(err, ErrMalformed) {
		t.Errorf("an id_token is a refresh token: %v", err)
	}
}

package token_test

import (
	"fmt"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/token"
)

// A refresh token is signed by the active key of the refresh ring, and is read with the issuer's rings. It never passes as
// an access token.
func Example() {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	schedule := keyring.Schedule{Algorithm: keyring.ES256, RotateAfter: 720 * time.Hour}
	rings, err := keyring.Advance(nil, schedule, nil, nil, now, keyring.Generate)
	must(err)
	key, err := rings.Signer(keyring.Refresh)
	must(err)

	payload, err := (&token.Claims{
		Issuer: "https://tokens.example.com", Subject: "refreshkey:shop:orders", Audience: "https://orders.example.com",
		IssuedAt: now, ExpiresAt: now.Add(720 * time.Hour), JTI: "0197e9c2-7c3a-7000-8000-000000000001", ClientID: "refreshkey:shop:orders",
		Object: token.Object{Namespace: "shop", Name: "orders", UID: "5b0e2c1a-0000-4000-8000-000000000001", Revision: 1},
	}).Payload()
	must(err)
	compact, err := token.Mint(key, token.Refresh, payload)
	must(err)

	claims, err := token.Parse(compact, token.Refresh, rings, "https://tokens.example.com", now)
	must(err)
	fmt.Println(claims.Audience, claims.Object.Revision)
	_, err = token.Parse(compact, token.Access, rings, "https://tokens.example.com", now)
	fmt.Println(err)
	// Output:
	// https://orders.example.com 1
	// the token is malformed
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

package token

import (
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// BenchmarkParse is the first sight of a token; beside it, the one signature in it.
func BenchmarkParse(b *testing.B) {
	rings := ringsOf[keyring.ES256]()
	key := signer(b, rings, Refresh)
	c := claims()
	c.Extra, c.JWKThumbprint, c.ServiceAccount = nil, "", ""
	compact := mint(b, key, Refresh, payloadOf(b, c))
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Parse(compact, Refresh, rings, issuer, t0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("signature", func(b *testing.B) {
		signed, signature := split(b, compact)
		b.ReportAllocs()
		for b.Loop() {
			if err := jwt.SigningMethodES256.Verify(string(signed), signature, key.Public()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMint is all of making an access token; beside it, the signature in it.
func BenchmarkMint(b *testing.B) {
	key := signer(b, ringsOf[keyring.ES256](), Access)
	c := accessClaims()
	c.Extra, c.JWKThumbprint = nil, ""
	compact := mint(b, key, Access, payloadOf(b, c))
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mint(b, key, Access, payloadOf(b, c))
		}
	})
	b.Run("signature", func(b *testing.B) {
		signed, _ := split(b, compact)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := key.Sign(signed); err != nil {
				b.Fatal(err)
			}
		}
	})
}

package token

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
)

func TestMintIsDeterministic(t *testing.T) {
	for _, algorithm := range algorithms {
		for _, typ := range []Type{Refresh, Access} {
			t.Run(string(algorithm)+" "+string(typ), func(t *testing.T) {
				key := signer(t, ringsOf[algorithm](), typ)
				payload := payloadOf(t, claims())
				first := mint(t, key, typ, payload)
				for range 3 {
					if again := mint(t, key, typ, payload); again != first {
						t.Fatalf("minted again it is\n%s\nand was\n%s", again, first)
					}
				}
				parts := strings.Split(first, ".")
				for i, want := range []string{headerOf(key, typ), payload} {
					got, err := base64.RawURLEncoding.DecodeString(parts[i])
					if err != nil || string(got) != want {
						t.Errorf("part %d is %s (%v), wanted %s", i, got, err, want)
					}
				}
			})
		}
	}
}

// TestMintStaysAsItWas: tokens on record must come out the same in every later version of this program
// and of Go, or their Secrets cannot be restored.
func TestMintStaysAsItWas(t *testing.T) {
	golden := map[keyring.Algorithm]string{
		keyring.ES256: "sha256:13b95fe7c83532acc6fee7b539c518e3c72fb59fe5ce2b83b7edbe6623f54879",
		keyring.ES384: "sha256:d0b4a762d39cc04dc291bd5c62713b9cf0a2dd06757e31a9e88c9b4777538699",
		keyring.EdDSA: "sha256:c783c5864f5666dcbb0256e4fd08615a30d0859efe77f5555eadccbedc4b0857",
	}
	for algorithm, want := range golden {
		compact := mint(t, signer(t, ringsOf[algorithm](), Refresh), Refresh, payloadOf(t, claims()))
		if got := Hash(compact); got != want {
			t.Errorf("%s: the token hashes to %s, and did to %s", algorithm, got, want)
		}
	}
}

func TestHash(t *testing.T) {
	// FIPS 180-2, appendix B.1.
	if got, want := Hash("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; got != want {
		t.Errorf("hash %s, wanted %s", got, want)
	}
}

func TestMintKeepsToTheRings(t *testing.T) {
	rings := ringsOf[keyring.ES256]()
	for _, c := range []struct {
		name string
		ring Type
		typ  Type
	}{
		{"an access key signs no refresh token", Access, Refresh},
		{"a refresh key signs no access token", Refresh, Access},
		{"an access key signs nothing else", Access, "JWT"},
	} {
		key := signer(t, rings, c.ring)
		if compact, err := Mint(key, c.typ, []byte(payloadOf(t, claims()))); err == nil {
			t.Errorf("%s, and it did: %s", c.name, compact)
		}
	}
}

func TestMintNeedsAPrivateKey(t *testing.T) {
	key := signer(t, ringsOf[keyring.ES256](), Refresh)
	bare := keyring.Key{ID: key.ID, Use: key.Use, Algorithm: key.Algorithm}
	if compact, err := Mint(&bare, Refresh, []byte(`{}`)); err == nil {
		t.Errorf("minted without a key: %s", compact)
	}
}

func TestMintedTokensAreRead(t *testing.T) {
	for _, algorithm := range algorithms {
		rings := ringsOf[algorithm]()
		for typ, c := range map[Type]*Claims{Refresh: claims(), Access: accessClaims()} {
			key := signer(t, rings, typ)
			read, err := Parse(mint(t, key, typ, payloadOf(t, c)), typ, rings, issuer, t0)
			if err != nil {
				t.Errorf("%s %s: %v", algorithm, typ, err)
				continue
			}
			c.KeyID = key.ID
			if diff := cmp.Diff(c, read); diff != "" {
				t.Errorf("%s %s: claims (- minted, + read):\n%s", algorithm, typ, diff)
			}
		}
	}
}

// TestRemake restores what is on record, and nothing else.
func TestRemake(t *testing.T) {
	rings := ringsOf[keyring.ES256]()
	key := signer(t, rings, Refresh)
	payload := payloadOf(t, claims())
	compact := mint(t, key, Refresh, payload)

	again, err := Remake(key, []byte(payload), Hash(compact))
	if err != nil || again != compact {
		t.Fatalf("made again it is %s (%v), and was %s", again, err, compact)
	}
	pending, _ := rings.Lookup(keyring.Refresh, pendingKey(t, rings))
	for _, c := range []struct {
		name    string
		key     *keyring.Key
		payload string
		hash    string
	}{
		{"another payload", key, forge.Replace(t, payload, `"tier":3`, `"tier":4`), Hash(compact)},
		{"the same payload in another order", key, `{"tier":3,` + strings.TrimPrefix(forge.Replace(t, payload, `,"tier":3`, ``), "{"), Hash(compact)},
		{"the same payload in another spelling", key, forge.Replace(t, payload, `"tier":3`, `"tier":3.0`), Hash(compact)},
		{"another key", pending, payload, Hash(compact)},
		{"another hash", key, payload, Hash(compact + "x")},
		{"no hash", key, payload, ""},
		{"the hash in upper case", key, payload, strings.ToUpper(Hash(compact))},
		{"the hash without what names it", key, payload, strings.TrimPrefix(Hash(compact), HashPrefix)},
	} {
		if again, err := Remake(c.key, []byte(c.payload), c.hash); !errors.Is(err, ErrNotReproducible) || again != "" {
			t.Errorf("%s: %q, %v", c.name, again, err)
		}
	}
	if again, err := Remake(signer(t, rings, Access), []byte(payload), Hash(compact)); err == nil || errors.Is(err, ErrNotReproducible) || again != "" {
		t.Errorf("an access key: %q, %v", again, err)
	}
}

func pendingKey(t *testing.T, rings *keyring.Rings) string {
	t.Helper()
	for _, key := range rings.Keys() {
		if key.Use == keyring.Refresh && key.State == keyring.Pending {
			return key.ID
		}
	}
	t.Fatal("no pending key")
	return ""
}

// TestLongestPayload: what internal/lifecycle lets through as the longest payload is still read.
func TestLongestPayload(t *testing.T) {
	const maxPayload = 5632
	for _, algorithm := range algorithms {
		rings := ringsOf[algorithm]()
		key := signer(t, rings, Refresh)
		c := claims()
		c.Extra["pad"] = `""`
		c.Extra["pad"] = `"` + strings.Repeat("x", maxPayload-len(payloadOf(t, c))) + `"`
		compact := mint(t, key, Refresh, payloadOf(t, c))
		if _, err := Parse(compact, Refresh, rings, issuer, t0); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		// RSA keys are made with 3072 bits, and here with 2048.
		if length := len(compact) + (3072-2048)/8*4/3; algorithm == keyring.RS256 && length > MaxLength {
			t.Errorf("%s: %d bytes with a key of 3072 bits", algorithm, length)
		}
	}
}

package keyring

import (
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// The examples of RFC 7638 §3.1 and RFC 8037 A.3.
func TestThumbprintRFC(t *testing.T) {
	n, err := base64.RawURLEncoding.DecodeString("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W" +
		"-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ" +
		"-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw")
	if err != nil {
		t.Fatal(err)
	}
	got, err := thumbprint(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537})
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; err != nil || got != want {
		t.Errorf("RFC 7638 §3.1: %s, %v, want %s", got, err, want)
	}
	ed := ed25519.PublicKey(unhex(t, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
	got, err = thumbprint(ed)
	if want := "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; err != nil || got != want {
		t.Errorf("RFC 8037 A.3: %s, %v, want %s", got, err, want)
	}
	if _, err := thumbprint("no key"); err == nil {
		t.Error("a thumbprint of a string")
	}
}

func TestPublicJWKS(t *testing.T) {
	members := map[Algorithm][]string{
		ES256: {"alg", "crv", "kid", "kty", "use", "x", "y"},
		ES384: {"alg", "crv", "kid", "kty", "use", "x", "y"},
		RS256: {"alg", "e", "kid", "kty", "n", "use"},
		EdDSA: {"alg", "crv", "kid", "kty", "use", "x"},
	}
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) {
			s := baseSchedule()
			s.Algorithm = a
			f := &factory{}
			rings, err := Advance(nil, s, nil, nil, t0, f.generate)
			if err != nil {
				t.Fatal(err)
			}
			if a != RS256 { // One rotation shows all three states; RSA keys are too dear for it.
				if rings, err = Advance(rings, s, nil, nil, t0.Add(100*time.Hour), f.generate); err != nil {
					t.Fatal(err)
				}
			}
			marshalled, err := json.Marshal(rings.PublicJWKS())
			if err != nil {
				t.Fatal(err)
			}
			checkJWKSMembers(t, marshalled, a, members[a])
			checkJWKSVerifies(t, marshalled, rings)
		})
	}
}

// checkJWKSMembers holds the exact list of members, so that a private one (d, p, q, dp, dq, qi, oth, k) or
// anything a verifier could follow (x5u, x5c) shows itself.
func checkJWKSMembers(t *testing.T, marshalled []byte, a Algorithm, want []string) {
	t.Helper()
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(marshalled, &set); err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		var got []string
		for name := range key {
			got = append(got, name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("members %v, want %v", got, want)
		}
		if key["use"] != "sig" || key["alg"] != string(a) {
			t.Errorf("use %q, alg %q", key["use"], key["alg"])
		}
	}
}

// checkJWKSVerifies reads the set as a verifier would and holds it against the rings.
func checkJWKSVerifies(t *testing.T, marshalled []byte, rings *Rings) {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(marshalled, &set); err != nil {
		t.Fatal(err)
	}
	message := []byte("signing input")
	published := 0
	for _, key := range rings.Keys() {
		found := set.Key(key.ID)
		if key.Use == Refresh {
			if len(found) != 0 {
				t.Errorf("%s is in the JWKS", key)
			}
			continue
		}
		published++
		if len(found) != 1 || !found[0].IsPublic() || !found[0].Valid() {
			t.Fatalf("%s is in the JWKS %d times", key, len(found))
		}
		sig, err := key.Sign(message)
		if err != nil || !verifiesWithCrypto(t, found[0].Key, message, sig) {
			t.Errorf("%s: its public key does not verify: %v", key, err)
		}
	}
	if published < 2 || len(set.Keys) != published {
		t.Errorf("%d keys in the JWKS, %d in the access ring", len(set.Keys), published)
	}
}

func TestPublicJWKSOfNothing(t *testing.T) {
	marshalled, err := json.Marshal((*Rings)(nil).PublicJWKS())
	if err != nil || string(marshalled) != `{"keys":[]}` {
		t.Errorf("%s, %v", marshalled, err)
	}
}

package token

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
)

// FuzzParse looks for a text that is read and was not minted. The signature may be another one of the same key,
// so it is what was signed that is compared.
func FuzzParse(f *testing.F) {
	minted := map[string]*Claims{}
	for _, algorithm := range []keyring.Algorithm{keyring.ES256, keyring.EdDSA} {
		rings := ringsOf[algorithm]()
		for typ, c := range map[Type]*Claims{Refresh: claims(), Access: accessClaims()} {
			key := signer(f, rings, typ)
			compact := mint(f, key, typ, payloadOf(f, c))
			c.KeyID = key.ID
			minted[compact[:strings.LastIndex(compact, ".")]] = c
			f.Add(compact)
		}
	}
	a := newAttack(f)
	for _, bad := range badPayloads {
		f.Add(a.withPayload(forge.Replace(f, a.payload, bad.old, bad.new)))
	}
	for _, compact := range []string{
		"", "..", "...", a.unsigned(`"none"`), a.hmacSigned(a.publicKey()), a.headerWith(`"crit":["exp"]`), a.headerWith(`"alg":"none"`),
		a.headerInstead(`"rt+jwt"`, `"at+jwt"`), a.withHeader("null"), a.withPayload("null"), a.good + "=", a.good + "\n", forge.Part(a.good, 2, forge.TrailingBits),
		forge.B64(`{"alg":"dir","enc":"A128GCM"}`) + "..AA.AA.AA", strings.Repeat("A", MaxLength),
	} {
		f.Add(compact)
	}
	f.Fuzz(func(t *testing.T, compact string) {
		for _, algorithm := range []keyring.Algorithm{keyring.ES256, keyring.EdDSA} {
			for _, typ := range []Type{Refresh, Access} {
				read, err := Parse(compact, typ, ringsOf[algorithm](), issuer, t0)
				if err != nil {
					if read != nil {
						t.Errorf("claims beside the error %v", err)
					}
					continue
				}
				want := minted[compact[:strings.LastIndex(compact, ".")]]
				if want == nil {
					t.Fatalf("read as %s, and never minted: %s", typ, compact)
				}
				if diff := cmp.Diff(want, read); diff != "" {
					t.Fatalf("claims (- minted, + read):\n%s", diff)
				}
			}
		}
	})
}

// FuzzParsePayload looks for a payload that is read and does not come out the same when it is made again.
func FuzzParsePayload(f *testing.F) {
	payload := payloadOf(f, claims())
	f.Add([]byte(payload))
	f.Add([]byte(payloadOf(f, accessClaims())))
	for _, bad := range badPayloads {
		f.Add([]byte(forge.Replace(f, payload, bad.old, bad.new)))
	}
	for _, other := range otherPayloads {
		f.Add([]byte(other))
	}
	for _, value := range []string{"-0", "1e21", "1.10", "123456789012345678901234567890", `"\u003c"`, `[1,{"a":null}]`, "null"} {
		f.Add([]byte(forge.Replace(f, payload, `"tier":3`, `"tier":`+value)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		read, err := ParsePayload(raw)
		if err != nil {
			return
		}
		made, err := read.Payload()
		if err != nil {
			t.Fatalf("read, and not made again: %v\n%s", err, raw)
		}
		again, err := ParsePayload(made)
		if err != nil {
			t.Fatalf("made, and not read again: %v\n%s", err, made)
		}
		if diff := cmp.Diff(read, again); diff != "" {
			t.Fatalf("claims (- read, + read again):\n%s", diff)
		}
	})
}

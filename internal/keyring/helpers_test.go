package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var algorithms = []Algorithm{ES256, ES384, RS256, EdDSA}

// t0 is when the tests' first keys are made.
var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// rsaPool holds RSA keys of the smallest size allowed, made once for all tests.
var rsaPool = struct {
	sync.Mutex
	keys []*rsa.PrivateKey
}{}

func pooledRSA(n int) (*rsa.PrivateKey, error) {
	rsaPool.Lock()
	defer rsaPool.Unlock()
	for len(rsaPool.keys) <= n {
		key, err := rsa.GenerateKey(rand.Reader, minRSABits)
		if err != nil {
			return nil, err
		}
		rsaPool.keys = append(rsaPool.keys, key)
	}
	return rsaPool.keys[n], nil
}

// factory generates the same keys in the same order each time, and knows them by number, from 1.
type factory struct {
	made    int
	rsaMade int
	numbers map[string]int
}

func (f *factory) generate(a Algorithm) (crypto.Signer, error) {
	f.made++
	seed := sha512.Sum512(fmt.Appendf(nil, "key %d", f.made))
	var signer crypto.Signer
	var err error
	switch a {
	case ES256:
		signer, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:32])
	case ES384:
		signer, err = ecdsa.ParseRawPrivateKey(elliptic.P384(), seed[:48])
	case RS256:
		signer, err = pooledRSA(f.rsaMade)
		f.rsaMade++
	case EdDSA:
		signer = ed25519.NewKeyFromSeed(seed[:32])
	}
	if err != nil {
		return nil, err
	}
	id, err := thumbprint(signer.Public())
	if err != nil {
		return nil, err
	}
	if f.numbers == nil {
		f.numbers = map[string]int{}
	}
	f.numbers[id] = f.made
	return signer, nil
}

// kid is the ID of the key with that number.
func (f *factory) kid(number int) string {
	for id, n := range f.numbers {
		if n == number {
			return id
		}
	}
	return fmt.Sprintf("no key %d", number)
}

// shortDuration leaves out the zeros at the end of a duration that a full stop follows.
var shortDuration = strings.NewReplacer("h0m0s.", "h", "m0s.", "m", "0s.", "0h", ".", "")

// show writes a ring as the tables do: "1 retiring 102h, 2 active 100h, 5 pending 200h", by number, with
// RetireAt of a retiring key and ActiveAt of the others, from t0.
func (f *factory) show(r *Rings, use Use) string {
	keys := r.of(use)
	slices.SortFunc(keys, func(a, b Key) int { return f.numbers[a.ID] - f.numbers[b.ID] })
	var parts []string
	for _, key := range keys {
		at := key.ActiveAt
		if key.State == Retiring {
			at = key.RetireAt
		}
		offset := shortDuration.Replace(at.Sub(t0).String() + ".")
		parts = append(parts, fmt.Sprintf("%d %s %s", f.numbers[key.ID], strings.ToLower(string(key.State)), offset))
	}
	return strings.Join(parts, ", ")
}

// baseSchedule has numbers that are easy to tell apart.
func baseSchedule() Schedule {
	return Schedule{
		Algorithm:   EdDSA,
		RotateAfter: 100 * time.Hour,
		Prepublish:  time.Hour,
		RefreshKeep: 50 * time.Hour,
		AccessKeep:  2 * time.Hour,
	}
}

// newTestRings gives the first rings of an issuer.
func newTestRings(tb testing.TB, a Algorithm) *Rings {
	tb.Helper()
	s := baseSchedule()
	s.Algorithm = a
	rings, err := Advance(nil, s, nil, nil, t0, (&factory{}).generate)
	if err != nil {
		tb.Fatal(err)
	}
	return rings
}

func mustKey(tb testing.TB, a Algorithm, signer crypto.Signer) Key {
	tb.Helper()
	key, err := newKey(Access, a, signer)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func testSigner(tb testing.TB, a Algorithm) crypto.Signer {
	tb.Helper()
	signer, err := (&factory{}).generate(a)
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

func unhex(tb testing.TB, text string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

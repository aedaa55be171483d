package keyring

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// stored is the data of a Secret that a test is about to damage, with handles to its keys.
type stored struct {
	data             map[string][]byte
	active, pending  string // kids of the access ring
	refresh, another string // kids of the refresh ring, active and pending
}

func newStored(t *testing.T) *stored {
	t.Helper()
	f := &factory{}
	rings, err := Advance(nil, baseSchedule(), nil, nil, t0, f.generate)
	if err != nil {
		t.Fatal(err)
	}
	data, err := Encode(rings)
	if err != nil {
		t.Fatal(err)
	}
	return &stored{data: data, refresh: f.kid(1), another: f.kid(2), active: f.kid(3), pending: f.kid(4)}
}

// replace changes the text of an entry everywhere.
func (s *stored) replace(entry, old, replacement string) {
	s.data[entry] = []byte(strings.ReplaceAll(string(s.data[entry]), old, replacement))
}

// drop removes the description of one key.
func (s *stored) drop(t *testing.T, kid string) {
	t.Helper()
	content := s.decode(t)
	content.Keys = slices.DeleteFunc(content.Keys, func(d description) bool { return d.ID == kid })
	s.encode(t, content)
}

// set changes the description of one key.
func (s *stored) set(t *testing.T, kid string, change func(*description)) {
	t.Helper()
	content := s.decode(t)
	for i := range content.Keys {
		if content.Keys[i].ID == kid {
			change(&content.Keys[i])
		}
	}
	s.encode(t, content)
}

func (s *stored) decode(t *testing.T) document {
	t.Helper()
	var content document
	if err := json.Unmarshal(s.data[metadataEntry], &content); err != nil {
		t.Fatal(err)
	}
	return content
}

func (s *stored) encode(t *testing.T, content document) {
	t.Helper()
	metadata, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	s.data[metadataEntry] = metadata
}

// put stores a private key under the kid of the active access key.
func (s *stored) put(t *testing.T, private any) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	s.data[s.active+".pem"] = pemOf(der)
}

func pemOf(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}) }

// damage is one kind of it, and what Decode should say, with {kid} for the kid of the active access key.
// Unless want begins with an entry it is about the metadata or the private key of that kid.
type damage struct {
	name string
	do   func(*testing.T, *stored)
	want string
}

// describing damages the description of the active access key.
func describing(change func(*description)) func(*testing.T, *stored) {
	return func(t *testing.T, s *stored) {
		t.Helper()
		s.set(t, s.active, change)
	}
}

// rewriting damages the text of the metadata.
func rewriting(old, replacement string) func(*testing.T, *stored) {
	return func(_ *testing.T, s *stored) { s.replace(metadataEntry, old, replacement) }
}

var metadataDamages = []damage{
	{"no data", func(_ *testing.T, s *stored) { s.data = nil }, `is missing`},
	{"no metadata", func(_ *testing.T, s *stored) { delete(s.data, "rings.json") }, `is missing`},
	{"empty metadata", func(_ *testing.T, s *stored) { s.data["rings.json"] = nil }, `ends too early`},
	{"metadata cut off", func(_ *testing.T, s *stored) { s.data["rings.json"] = s.data["rings.json"][:100] }, `ends too early`},
	{"metadata is no JSON", func(_ *testing.T, s *stored) { s.data["rings.json"] = []byte("keys: []") }, `is not JSON, at byte 1`},
	{"metadata is the private key", func(_ *testing.T, s *stored) { s.data["rings.json"] = s.data[s.active+".pem"] }, `is not JSON, at byte 2`},
	{"wrong type", rewriting(`"version": 1`, `"version": "1"`), `has a value of the wrong type, at byte 18`},
	{"unknown field", rewriting(`"state"`, `"d": "x", "state"`), `has a field that this release does not know`},
	{"two documents", func(_ *testing.T, s *stored) { s.data["rings.json"] = append(s.data["rings.json"], "{}"...) }, `has something after its end`},
	{"too long", func(_ *testing.T, s *stored) { s.data["rings.json"] = bytes.Repeat([]byte(" "), 256<<10+1) }, `is longer than 262144 bytes`},
	{"version of a later release", rewriting(`"version": 1`, `"version": 2`), `has version 2, and this release reads 1`},
	{"no version", func(_ *testing.T, s *stored) { s.data["rings.json"] = []byte("{}") }, `has version 0, and this release reads 1`},
	{"no keys", func(_ *testing.T, s *stored) { s.data = map[string][]byte{"rings.json": []byte(`{"version":1}`)} }, `describes 0 refresh keys, not 1 to 128`},
	{"too many keys", func(t *testing.T, s *stored) { s.encode(t, document{Version: 1, Keys: make([]description, MaxKeys+1)}) }, `describes more than 272 keys`},
	{"a ring without keys", func(t *testing.T, s *stored) {
		for _, kid := range []string{s.refresh, s.another} {
			s.drop(t, kid)
			delete(s.data, kid+".pem")
		}
	}, `describes 0 refresh keys, not 1 to 128`},
	{"a key twice", func(t *testing.T, s *stored) {
		s.set(t, s.pending, func(d *description) { d.ID = s.active })
		delete(s.data, s.pending+".pem")
	}, `describes key {kid} twice`},
	{"a key in both rings", func(t *testing.T, s *stored) {
		s.set(t, s.another, func(d *description) { d.ID = s.active })
		delete(s.data, s.another+".pem")
	}, `describes key {kid} twice`},
	{"a kid that is none", describing(func(d *description) { d.ID = "../x" }), `has a kid that is not a SHA-256 thumbprint`},
	{"a kid with padding", describing(func(d *description) { d.ID += "=" }), `has a kid that is not a SHA-256 thumbprint`},
	{"a kid with stray bits", describing(func(d *description) { d.ID = strings.Repeat("A", 42) + "B" }), `has a kid that is not a SHA-256 thumbprint`},
	{"two active keys", func(t *testing.T, s *stored) { s.set(t, s.pending, func(d *description) { d.State = Active }) }, `describes 2 access keys that are active, not one`},
	{"two pending keys", describing(func(d *description) { d.State = Pending }), `describes 2 access keys that are pending, not one`},
	{"unknown state", describing(func(d *description) { d.State = "active" }), `has an unknown state for key {kid}`},
	{"unknown use", describing(func(d *description) { d.Use = "Access" }), `has an unknown use for key {kid}`},
	{"unknown algorithm", describing(func(d *description) { d.Algorithm = "none" }), `has an unknown algorithm for key {kid}`},
	{"no createdAt", describing(func(d *description) { d.CreatedAt = "" }), `has no sane createdAt for key {kid}`},
	{"createdAt before 1970", describing(func(d *description) { d.CreatedAt = "1969-12-31T23:59:59Z" }), `has no sane createdAt for key {kid}`},
	{"createdAt is no time", describing(func(d *description) { d.CreatedAt = "yesterday" }), `has a bad createdAt for key {kid}`},
	{"createdAt in another zone", describing(func(d *description) { d.CreatedAt = "2026-01-01T00:00:00+01:00" }), `has a bad createdAt for key {kid}`},
	{"createdAt with a fraction", describing(func(d *description) { d.CreatedAt = "2026-01-01T00:00:00.5Z" }), `has a bad createdAt for key {kid}`},
	{"no activeAt", describing(func(d *description) { d.ActiveAt = "" }), `has no sane activeAt for key {kid}`},
	{"activeAt before createdAt", describing(func(d *description) { d.ActiveAt = "2025-12-31T23:59:59Z" }), `has no sane activeAt for key {kid}`},
	{"activeAt is no time", describing(func(d *description) { d.ActiveAt = "x" }), `has a bad activeAt for key {kid}`},
	{"retireAt of an active key", describing(func(d *description) { d.RetireAt = "2027-01-01T00:00:00Z" }), `has a retireAt without retiring for key {kid}`},
	{"retiring without retireAt", describing(func(d *description) { d.State = Retiring }), `has no sane retireAt for key {kid}`},
	{"retiring before it was active", describing(func(d *description) { d.State, d.RetireAt = Retiring, "2025-01-01T00:00:00Z" }), `has no sane retireAt for key {kid}`},
}

var privateDamages = []damage{
	{"private key missing", func(_ *testing.T, s *stored) { delete(s.data, s.active+".pem") }, `is missing`},
	{"private key not described", func(t *testing.T, s *stored) { s.drop(t, s.active) }, `is not described in rings.json`},
	{"another entry", func(_ *testing.T, s *stored) { s.data["tls.key"] = s.data[s.active+".pem"] }, `entry "tls.key" is not described in rings.json`},
	{"an entry with a long name", func(_ *testing.T, s *stored) { s.data[strings.Repeat("z", 200)] = nil }, `entry "` + strings.Repeat("z", 80) + `" is not described in rings.json`},
	{"private key empty", func(_ *testing.T, s *stored) { s.data[s.active+".pem"] = nil }, `is not a private key in PEM`},
	{"private key cut off", func(_ *testing.T, s *stored) { s.data[s.active+".pem"] = s.data[s.active+".pem"][:80] }, `is not a private key in PEM`},
	{"not PEM", func(_ *testing.T, s *stored) { s.data[s.active+".pem"] = []byte("secret-material") }, `is not a private key in PEM`},
	{"something before", func(_ *testing.T, s *stored) {
		s.data[s.active+".pem"] = append([]byte("x\n"), s.data[s.active+".pem"]...)
	}, `is not a private key in PEM`},
	{"something after", func(_ *testing.T, s *stored) { s.data[s.active+".pem"] = append(s.data[s.active+".pem"], 'x') }, `has something after the private key`},
	{"two keys", func(_ *testing.T, s *stored) {
		s.data[s.active+".pem"] = slices.Concat(s.data[s.active+".pem"], s.data[s.pending+".pem"])
	}, `has something after the private key`},
	{"PEM headers", func(_ *testing.T, s *stored) {
		s.replace(s.active+".pem", "KEY-----\nM", "KEY-----\nProc-Type: 4,ENCRYPTED\n\nM")
	}, `is not a private key in PEM`},
	{"another PEM type", func(_ *testing.T, s *stored) { s.replace(s.active+".pem", "PRIVATE KEY", "EC PRIVATE KEY") }, `is not a private key in PEM`},
	{"too long", func(_ *testing.T, s *stored) { s.data[s.active+".pem"] = bytes.Repeat([]byte("\n"), 16<<10+1) }, `is longer than 16384 bytes`},
	{"not PKCS #8", func(_ *testing.T, s *stored) { s.data[s.active+".pem"] = pemOf([]byte("secret-material")) }, `is not a PKCS #8 private key`},
	{"an ASN.1 structure that is no key", func(_ *testing.T, s *stored) { s.data[s.active+".pem"] = pemOf([]byte{0x30, 0}) }, `is not a PKCS #8 private key`},
	{"bytes after the structure", func(_ *testing.T, s *stored) {
		block, _ := pem.Decode(s.data[s.active+".pem"])
		s.data[s.active+".pem"] = pemOf(append(block.Bytes, 0))
	}, `is not a PKCS #8 private key`},
	{"a key that cannot sign", func(t *testing.T, s *stored) {
		key, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{1}, 32))
		if err != nil {
			t.Fatal(err)
		}
		s.put(t, key)
	}, `is a private key that cannot sign`},
	{"another key", func(_ *testing.T, s *stored) { s.data[s.active+".pem"] = s.data[s.pending+".pem"] }, `holds another key than its name says`},
	{"one bit of the private half", func(t *testing.T, s *stored) {
		block, _ := pem.Decode(s.data[s.active+".pem"])
		block.Bytes[len(block.Bytes)-1] ^= 1
		s.data[s.active+".pem"] = pemOf(block.Bytes)
	}, `holds another key than its name says`},
	{"an Ed25519 key for ES256", describing(func(d *description) { d.Algorithm = ES256 }), `is not an ECDSA key on P-256`},
	{"an Ed25519 key for RS256", describing(func(d *description) { d.Algorithm = RS256 }), `is not an RSA key`},
	{"a P-256 key for EdDSA", func(t *testing.T, s *stored) { s.put(t, testSigner(t, ES256)) }, `is not an Ed25519 key`},
	{"a P-384 key for ES256", func(t *testing.T, s *stored) {
		s.set(t, s.active, func(d *description) { d.Algorithm = ES256 })
		s.put(t, testSigner(t, ES384))
	}, `is not an ECDSA key on P-256`},
	{"a P-521 key for ES384", func(t *testing.T, s *stored) {
		s.set(t, s.active, func(d *description) { d.Algorithm = ES384 })
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P521(), append(make([]byte, 34), bytes.Repeat([]byte{5}, 32)...))
		if err != nil {
			t.Fatal(err)
		}
		s.put(t, key)
	}, `is not an ECDSA key on P-384`},
	{"a P-256 scalar that is zero", func(t *testing.T, s *stored) { s.putScalar(t, make([]byte, 32)) }, `is not a PKCS #8 private key`},
	{"a P-256 scalar beyond the order", func(t *testing.T, s *stored) { s.putScalar(t, bytes.Repeat([]byte{0xff}, 32)) }, `is not a PKCS #8 private key`},
	{"RSA of 1024 bits", func(t *testing.T, s *stored) {
		s.set(t, s.active, func(d *description) { d.Algorithm = RS256 })
		key, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			t.Fatal(err)
		}
		s.put(t, key)
	}, `is an RSA key of 1024 bits, not of 2048 to 8192`},
	{"RSA with e = 3", func(t *testing.T, s *stored) {
		s.set(t, s.active, func(d *description) { d.Algorithm = RS256 })
		s.put(t, rsaWithExponent3(t))
	}, `is an RSA key with a public exponent below 65537`},
	{"RSA with another modulus", func(t *testing.T, s *stored) {
		s.set(t, s.active, func(d *description) { d.Algorithm = RS256 })
		s.put(t, testSigner(t, RS256))
		block, _ := pem.Decode(s.data[s.active+".pem"])
		block.Bytes[60] ^= 1
		s.data[s.active+".pem"] = pemOf(block.Bytes)
	}, `is not a PKCS #8 private key`},
}

// rsaWithExponent3 makes a key that is sound but for its public exponent.
func rsaWithExponent3(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	one, three := big.NewInt(1), big.NewInt(3)
	prime := func() *big.Int {
		for {
			p, err := rand.Prime(rand.Reader, 1024)
			if err != nil {
				t.Fatal(err)
			}
			if new(big.Int).Mod(p, three).Int64() == 2 {
				return p
			}
		}
	}
	p, q := prime(), prime()
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 3},
		D:         new(big.Int).ModInverse(three, phi),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		t.Fatal(err)
	}
	return key
}

// putScalar stores an EC key with that private scalar, by changing the scalar of a good one.
func (s *stored) putScalar(t *testing.T, scalar []byte) {
	t.Helper()
	s.set(t, s.active, func(d *description) { d.Algorithm = ES256 })
	private := testSigner(t, ES256).(*ecdsa.PrivateKey)
	raw, err := private.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	s.data[s.active+".pem"] = pemOf(bytes.Replace(der, raw, scalar, 1))
}

func TestDecodeDamage(t *testing.T) {
	for i, tc := range slices.Concat(metadataDamages, privateDamages) {
		t.Run(tc.name, func(t *testing.T) {
			s := newStored(t)
			secrets := pemLines(s.data)
			tc.do(t, s)
			rings, err := Decode(s.data)
			want := tc.want
			switch {
			case strings.HasPrefix(want, "entry "):
			case i < len(metadataDamages):
				want = `entry "rings.json" ` + want
			default:
				want = `entry "{kid}.pem" ` + want
			}
			want = "signing keys are damaged: " + strings.ReplaceAll(want, "{kid}", s.active)
			var damaged *DamagedError
			if rings != nil || !errors.As(err, &damaged) || err.Error() != want {
				t.Fatalf("%v\n got %v\nwant %s", rings, err, want)
			}
			for _, secret := range append(secrets, pemLines(s.data)...) {
				if strings.Contains(fmt.Sprintf("%v %#v", err, damaged), secret) {
					t.Errorf("the error has key material: %v", err)
				}
			}
		})
	}
}

// pemLines are the texts that an error must not hold.
func pemLines(data map[string][]byte) []string {
	lines := []string{"secret-material"}
	for name, content := range data {
		if !strings.HasSuffix(name, ".pem") {
			continue
		}
		for line := range strings.Lines(string(content)) {
			if line = strings.TrimSpace(line); len(line) > 16 && !strings.HasPrefix(line, "---") {
				lines = append(lines, line[:16])
			}
		}
	}
	return lines
}

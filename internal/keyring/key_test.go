package keyring

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// secretTexts lists how the private parts of a key could look when printed.
func secretTexts(t *testing.T, signer crypto.Signer) []string {
	t.Helper()
	var numbers [][]byte
	switch private := signer.(type) {
	case *ecdsa.PrivateKey:
		raw, err := private.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, raw)
	case *rsa.PrivateKey:
		numbers = append(numbers, private.D.Bytes(), private.Primes[0].Bytes(), private.Primes[1].Bytes(), private.Precomputed.Dp.Bytes())
	case ed25519.PrivateKey:
		numbers = append(numbers, private, private.Seed())
	}
	var texts []string
	for _, n := range numbers {
		list := strings.Trim(fmt.Sprint(n[:8]), "[]")
		texts = append(texts,
			string(n), hex.EncodeToString(n), strings.ToUpper(hex.EncodeToString(n)), new(big.Int).SetBytes(n).String(),
			base64.RawStdEncoding.EncodeToString(n)[:20], base64.RawURLEncoding.EncodeToString(n)[:20],
			list, strings.ReplaceAll(list, " ", ", "), strings.Trim(fmt.Sprintf("%#v", n[:8]), "[]byte{}"),
		)
	}
	return texts
}

func TestKeyNeverShowsItsPrivateHalf(t *testing.T) {
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) {
			signer := testSigner(t, a)
			key := mustKey(t, a, signer)
			rings := newRings([]Key{key})
			secrets := secretTexts(t, signer)
			for name, v := range map[string]any{
				"Key": key, "*Key": &key, "[]Key": []Key{key}, "map": map[string]Key{"k": key},
				"exported field": struct{ K Key }{key}, "unexported field": struct{ k Key }{key}, "unexported pointer": struct{ k *Key }{&key},
				"Rings": *rings, "*Rings": rings, "field of Rings": struct{ r Rings }{*rings},
				"Keys": rings.Keys(), "any": any(key), "JWKS": rings.PublicJWKS(),
			} {
				for _, output := range everyPrint(v) {
					for _, secret := range secrets {
						if strings.Contains(output, secret) {
							t.Fatalf("%s: the private key is in its output %.40q", name, output)
						}
					}
				}
			}
		})
	}
}

// everyPrint prints v in all the ways that logs and errors use.
func everyPrint(v any) []string {
	var outputs []string
	for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %o %b %c %U %e %g %t %p %T %z % x %#x %+q") {
		outputs = append(outputs, fmt.Sprintf(verb, v), fmt.Errorf("wrapped: "+verb, v).Error())
	}
	if marshalled, err := json.Marshal(v); err == nil {
		outputs = append(outputs, string(marshalled))
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v)
	var gobbed bytes.Buffer
	_ = gob.NewEncoder(&gobbed).Encode(v)
	return append(outputs, log.String(), gobbed.String())
}

func TestKeyDescriptions(t *testing.T) {
	key := mustKey(t, EdDSA, testSigner(t, EdDSA))
	key.State, key.CreatedAt, key.ActiveAt = Active, t0, t0
	for verb, want := range map[string]string{
		"%v":  "access key " + key.ID + " (EdDSA, Active)",
		"%d":  "access key " + key.ID + " (EdDSA, Active)",
		"%#v": `keyring.Key{ID:"` + key.ID + `", Use:"access", Algorithm:"EdDSA", State:"Active"}`,
	} {
		if got := fmt.Sprintf(verb, key); got != want {
			t.Errorf("%s: %s, want %s", verb, got, want)
		}
		if got := fmt.Sprintf(verb, &key); got != want {
			t.Errorf("%s of a pointer: %s, want %s", verb, got, want)
		}
	}
	if got := fmt.Sprintf("%v", (*Key)(nil)); got != "<nil>" {
		t.Errorf("nil key: %s", got)
	}
	marshalled, err := json.Marshal(key)
	want := `{"kid":"` + key.ID + `","use":"access","algorithm":"EdDSA","state":"Active",` +
		`"createdAt":"2026-01-01T00:00:00Z","activeAt":"2026-01-01T00:00:00Z"}`
	if err != nil || string(marshalled) != want {
		t.Errorf("JSON %s, %v\nwant %s", marshalled, err, want)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "key", key)
	if want := "key.kid=" + key.ID + " key.use=access key.algorithm=EdDSA key.state=Active"; !strings.Contains(log.String(), want) {
		t.Errorf("log line %s lacks %s", &log, want)
	}
}

// A difference shown by a test must not be the way a key gets out, and must not panic.
func TestKeyComparesWithGoCmp(t *testing.T) {
	a, b := newTestRings(t, EdDSA), newTestRings(t, EdDSA)
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("equal rings differ: %s", diff)
	}
	if diff := cmp.Diff(a.Keys(), b.Keys()); diff != "" {
		t.Errorf("equal keys differ: %s", diff)
	}
}

func TestGenerate(t *testing.T) {
	for _, a := range algorithms {
		signer, err := Generate(a)
		if err != nil {
			t.Fatalf("%s: %v", a, err)
		}
		if err := checkFit(a, signer); err != nil {
			t.Errorf("%s: the key %v", a, err)
		}
		if key, ok := signer.(*rsa.PrivateKey); ok && key.N.BitLen() != 3072 {
			t.Errorf("RSA of %d bits", key.N.BitLen())
		}
		if !a.Valid() {
			t.Errorf("%s is not valid", a)
		}
	}
	for _, a := range []Algorithm{"", "none", "HS256", "es256", "RS512", "ES256 "} {
		if a.Valid() {
			t.Errorf("%q is valid", a)
		}
		if _, err := Generate(a); err == nil {
			t.Errorf("Generate made a key for %q", a)
		}
	}
}

func TestNewKeyRefusesUnsoundKeys(t *testing.T) {
	p256, p384 := testSigner(t, ES256).(*ecdsa.PrivateKey), testSigner(t, ES384)
	swapped := *p256
	other, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	swapped.PublicKey = other.PublicKey
	offCurve := *p256
	offCurve.PublicKey = ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)} //nolint:staticcheck // an unsound key is what is wanted
	weakExponent := *testSigner(t, RS256).(*rsa.PrivateKey)
	weakExponent.E = 3
	huge := rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), maxRSABits), E: minRSAExponent}}
	small := rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), minRSABits-2), E: minRSAExponent}}
	mixed := ed25519.PrivateKey(bytes.Clone(testSigner(t, EdDSA).(ed25519.PrivateKey)))
	mixed[40] ^= 1
	for _, tc := range []struct {
		name      string
		algorithm Algorithm
		signer    crypto.Signer
		want      string
	}{
		{"P-384 for ES256", ES256, p384, "is not an ECDSA key on P-256"},
		{"P-256 for ES384", ES384, p256, "is not an ECDSA key on P-384"},
		{"P-256 for RS256", RS256, p256, "is not an RSA key"},
		{"P-256 for EdDSA", EdDSA, p256, "is not an Ed25519 key"},
		{"nothing", ES256, nil, "is not an ECDSA key on P-256"},
		{"a nil pointer", ES256, (*ecdsa.PrivateKey)(nil), "is not an ECDSA key on P-256"},
		{"another key's point", ES256, &swapped, "has a public point that is not its own on P-256"},
		{"a point off the curve", ES256, &offCurve, "is not a valid private key on P-256|has a public point that is not its own on P-256"},
		{"RSA below 2048 bits", RS256, &small, "is an RSA key of 2047 bits, not of 2048 to 8192"},
		{"RSA above 8192 bits", RS256, &huge, "is an RSA key of 8193 bits, not of 2048 to 8192"},
		{"RSA with e = 3", RS256, &weakExponent, "is an RSA key with a public exponent below 65537"},
		{"a short Ed25519 key", EdDSA, mixed[:32], "is not an Ed25519 key"},
		{"another key's public half", EdDSA, mixed, "has a public half that is not its own"},
		{"an unknown algorithm", "HS256", p256, "its algorithm is not known"},
	} {
		_, err := newKey(Access, tc.algorithm, tc.signer)
		if err == nil || !strings.Contains("|"+tc.want+"|", "|"+err.Error()+"|") {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
		}
	}
}

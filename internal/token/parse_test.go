package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
)

// attack is what the hostile tokens are made from: a good refresh token of ES256, and the key it was
// signed by, as only its owner has it.
type attack struct {
	testing.TB
	rings   *keyring.Rings
	key     *keyring.Key
	header  string
	payload string
	good    string
}

func newAttack(tb testing.TB) *attack {
	tb.Helper()
	rings := ringsOf[keyring.ES256]()
	key := signer(tb, rings, Refresh)
	a := &attack{TB: tb, rings: rings, key: key, header: headerOf(key, Refresh), payload: payloadOf(tb, claims())}
	a.good = mint(tb, key, Refresh, a.payload)
	return a
}

func (a *attack) withHeader(header string) string { return signAny(a, a.key, header, a.payload) }

func (a *attack) headerWith(member string) string {
	return a.withHeader(strings.TrimSuffix(a.header, "}") + "," + member + "}")
}

func (a *attack) headerInstead(old, new string) string {
	return a.withHeader(forge.Replace(a, a.header, old, new))
}

func (a *attack) withPayload(payload string) string { return signAny(a, a.key, a.header, payload) }

func (a *attack) publicKey() []byte {
	der, err := x509.MarshalPKIXPublicKey(a.key.Public())
	if err != nil {
		a.Fatal(err)
	}
	return der
}

// hmacSigned takes public bytes for the secret of an HMAC, as a verifier does that lets the token choose.
func (a *attack) hmacSigned(secret []byte) string {
	input := forge.B64(forge.Replace(a, a.header, `"ES256"`, `"HS256"`)) + "." + forge.B64(a.payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + forge.B64(string(mac.Sum(nil)))
}

func (a *attack) unsigned(algorithm string) string {
	return forge.B64(forge.Replace(a, a.header, `"ES256"`, algorithm)) + "." + forge.B64(a.payload) + "."
}

// signature changes the bytes of the signature.
func (a *attack) signature(change func([]byte) []byte) string {
	return forge.Part(a.good, 2, func(text string) string {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			a.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(change(raw))
	})
}

func TestParseRefusesHostileHeaders(t *testing.T) {
	a := newAttack(t)
	certificate := forge.B64("certificate")
	run(t, a, []hostile{
		{"alg none, no signature", a.unsigned(`"none"`), ErrMalformed},
		{"alg None", a.unsigned(`"None"`), ErrMalformed},
		{"alg NONE", a.unsigned(`"NONE"`), ErrMalformed},
		{"alg nOnE", a.unsigned(`"nOnE"`), ErrMalformed},
		{"alg empty", a.unsigned(`""`), ErrMalformed},
		{"alg null", a.unsigned(`null`), ErrMalformed},
		{"alg a list", a.unsigned(`["ES256"]`), ErrMalformed},
		{"alg none, with a good signature", a.headerInstead(`"ES256"`, `"none"`), ErrMalformed},
		{"alg ES256, no signature", a.unsigned(`"ES256"`), ErrSignature},
		{"HS256 with the public key as DER", a.hmacSigned(a.publicKey()), ErrMalformed},
		{"HS256 with the public key as PEM", a.hmacSigned(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: a.publicKey()})), ErrMalformed},
		{"HS256 with the kid", a.hmacSigned([]byte(a.key.ID)), ErrMalformed},
		{"alg of another key", a.headerInstead(`"ES256"`, `"ES384"`), ErrMalformed},
		{"alg RS256", a.headerInstead(`"ES256"`, `"RS256"`), ErrMalformed},
		{"alg PS256", a.headerInstead(`"ES256"`, `"PS256"`), ErrMalformed},
		{"alg EdDSA", a.headerInstead(`"ES256"`, `"EdDSA"`), ErrMalformed},
		{"alg in other letters", a.headerInstead(`"ES256"`, `"es256"`), ErrMalformed},
		{"alg missing", a.headerInstead(`"alg":"ES256",`, ``), ErrMalformed},
		{"kid unknown", a.headerInstead(a.key.ID, "unknown"), ErrUnknownKey},
		{"kid empty", a.headerInstead(a.key.ID, ""), ErrUnknownKey},
		{"kid a path", a.headerInstead(a.key.ID, "../../dev/null"), ErrUnknownKey},
		{"kid in other letters", a.headerInstead(a.key.ID, strings.ToLower(a.key.ID)), ErrUnknownKey},
		{"kid a number", a.headerInstead(`"`+a.key.ID+`"`, `1`), ErrMalformed},
		{"kid missing", a.headerInstead(`"kid":"`+a.key.ID+`",`, ``), ErrMalformed},
		{"kid of another key of the ring", a.headerInstead(a.key.ID, pendingKey(t, a.rings)), ErrSignature},
		{"jwk embedded", a.headerWith(`"jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`), ErrMalformed},
		{"jku", a.headerWith(`"jku":"https://evil.example.com/jwks.json"`), ErrMalformed},
		{"x5u", a.headerWith(`"x5u":"https://evil.example.com/cert"`), ErrMalformed},
		{"x5c", a.headerWith(`"x5c":["` + certificate + `"]`), ErrMalformed},
		{"jwk instead of kid", a.headerInstead(`"kid":"`+a.key.ID+`"`, `"jwk":{}`), ErrMalformed},
		{"crit", a.headerWith(`"crit":["exp"]`), ErrMalformed},
		{"crit of what is not understood", a.headerWith(`"crit":["b64"],"b64":false`), ErrMalformed},
		{"zip", a.headerWith(`"zip":"DEF"`), ErrMalformed},
		{"cty", a.headerWith(`"cty":"JWT"`), ErrMalformed},
		{"an extra member", a.headerWith(`"x":1`), ErrMalformed},
		{"alg twice", a.headerWith(`"alg":"none"`), ErrMalformed},
		{"the same alg twice", a.headerWith(`"alg":"ES256"`), ErrMalformed},
		{"kid twice", a.headerWith(`"kid":"x"`), ErrMalformed},
		{"ALG beside alg", a.headerWith(`"ALG":"none"`), ErrMalformed},
		{"ALG instead of alg", a.headerInstead(`"alg"`, `"ALG"`), ErrMalformed},
		{"typ missing", a.headerInstead(`,"typ":"rt+jwt"`, ``), ErrMalformed},
		{"typ JWT", a.headerInstead(`"rt+jwt"`, `"JWT"`), ErrMalformed},
		{"typ in other letters", a.headerInstead(`"rt+jwt"`, `"RT+JWT"`), ErrMalformed},
		{"typ with its prefix", a.headerInstead(`"rt+jwt"`, `"application/rt+jwt"`), ErrMalformed},
		{"typ a number", a.headerInstead(`"rt+jwt"`, `1`), ErrMalformed},
		{"header a list", a.withHeader(`["ES256","` + a.key.ID + `","rt+jwt"]`), ErrMalformed},
		{"header null", a.withHeader(`null`), ErrMalformed},
		{"header a text", a.withHeader(`"x"`), ErrMalformed},
		{"header empty", a.withHeader(``), ErrMalformed},
		{"header with something after it", a.withHeader(a.header + `{}`), ErrMalformed},
		{"header not JSON", a.withHeader(strings.TrimSuffix(a.header, "}")), ErrMalformed},
		{"header with bad UTF-8", a.headerInstead(a.key.ID, "\xff"), ErrMalformed},
		{"header of many levels", a.withHeader(strings.Repeat("[", 4000)), ErrMalformed},
	})
}

func TestParseRefusesHostilePayloads(t *testing.T) {
	a := newAttack(t)
	var all []hostile
	for _, bad := range badPayloads {
		all = append(all, hostile{bad.name, a.withPayload(forge.Replace(t, a.payload, bad.old, bad.new)), ErrMalformed})
	}
	for _, payload := range otherPayloads {
		all = append(all, hostile{"payload " + payload, a.withPayload(payload), ErrMalformed})
	}
	run(t, a, append(all, []hostile{
		// golang-jwt hands a null to no decoder; the claims stay empty, and their time is over.
		{"payload null", a.withPayload("null"), ErrExpired},
		{"no revision in a refresh token", a.withPayload(forge.Replace(t, a.payload, `"revision":4,`, ``)), ErrMalformed},
		{"payload of another token", forge.Part(a.good, 1, func(string) string { return forge.B64(forge.Replace(t, a.payload, `"tier":3`, `"tier":4`)) }), ErrSignature},
		{"header of another token", forge.Part(a.good, 0, func(string) string { return forge.B64(forge.Replace(t, a.header, a.key.ID, pendingKey(t, a.rings))) }), ErrSignature},
		{"another issuer", a.withPayload(forge.Replace(t, a.payload, issuer, "https://evil.example.com")), ErrIssuer},
		{"issuer with a slash at the end", a.withPayload(forge.Replace(t, a.payload, issuer, issuer+"/")), ErrIssuer},
		{"issuer in other letters", a.withPayload(forge.Replace(t, a.payload, issuer, "https://Tokens.example.com")), ErrIssuer},
		{"issuer with a port", a.withPayload(forge.Replace(t, a.payload, issuer, issuer+":443")), ErrIssuer},
		{"another issuer, and expired", a.withPayload(forge.Replace(t, forge.Replace(t, a.payload, issuer, "x"), "1780228800", "1777630000")), ErrExpired},
	}...))
}

func TestParseRefusesHostileForms(t *testing.T) {
	a := newAttack(t)
	long := claims()
	long.Extra["pad"] = `"` + strings.Repeat("x", 7000) + `"`
	all := []hostile{
		{"empty", "", ErrMalformed},
		{"dots only", "..", ErrMalformed},
		{"one part", strings.Split(a.good, ".")[0], ErrMalformed},
		{"two parts", a.good[:strings.LastIndex(a.good, ".")], ErrMalformed},
		{"four parts", a.good + ".AA", ErrMalformed},
		{"a dot at the end", a.good + ".", ErrMalformed},
		{"a JWE of five parts", forge.B64(`{"alg":"ECDH-ES","enc":"A256GCM"}`) + ".AA.AA.AA.AA", ErrMalformed},
		{"many parts", strings.Repeat(".", 100000), ErrMalformed},
		{"9 KiB, well signed", mint(t, a.key, Refresh, payloadOf(t, long)), ErrMalformed},
		{"Bearer before it", "Bearer " + a.good, ErrMalformed},
		{"a blank before it", " " + a.good, ErrMalformed},
		{"a newline after it", a.good + "\n", ErrMalformed},
		{"a NUL after it", a.good + "\x00", ErrMalformed},
		{"a letter that looks like one", strings.Replace(a.good, "e", "е", 1), ErrMalformed},
		{"bad UTF-8", a.good + "\xff", ErrMalformed},
		{"JSON serialisation", `{"payload":"` + forge.B64(a.payload) + `"}`, ErrMalformed},
	}
	for i, name := range []string{"header", "payload", "signature"} {
		all = append(all,
			hostile{"padding after the " + name, forge.Part(a.good, i, func(s string) string { return s + "=" }), ErrMalformed},
			hostile{"a newline in the " + name, forge.Part(a.good, i, func(s string) string { return s[:8] + "\n" + s[8:] }), ErrMalformed},
			hostile{"a carriage return in the " + name, forge.Part(a.good, i, func(s string) string { return s[:8] + "\r" + s[8:] }), ErrMalformed},
			hostile{"a plus in the " + name, forge.Part(a.good, i, func(s string) string { return s[:8] + "+" + s[9:] }), ErrMalformed},
			hostile{"a slash in the " + name, forge.Part(a.good, i, func(s string) string { return s[:8] + "/" + s[9:] }), ErrMalformed},
			hostile{"a length no bytes have in the " + name, forge.Part(a.good, i, func(s string) string { return s + strings.Repeat("A", 5-len(s)%4) }), ErrMalformed},
		)
	}
	// The header fills its last letter; a payload and a signature of one or two bytes less do not.
	all = append(all,
		hostile{"trailing bits of the signature", forge.Part(a.good, 2, forge.TrailingBits), ErrMalformed},
		hostile{"trailing bits of the payload", forge.Part(a.withPayload(unevenly(a.payload)), 1, forge.TrailingBits), ErrMalformed},
		hostile{"trailing bits of the header", forge.Part(a.withHeader(unevenly(a.header)), 0, forge.TrailingBits), ErrMalformed},
	)
	run(t, a, all)
}

// unevenly spells a JSON object so that its encoding has bits to spare.
func unevenly(text string) string {
	for len(text)%3 == 0 {
		text = strings.Replace(text, ":", ": ", 1)
	}
	return text
}

func TestParseRefusesHostileSignatures(t *testing.T) {
	a := newAttack(t)
	other := signer(t, otherRings(), Refresh)
	run(t, a, []hostile{
		{"empty", forge.Part(a.good, 2, func(string) string { return "" }), ErrSignature},
		{"a bit flipped", a.signature(func(s []byte) []byte { s[5] ^= 1; return s }), ErrSignature},
		{"a byte too few", a.signature(func(s []byte) []byte { return s[:63] }), ErrSignature},
		{"a byte too many", a.signature(func(s []byte) []byte { return append(s, 0) }), ErrSignature},
		{"zeros (CVE-2022-21449)", a.signature(func(s []byte) []byte { return make([]byte, len(s)) }), ErrSignature},
		{"ones", a.signature(func(s []byte) []byte { return []byte(strings.Repeat("\xff", len(s))) }), ErrSignature},
		{"in ASN.1", a.signature(inASN1), ErrSignature},
		{"halves exchanged", a.signature(func(s []byte) []byte { return append(s[32:], s[:32]...) }), ErrSignature},
		{"by another issuer's key", signAny(t, other, a.header, a.payload), ErrSignature},
		{"by the access key", signAny(t, signer(t, a.rings, Access), a.header, a.payload), ErrSignature},
		{"of another token", a.good[:strings.LastIndex(a.good, ".")] + a.withPayload("{}")[strings.LastIndex(a.withPayload("{}"), "."):], ErrSignature},
	})
}

// TestParseRefusesDamagedSignatures checks for each algorithm that the length of a signature is exact, and that each of
// its bits and of the message counts.
func TestParseRefusesDamagedSignatures(t *testing.T) {
	for _, algorithm := range algorithms {
		t.Run(string(algorithm), func(t *testing.T) {
			rings := ringsOf[algorithm]()
			key := signer(t, rings, Refresh)
			good := mint(t, key, Refresh, payloadOf(t, claims()))
			if _, err := Parse(good, Refresh, rings, issuer, t0); err != nil {
				t.Fatal(err)
			}
			signed, signature := split(t, good)
			flipped := bytes.Clone(signature)
			flipped[len(flipped)-1] ^= 1
			for name, bad := range map[string][]byte{
				"empty":            {},
				"one byte":         {1},
				"cut at the end":   signature[:len(signature)-1],
				"cut at the front": signature[1:],
				"longer":           append(bytes.Clone(signature), 0),
				"zero in front":    append([]byte{0}, signature...),
				"zero between":     slices.Concat(signature[:len(signature)/2], []byte{0}, signature[len(signature)/2:]),
				"twice":            append(bytes.Clone(signature), signature...),
				"one bit":          flipped,
				"all zero":         make([]byte, len(signature)),
				"all ones":         bytes.Repeat([]byte{0xff}, len(signature)),
			} {
				if _, err := Parse(string(signed)+"."+forge.B64(string(bad)), Refresh, rings, issuer, t0); !errors.Is(err, ErrSignature) {
					t.Errorf("%s: %v", name, err)
				}
			}
			other := claims()
			other.JTI = "0197e9c2-7c3a-7000-8000-000000000002"
			message := forge.B64(headerOf(key, Refresh)) + "." + forge.B64(payloadOf(t, other))
			if _, err := Parse(message+"."+forge.B64(string(signature)), Refresh, rings, issuer, t0); !errors.Is(err, ErrSignature) {
				t.Errorf("other message: %v", err)
			}
		})
	}
}

func inASN1(signature []byte) []byte {
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])})
	if err != nil {
		panic(err)
	}
	return der
}

// TestParseTakesTheOtherSignature checks that Parse accepts the second ECDSA signature that can be derived from a first
// one. The content of the token is the same, so the jti identifies tokens, not the text.
func TestParseTakesTheOtherSignature(t *testing.T) {
	a := newAttack(t)
	public, ok := a.key.Public().(*ecdsa.PublicKey)
	if !ok {
		t.Fatalf("%T", a.key.Public())
	}
	second := a.signature(func(s []byte) []byte {
		n := public.Params().N
		new(big.Int).Sub(n, new(big.Int).SetBytes(s[32:])).FillBytes(s[32:])
		return s
	})
	read, err := Parse(second, Refresh, a.rings, issuer, t0)
	if err != nil || second == a.good || read.JTI != claims().JTI {
		t.Errorf("%+v, %v", read, err)
	}
}

func TestParseTimes(t *testing.T) {
	a := newAttack(t)
	end := claims().ExpiresAt
	for _, c := range []struct {
		name string
		at   time.Time
		want error
	}{
		{"when it is made", t0, nil},
		{"at its end", end, nil},
		{"a second before its end and the skew", end.Add(Skew - time.Second), nil},
		{"just before its end and the skew", end.Add(Skew - 1), nil},
		{"at its end and the skew", end.Add(Skew), ErrExpired},
		{"a second after its end and the skew", end.Add(Skew + time.Second), ErrExpired},
		{"long after its end", end.Add(10000 * time.Hour), ErrExpired},
		{"by a clock that is the skew behind", t0.Add(-Skew), nil},
		{"by a clock that is twice the skew behind", t0.Add(-2 * Skew), nil},
		{"by a clock that is a second more behind", t0.Add(-2*Skew - time.Second), ErrExpired},
		{"by a clock of another age", time.Time{}, ErrExpired},
	} {
		if _, err := Parse(a.good, Refresh, a.rings, issuer, c.at); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, wanted %v", c.name, err, c.want)
		}
	}
}

func TestParseNeedsTheRightRings(t *testing.T) {
	a := newAttack(t)
	for name, rings := range map[string]*keyring.Rings{"another issuer's": otherRings(), "none": nil, "of another algorithm": ringsOf[keyring.EdDSA]()} {
		if _, err := Parse(a.good, Refresh, rings, issuer, t0); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("rings: %s: %v", name, err)
		}
	}
}

type hostile struct {
	name    string
	compact string
	want    error
}

// run holds each token against the error that it should give. The errors hold nothing of the token: they are
// those of the package, as they are.
func run(t *testing.T, a *attack, all []hostile) {
	t.Helper()
	if _, err := Parse(a.good, Refresh, a.rings, issuer, t0); err != nil {
		t.Fatalf("the good token: %v", err)
	}
	for _, h := range all {
		t.Run(h.name, func(t *testing.T) {
			if h.compact == a.good {
				t.Fatal("this is the good token")
			}
			read, err := Parse(h.compact, Refresh, a.rings, issuer, t0)
			if read != nil || err != h.want { //nolint:errorlint // wrapped, it would tell more
				t.Errorf("%+v, %v; wanted %v", read, err, h.want)
			}
		})
	}
}

package tokenserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
)

// forger makes tokens from a good one, with the same signing keys.
type forger struct {
	testing.TB
	rings *keyring.Rings
	// signer is the refresh signing key of the good token.
	signer *keyring.Key
	good   string
	// header and payload are those of the good token, as JSON.
	header, payload string
}

func newForger(tb testing.TB, rings *keyring.Rings, good string) *forger {
	tb.Helper()
	parts := strings.Split(good, ".")
	f := &forger{TB: tb, rings: rings, good: good, header: string(f64(tb, parts[0])), payload: string(f64(tb, parts[1]))}
	f.signer = f.keyOf(keyring.Refresh)
	if !strings.Contains(f.header, f.signer.ID) {
		tb.Fatal("the good token is not by the key that signs")
	}
	return f
}

func (f *forger) keyOf(use keyring.Use) *keyring.Key {
	f.Helper()
	key, err := f.rings.Signer(use)
	if err != nil {
		f.Fatal(err)
	}
	return key
}

func f64(tb testing.TB, text string) []byte {
	tb.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		tb.Fatal("not base64url")
	}
	return raw
}

// signedBy signs any header and payload.
func (f *forger) signedBy(key *keyring.Key, header, payload string) string {
	f.Helper()
	input := forge.B64(header) + "." + forge.B64(payload)
	signature, err := key.Sign([]byte(input))
	if err != nil {
		f.Fatal(err)
	}
	return input + "." + forge.B64(signature)
}

// withHeader returns the good token with another header, correctly signed.
func (f *forger) withHeader(header string) string { return f.signedBy(f.signer, header, f.payload) }

// withMember adds a member to the header.
func (f *forger) withMember(member string) string {
	return f.withHeader(strings.TrimSuffix(f.header, "}") + "," + member + "}")
}

// headerInstead changes the header's text.
func (f *forger) headerInstead(old, new string) string {
	return f.withHeader(forge.Replace(f, f.header, old, new))
}

// withPayload returns another payload with the good token's header, correctly signed.
func (f *forger) withPayload(payload string) string { return f.signedBy(f.signer, f.header, payload) }

// withAlso adds a member to the payload's text, also if it exists already.
func (f *forger) withAlso(member string) string {
	return f.withPayload(strings.TrimSuffix(f.payload, "}") + "," + member + "}")
}

// with sets claims, correctly signed. claims are names and JSON texts in turn; an empty text removes the claim.
func (f *forger) with(claims ...string) string { return f.withPayload(edited(f, f.payload, claims...)) }

// edited changes members of a JSON object. The values need not be JSON.
func edited(tb testing.TB, object string, members ...string) string {
	tb.Helper()
	var values map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &values); err != nil {
		tb.Fatal("not a JSON object")
	}
	for i := 0; i+1 < len(members); i += 2 {
		values[members[i]] = json.RawMessage(members[i+1])
		if members[i+1] == "" {
			delete(values, members[i])
		}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all = append(all, fmt.Sprintf("%q:%s", name, values[name]))
	}
	return "{" + strings.Join(all, ",") + "}"
}

// member returns the text of a claim of the good token.
func (f *forger) member(name string) string {
	f.Helper()
	var values map[string]json.RawMessage
	if err := json.Unmarshal([]byte(f.payload), &values); err != nil {
		f.Fatal("not a JSON object")
	}
	return string(values[name])
}

// object changes members of the claim that names the token's key.
func (f *forger) object(members ...string) string {
	return f.with("refreshkeys.dev", edited(f, f.member("refreshkeys.dev"), members...))
}

// seconds returns the time of a claim plus some seconds.
func (f *forger) seconds(name string, more int64) string {
	f.Helper()
	var at int64
	if err := json.Unmarshal([]byte(f.member(name)), &at); err != nil {
		f.Fatalf("%s is no time", name)
	}
	return fmt.Sprint(at + more)
}

// unsigned returns the good token with another algorithm and without a signature.
func (f *forger) unsigned(algorithm string) string {
	return forge.B64(forge.Replace(f, f.header, `"ES256"`, algorithm)) + "." + forge.B64(f.payload) + "."
}

// hmacBy uses public bytes as the secret of an HMAC, as a verifier does that takes the algorithm from the token
// (RFC 8725 §2.1).
func hmacBy(secret []byte, header, payload string) string {
	input := forge.B64(header) + "." + forge.B64(payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + forge.B64(mac.Sum(nil))
}

func (f *forger) hmacSigned(secret []byte) string {
	return hmacBy(secret, forge.Replace(f, f.header, `"ES256"`, `"HS256"`), f.payload)
}

// publicForms returns the encodings of a public key.
func publicForms(tb testing.TB, key *keyring.Key) (text, der, jwk []byte) {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		tb.Fatal(err)
	}
	if jwk, err = json.Marshal(jose.JSONWebKey{Key: key.Public(), KeyID: key.ID, Algorithm: string(key.Algorithm), Use: "sig"}); err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), der, jwk
}

// signature changes the bytes of the good token's signature.
func (f *forger) signature(change func(r, s, n *big.Int) []byte) string {
	f.Helper()
	cut := strings.LastIndex(f.good, ".") + 1
	raw := f64(f, f.good[cut:])
	public, ok := f.signer.Public().(*ecdsa.PublicKey)
	if !ok || len(raw) != 64 {
		f.Fatal("the good token is not of ES256")
	}
	return f.good[:cut] + forge.B64(change(new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:]), public.Params().N))
}

// joined concatenates the two halves of an ES256 signature (RFC 7518 §3.4).
func joined(r, s *big.Int) []byte {
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return raw
}

func inASN1(r, s, _ *big.Int) []byte {
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		panic(err)
	}
	return der
}

// foreignSigner has its own signing key, and embeds it in every way that a header allows.
type foreignSigner struct {
	testing.TB
	key *ecdsa.PrivateKey
}

func newForeignSigner(tb testing.TB) *foreignSigner {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return &foreignSigner{TB: tb, key: key}
}

func (s *foreignSigner) sign(header, payload string) string {
	s.Helper()
	input := forge.B64(header) + "." + forge.B64(payload)
	digest := sha256.Sum256([]byte(input))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		s.Fatal(err)
	}
	return input + "." + forge.B64(joined(r, v))
}

func (s *foreignSigner) jwk() string {
	s.Helper()
	text, err := json.Marshal(jose.JSONWebKey{Key: s.key.Public()})
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}

// certificate returns a chain with one certificate, as x5c contains it (RFC 7515 §4.1.6).
func (s *foreignSigner) certificate() string {
	s.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.key.Public(), s.key)
	if err != nil {
		s.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// unevenly formats a JSON object so that its encoding has unused bits.
func unevenly(text string) string {
	for len(text)%3 == 0 {
		text = strings.Replace(text, ":", ": ", 1)
	}
	return text
}

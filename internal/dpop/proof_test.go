package dpop

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/keyring"
	"github.com/refreshkeys/refreshkeys/internal/token"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
	"github.com/refreshkeys/refreshkeys/test/framework/signing"
)

func TestGoodProofs(t *testing.T) {
	for _, algorithm := range Algorithms() {
		p := newProver(t, algorithm)
		for name, compact := range map[string]string{
			"as it is":                       p.good,
			"no nonce":                       p.withPayload(`,"nonce":"n"`, ``),
			"time with a fraction":           p.withPayload(`1777636800`, `1777636800.5`),
			"claims that we do not look at":  p.payloadWith(`"ath":"x","client":{"a":[1]}`),
			"a key that says what it is for": p.jwkWith(`"use":"sig","alg":"` + algorithm + `","kid":"k","ext":true,"key_ops":["verify"]`),
		} {
			proof, err := Parse(compact)
			if err != nil {
				t.Errorf("%s, %s: %v", algorithm, name, err)
				continue
			}
			if proof.JTI != "0197e9c2-7c3a-7000-8000-000000000002" || len(proof.Thumbprint) != 43 || !proof.issuedAt.Equal(t0) {
				t.Errorf("%s, %s: read as %+v", algorithm, name, proof)
			}
		}
	}
}

// TestProofThumbprint holds against the example of RFC 9449 §4.1 and §6.1.
func TestProofThumbprint(t *testing.T) {
	_, thumbprint, err := clientKey("ES256", map[string]any{
		"kty": "EC", "crv": "P-256",
		"x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
	})
	if err != nil || thumbprint != "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" {
		t.Errorf("%s, %v", thumbprint, err)
	}
}

func TestParseProofRefuses(t *testing.T) {
	p := newProver(t, "ES256")
	other := newProver(t, "RS256")
	another := proverOf(t, "ES256", curveKey(t, elliptic.P256(), "another"))
	ed := newProver(t, "EdDSA")
	weak := proverOf(t, "RS256", rsa1024())
	xy := func(x, y string) string {
		return p.withJWK(`{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + y + `"}`)
	}
	x, y := member(t, p.jwk, "x"), member(t, p.jwk, "y")
	modulus := other.key.Public().(*rsa.PublicKey).N
	rsaOf := func(n, e string) string { return other.withJWK(`{"kty":"RSA","n":"` + n + `","e":"` + e + `"}`) }
	n := member(t, other.jwk, "n")
	cases := []struct {
		name    string
		compact string
		want    error
	}{
		{"nothing", "", token.ErrMalformed},
		{"one part", "x", token.ErrMalformed},
		{"two parts", forge.B64(p.header) + "." + forge.B64(p.payload), token.ErrMalformed},
		{"four parts", p.good + ".x", token.ErrMalformed},
		{"five parts, as of a JWE", forge.B64(`{"alg":"dir","enc":"A128GCM"}`) + "..AA.AA.AA", token.ErrMalformed},
		{"longer than 8 KiB", p.payloadWith(`"x":"` + strings.Repeat("x", token.MaxLength) + `"`), token.ErrMalformed},
		{"two in one header", p.good + "," + p.good, token.ErrMalformed},
		{"padded", p.good + "=", token.ErrMalformed},
		{"a line break behind it", p.good + "\n", token.ErrMalformed},
		{"bits that the encoding does not use", forge.Part(p.good, 2, forge.TrailingBits), token.ErrMalformed},
		{"header no JSON", p.sign("x", p.payload), token.ErrMalformed},
		{"header null", p.sign("null", p.payload), token.ErrMalformed},
		{"header not UTF-8", p.sign("{\"typ\":\"\xff\"}", p.payload), token.ErrMalformed},

		{"typ missing", p.withHeader(`"typ":"dpop+jwt",`, ``), token.ErrMalformed},
		{"typ JWT", p.withHeader(`dpop+jwt`, `JWT`), token.ErrMalformed},
		{"typ in other letters", p.withHeader(`dpop+jwt`, `DPoP+JWT`), token.ErrMalformed},
		{"typ of an access token", p.withHeader(`dpop+jwt`, `at+jwt`), token.ErrMalformed},
		{"typ twice", p.withHeader(`"typ"`, `"typ":"dpop+jwt","typ"`), token.ErrMalformed},
		{"crit", p.withHeader(`"typ"`, `"crit":["exp"],"typ"`), token.ErrMalformed},
		{"b64", p.withHeader(`"typ"`, `"b64":false,"typ"`), token.ErrMalformed},
		{"jku", p.withHeader(`"typ"`, `"jku":"https://evil.example.com","typ"`), token.ErrMalformed},
		{"x5c", p.withHeader(`"typ"`, `"x5c":["AA"],"typ"`), token.ErrMalformed},
		{"kid", p.withHeader(`"typ"`, `"kid":"x","typ"`), token.ErrMalformed},
		{"ALG beside alg", p.withHeader(`"typ"`, `"ALG":"none","typ"`), token.ErrMalformed},
		{"JWK instead of jwk", p.withHeader(`"jwk"`, `"JWK"`), token.ErrMalformed},

		{"alg missing", p.withHeader(`"alg":"ES256",`, ``), token.ErrMalformed},
		{"alg none", p.withHeader(`"alg":"ES256"`, `"alg":"none"`), ErrAlgorithm},
		{"alg none, no signature", forge.B64(forge.Replace(t, p.header, `ES256`, `none`)) + "." + forge.B64(p.payload) + ".", ErrAlgorithm},
		{"alg HS256", p.withHeader(`"alg":"ES256"`, `"alg":"HS256"`), ErrAlgorithm},
		{"alg es256", p.withHeader(`"alg":"ES256"`, `"alg":"es256"`), ErrAlgorithm},
		{"alg RS1", p.withHeader(`"alg":"ES256"`, `"alg":"RS1"`), ErrAlgorithm},
		{"alg ES512", p.withHeader(`"alg":"ES256"`, `"alg":"ES512"`), ErrAlgorithm},
		{"alg a number", p.withHeader(`"alg":"ES256"`, `"alg":7`), ErrAlgorithm},
		{"alg of another curve", p.withHeader(`"alg":"ES256"`, `"alg":"ES384"`), ErrAlgorithm},
		{"alg of another type", p.withHeader(`"alg":"ES256"`, `"alg":"RS256"`), ErrAlgorithm},
		{"alg of Ed25519 with a point of P-256", p.withHeader(`"alg":"ES256"`, `"alg":"EdDSA"`), ErrAlgorithm},
		{"alg of ECDSA with an RSA key", other.withHeader(`"alg":"RS256"`, `"alg":"ES256"`), ErrAlgorithm},
		{"alg of the key another", p.jwkWith(`"alg":"ES384"`), ErrAlgorithm},

		{"jwk missing", p.withHeader(`,"jwk":`+p.jwk, ``), token.ErrMalformed},
		{"jwk null", p.withJWK(`null`), token.ErrMalformed},
		{"jwk a text", p.withJWK(`"x"`), token.ErrMalformed},
		{"jwk empty", p.withJWK(`{}`), ErrKey},
		{"jwk symmetric", p.withJWK(`{"kty":"oct","k":"AAAA"}`), ErrKey},
		{"jwk of an unknown type", p.withJWK(`{"kty":"AKP","pub":"AAAA"}`), ErrKey},
		{"jwk with its private half", p.jwkWith(`"d":"AAAA"`), ErrKey},
		{"jwk with its private half, by another name's case", p.jwkWith(`"D":"AAAA"`), ErrKey},
		{"jwk with a prime", other.jwkWith(`"p":"AAAA"`), ErrKey},
		{"jwk with the other prime", other.jwkWith(`"q":"AAAA"`), ErrKey},
		{"jwk with a CRT exponent", other.jwkWith(`"dp":"AAAA"`), ErrKey},
		{"jwk with a null for its private half", p.jwkWith(`"d":null`), ErrKey},
		{"jwk for operations without verify", p.jwkWith(`"key_ops":["sign"]`), ErrKey},
		{"jwk for encrypting", p.jwkWith(`"use":"sig","key_ops":["encrypt","wrapKey"]`), ErrKey},
		{"jwk for no operation", p.jwkWith(`"key_ops":[]`), ErrKey},
		{"jwk for verify, by a text", p.jwkWith(`"key_ops":"verify"`), ErrKey},
		{"jwk with operations null", p.jwkWith(`"key_ops":null`), ErrKey},
		{"jwk for VERIFY", p.jwkWith(`"key_ops":["VERIFY"]`), ErrKey},
		{"jwk for encryption", p.jwkWith(`"use":"enc"`), ErrKey},
		{"jwk with x twice", p.jwkWith(`"x":"` + x + `"`), token.ErrMalformed},
		{"jwk's x a number", p.withJWK(`{"kty":"EC","crv":"P-256","x":1,"y":"` + y + `"}`), ErrKey},
		{"jwk without y", p.withJWK(`{"kty":"EC","crv":"P-256","x":"` + x + `"}`), ErrKey},
		{"jwk without crv", p.withJWK(`{"kty":"EC","x":"` + x + `","y":"` + y + `"}`), ErrKey},
		{"jwk of secp256k1", p.withJWK(`{"kty":"EC","crv":"secp256k1","x":"` + x + `","y":"` + y + `"}`), ErrKey},
		{"jwk of another curve's name", p.withJWK(`{"kty":"EC","crv":"P-384","x":"` + x + `","y":"` + y + `"}`), ErrKey},
		{"a point that is not on its curve", xy(x, x), ErrKey},
		{"the point at infinity", xy(coordinate(new(big.Int), 32), coordinate(new(big.Int), 32)), ErrKey},
		{"a coordinate that is too long", xy(coordinate(new(big.Int), 1)+x, y), ErrKey},
		{"a coordinate that is not reduced", xy(coordinate(elliptic.P256().Params().P, 32), y), ErrKey},
		{"a coordinate with padding", xy(x+"=", y), ErrKey},
		{"Ed25519 with a short x", ed.withJWK(`{"kty":"OKP","crv":"Ed25519","x":"AAAA"}`), ErrKey},
		{"Ed25519's neutral element, which signs anything", ed.withJWK(`{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`), ErrKey},
		{"X25519, which signs nothing", ed.withJWK(`{"kty":"OKP","crv":"X25519","x":"` + member(t, ed.jwk, "x") + `"}`), ErrKey},
		{"RSA of 1024 bits", weak.good, ErrKey},
		{"RSA of 8200 bits", rsaOf(coordinate(new(big.Int).SetBit(big.NewInt(1), 8199, 1), 1025), "AQAB"), ErrKey},
		{"RSA with an even modulus", rsaOf(coordinate(new(big.Int).Lsh(big.NewInt(1), 2047), 256), "AQAB"), ErrKey},
		{"RSA with the exponent 3", rsaOf(n, "Aw"), ErrKey},
		{"RSA with an even exponent", rsaOf(n, "AQAC"), ErrKey},
		{"RSA with a zero before its modulus, and so another thumbprint", rsaOf(coordinate(modulus, 257), "AQAB"), ErrKey},
		{"RSA with a zero before its exponent", rsaOf(n, "AAEAAQ"), ErrKey},

		{"no signature", forge.Part(p.good, 2, func(string) string { return "" }), token.ErrSignature},
		{"another's signature", p.good[:strings.LastIndexByte(p.good, '.')] + another.good[strings.LastIndexByte(another.good, '.'):], token.ErrSignature},
		{"signed by another than it says", another.sign(p.header, p.payload), token.ErrSignature},
		{"a signature in ASN.1", forge.Part(p.good, 2, func(s string) string { return forge.B64("\x30\x06\x02\x01\x01\x02\x01\x01") }), token.ErrSignature},
		{"a signature of zeros", forge.Part(p.good, 2, func(string) string { return forge.B64(strings.Repeat("\x00", 64)) }), token.ErrSignature},
		{"a claim changed after signing", forge.Part(p.good, 1, func(string) string { return forge.B64(forge.Replace(t, p.payload, "POST", "GET")) }), token.ErrSignature},
		{"RS256 for PS256", other.withHeader(`RS256`, `PS256`), token.ErrSignature},

		{"payload no JSON", p.sign(p.header, "x"), token.ErrMalformed},
		{"payload a list", p.sign(p.header, "[]"), token.ErrMalformed},
		{"payload with something behind it", p.sign(p.header, p.payload+"{}"), token.ErrMalformed},
		{"jti missing", p.withPayload(`"jti":"0197e9c2-7c3a-7000-8000-000000000002",`, ``), token.ErrMalformed},
		{"jti empty", p.withPayload(`0197e9c2-7c3a-7000-8000-000000000002`, ``), token.ErrMalformed},
		{"jti a number", p.withPayload(`"0197e9c2-7c3a-7000-8000-000000000002"`, `7`), token.ErrMalformed},
		{"jti of 257 bytes", p.withPayload(`0197e9c2-7c3a-7000-8000-000000000002`, strings.Repeat("j", 257)), token.ErrMalformed},
		{"jti twice", p.payloadWith(`"jti":"x"`), token.ErrMalformed},
		{"JTI beside jti", p.payloadWith(`"JTI":"x"`), token.ErrMalformed},
		{"HTM instead of htm", p.withPayload(`"htm"`, `"HTM"`), token.ErrMalformed},
		{"NONCE instead of nonce, which need not be there", p.withPayload(`"nonce"`, `"NONCE"`), token.ErrMalformed},
		{"Exp, which need not be there", p.payloadWith(`"Exp":1`), token.ErrMalformed},
		{"two others that differ in case", p.payloadWith(`"x":1,"X":1`), token.ErrMalformed},
		{"htm missing", p.withPayload(`"htm":"POST",`, ``), token.ErrMalformed},
		{"htu missing", p.withPayload(`"htu":"`+issuer+`/token",`, ``), token.ErrMalformed},
		{"htu a list", p.withPayload(`"`+issuer+`/token"`, `["`+issuer+`/token"]`), token.ErrMalformed},
		{"iat missing", p.withPayload(`"iat":1777636800,`, ``), token.ErrMalformed},
		{"iat a text", p.withPayload(`1777636800`, `"1777636800"`), token.ErrMalformed},
		{"iat zero", p.withPayload(`1777636800`, `0`), token.ErrMalformed},
		{"iat before there was time", p.withPayload(`1777636800`, `-1.5`), token.ErrMalformed},
		{"iat beyond the last year", p.withPayload(`1777636800`, `1e300`), token.ErrMalformed},
		{"iat endless", p.withPayload(`1777636800`, `1e999`), token.ErrMalformed},
		{"nonce empty", p.withPayload(`"nonce":"n"`, `"nonce":""`), token.ErrMalformed},
		{"nonce null", p.withPayload(`"nonce":"n"`, `"nonce":null`), token.ErrMalformed},
		{"nonce of 257 bytes", p.withPayload(`"nonce":"n"`, `"nonce":"`+strings.Repeat("n", 257)+`"`), token.ErrMalformed},
		{"exp a text", p.payloadWith(`"exp":"never"`), token.ErrMalformed},
		{"nbf null", p.payloadWith(`"nbf":null`), token.ErrMalformed},
	}
	for _, c := range cases {
		proof, err := Parse(c.compact)
		if proof != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, wanted %v", c.name, err, c.want)
		}
		if err != nil && len(c.compact) > 20 && strings.Contains(err.Error(), c.compact[:20]) {
			t.Errorf("%s: the error repeats the proof", c.name)
		}
	}
	t.Logf("%d damaged proofs", len(cases))
}

// TestProofSalt: RFC 7518 §3.5: the salt of PS256 is as long as its hash.
func TestProofSalt(t *testing.T) {
	p := newProver(t, "PS256")
	for length, good := range map[int]bool{32: true, 0: false, 20: false, 31: false, 33: false, 64: false, 222: false} {
		input := forge.B64(p.header) + "." + forge.B64(p.payload)
		sum := sha256.Sum256([]byte(input))
		options := &rsa.PSSOptions{SaltLength: length, Hash: crypto.SHA256}
		if length == 0 {
			// The zero value means as long as possible.
			options.SaltLength = rsa.PSSSaltLengthAuto
		}
		signature, err := p.key.Sign(rand.Reader, sum[:], options)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(input + "." + base64.RawURLEncoding.EncodeToString(signature))
		if (err == nil) != good || (err != nil && !errors.Is(err, token.ErrSignature)) {
			t.Errorf("a salt of %d bytes: %v", length, err)
		}
	}
}

// member is a text of a flat object.
func member(tb testing.TB, object, name string) string {
	tb.Helper()
	_, rest, found := strings.Cut(object, `"`+name+`":"`)
	value, _, ended := strings.Cut(rest, `"`)
	if !found || !ended {
		tb.Fatalf("there is no %s", name)
	}
	return value
}

func TestProofTarget(t *testing.T) {
	configured := []string{"https://tokens.example.com/shop/token", "https://tokens.svc:8443/token"}
	for _, c := range []struct {
		name, method, target string
		want                 bool
	}{
		{"as configured", "POST", "https://tokens.example.com/shop/token", true},
		{"the other one", "POST", "https://tokens.svc:8443/token", true},
		{"scheme and host in capitals", "POST", "HTTPS://Tokens.Example.COM/shop/token", true},
		{"the scheme's own port", "POST", "https://tokens.example.com:443/shop/token", true},
		{"an empty port", "POST", "https://tokens.example.com:/shop/token", true},
		{"a query, which is not compared", "POST", "https://tokens.example.com/shop/token?a=b", true},
		{"a fragment, which is not compared", "POST", "https://tokens.example.com/shop/token#a", true},
		{"another method", "GET", "https://tokens.example.com/shop/token", false},
		{"the method in other letters", "post", "https://tokens.example.com/shop/token", false},
		{"another port", "POST", "https://tokens.example.com:8443/shop/token", false},
		{"the other's port left out", "POST", "https://tokens.svc/token", false},
		{"http", "POST", "http://tokens.example.com/shop/token", false},
		{"http at the port of https", "POST", "http://tokens.example.com:443/shop/token", false},
		{"another host", "POST", "https://evil.example.com/shop/token", false},
		{"a host that ends like it", "POST", "https://evil-tokens.example.com/shop/token", false},
		{"a dot behind the host", "POST", "https://tokens.example.com./shop/token", false},
		{"a user", "POST", "https://tokens.example.com@evil.example.com/shop/token", false},
		{"a user at the right host", "POST", "https://me@tokens.example.com/shop/token", false},
		{"another endpoint", "POST", "https://tokens.example.com/shop/revoke", false},
		{"the path in other letters", "POST", "https://tokens.example.com/shop/TOKEN", false},
		{"a slash behind it", "POST", "https://tokens.example.com/shop/token/", false},
		{"dots in the path", "POST", "https://tokens.example.com/x/../shop/token", false},
		{"an escaped slash", "POST", "https://tokens.example.com/shop%2Ftoken", false},
		{"an escape in the path", "POST", "https://tokens.example.com/shop/%74oken", false},
		{"without a scheme", "POST", "//tokens.example.com/shop/token", false},
		{"a path alone", "POST", "/shop/token", false},
		{"opaque", "POST", "https:tokens.example.com/shop/token", false},
		{"nonsense", "POST", "\x7f", false},
	} {
		proof := &Proof{method: c.method, target: c.target}
		if err := proof.MadeFor("POST", configured); (err == nil) != c.want || (err != nil && !errors.Is(err, ErrTarget)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestProofTime(t *testing.T) {
	const past = 30 * time.Second
	for _, c := range []struct {
		name  string
		proof Proof
		want  bool
	}{
		{"now", Proof{issuedAt: t0}, true},
		{"as long ago as may be", Proof{issuedAt: t0.Add(-past - token.Skew)}, true},
		{"a second longer ago", Proof{issuedAt: t0.Add(-past - token.Skew - time.Second)}, false},
		{"by a clock that is ahead", Proof{issuedAt: t0.Add(token.Skew)}, true},
		{"in the future", Proof{issuedAt: t0.Add(token.Skew + time.Second)}, false},
		{"good until later", Proof{issuedAt: t0, expiresAt: t0.Add(time.Second)}, true},
		{"over", Proof{issuedAt: t0, expiresAt: t0.Add(-token.Skew)}, false},
		{"not yet", Proof{issuedAt: t0, notBefore: t0.Add(token.Skew + time.Second)}, false},
	} {
		if err := c.proof.MadeWithin(past, t0); (err == nil) != c.want || (err != nil && !errors.Is(err, ErrTime)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestProofsExcludeOtherKinds is I7 of docs/architecture.md: what a client signs with its own key and is
// not a proof is none, for its typ and for its claims, each shown alone.
func TestProofsExcludeOtherKinds(t *testing.T) {
	p := newProver(t, "ES256")
	kinds := map[string]struct{ typ, payload string }{
		"refresh token":        {"rt+jwt", tokenPayload(t, token.Refresh)},
		"access token":         {"at+jwt", tokenPayload(t, token.Access)},
		"ServiceAccount token": {"JWT", `{"iss":"` + issuer + `","sub":"system:serviceaccount:shop:orders","aud":["` + issuer + `"],"exp":1780228800,"iat":1777636800,"nbf":1777636800,"jti":"x"}`},
		"client assertion":     {"client-authentication+jwt", `{"iss":"x","sub":"x","aud":"` + issuer + `","iat":1777636800,"exp":1780228800,"jti":"x"}`},
		"id_token":             {"JWT", `{"iss":"` + issuer + `","sub":"a","aud":"b","exp":1780228800,"iat":1777636800,"nonce":"x"}`},
	}
	for name, kind := range kinds {
		for what, compact := range map[string]string{
			"by its typ alone":    p.sign(forge.Replace(t, p.header, "dpop+jwt", kind.typ), p.payload),
			"by its claims alone": p.sign(p.header, kind.payload),
		} {
			if _, err := Parse(compact); !errors.Is(err, token.ErrMalformed) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
	rings := signing.Next(t, signing.Next(t, nil, t0.Add(-signing.Schedule.Prepublish)), t0)
	for typ, use := range map[token.Type]keyring.Use{token.Refresh: keyring.Refresh, token.Access: keyring.Access} {
		key, err := rings.Signer(use)
		if err != nil {
			t.Fatal(err)
		}
		own, err := token.Mint(key, typ, []byte(tokenPayload(t, typ)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := token.Parse(own, typ, rings, issuer, t0); err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(own); !errors.Is(err, token.ErrMalformed) {
			t.Errorf("an own token of type %s: %v", typ, err)
		}
		if _, err := token.Parse(p.good, typ, rings, issuer, t0); !errors.Is(err, token.ErrMalformed) {
			t.Errorf("a proof read as %s: %v", typ, err)
		}
	}
}

func TestProofAlgorithmsAreAsymmetric(t *testing.T) {
	want := []string{"ES256", "ES384", "Ed25519", "EdDSA", "PS256", "RS256"}
	if got := Algorithms(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// FuzzParse looks for a text that is read, and was not signed by the key that it names.
func FuzzParse(f *testing.F) {
	made := map[string]bool{}
	for _, algorithm := range []string{"ES256", "ES384", "EdDSA", "Ed25519"} {
		p := newProver(f, algorithm)
		for _, compact := range []string{
			p.good, p.withPayload(`,"nonce":"n"`, ``), p.jwkWith(`"use":"sig"`), p.jwkWith(`"d":"AAAA"`), p.payloadWith(`"JTI":"x"`),
			p.withHeader(`dpop+jwt`, `at+jwt`), p.sign("null", "null"),
		} {
			made[compact[:strings.LastIndexByte(compact, '.')]] = true
			f.Add(compact)
		}
	}
	f.Fuzz(func(t *testing.T, compact string) {
		proof, err := Parse(compact)
		if err != nil {
			if proof != nil {
				t.Errorf("a proof beside the error %v", err)
			}
			return
		}
		if !made[compact[:strings.LastIndexByte(compact, '.')]] {
			t.Fatalf("read, and never signed: %s", compact)
		}
		// No generated target must match the token endpoint or cause a panic.
		_ = proof.MadeFor("POST", []string{issuer + "/token"})
	})
}
